"""Arrays in one file: npz without pickle, written by numpy and read by a reader that trusts nothing.

numpy's own reader takes a file's word for how large its arrays are, so that a few kilobytes can ask for all
memory. Here the archive's directory and every array's header are checked against each other and against a
limit before a byte is unpacked. It assumes what numpy writes for plain arrays; which arrays there should be
is left to `planner.bundle.parts`.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBundleError

Arrays: TypeAlias = dict[str, NDArray[Any]]

MAX_ARRAY_BYTES: Final = 160 << 20
"""What all arrays of a bundle may take in memory: 2,000 reference prompts with 2,000 allocations fit."""

# Directory entries take hundreds of bytes each in memory.
_MAX_ARRAYS: Final = 500
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
# Unpacked at a time: the archive's reader holds a few copies of it.
_PIECE: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_MAGIC: Final = b"\x93NUMPY\x01\x00"
_HEADER: Final = re.compile(
    rb"\{'descr': '(?P<kind>[<|](?:b1|[iu][1248]|f[248]|U[1-9][0-9]{0,3}))', "
    rb"'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:[0-9]{1,12},|[0-9]{1,12}(?:, [0-9]{1,12})+)?)\), \} *\n"
)


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return npz bytes; numpy stamps every member with the same date, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]  # no array is named allow_pickle
    return buffer.getvalue()


def unpack(files: Mapping[str, bytes]) -> dict[str, Arrays]:
    """Return the arrays of npz files, by file and name.

    Parameters
    ----------
    files : mapping of str to bytes
        Contents by file name.

    Raises
    ------
    InvalidBundleError
        When a file is no archive of plain arrays, was cut, or all of them need more than `MAX_ARRAY_BYTES`.
    """
    left = MAX_ARRAY_BYTES
    found = {}
    for name, content in files.items():
        try:
            if content.count(_DIRECTORY_ENTRY) > _MAX_ARRAYS:
                raise InvalidBundleError(f"{name} holds more than {_MAX_ARRAYS} arrays")
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = archive.infolist()
                left -= sum(max(member.file_size, 0) for member in members)
                if left < 0:
                    raise InvalidBundleError(
                        f"the arrays up to {name} say that they take more than {MAX_ARRAY_BYTES:,} bytes, "
                        "which no bundle needs"
                    )
                found[name] = {_stem(member.filename): _read(archive, member) for member in members}
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise InvalidBundleError(f"{name} is no archive of arrays: {error}") from error
    return found


def _stem(name: str) -> str:
    if not name.endswith(".npy"):
        raise InvalidBundleError(f"an archive of arrays holds {name[:80]!r}, which is none")
    return name.removesuffix(".npy")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array whose header says exactly the size that the directory says."""
    known = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if not known or member.flag_bits & _ENCRYPTED:
        raise InvalidBundleError(f"{member.filename} is packed in a way that numpy does not write")
    with cast(zipfile.ZipExtFile, archive.open(member)) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InvalidBundleError(f"{member.filename} is no array of numpy")
        length = int.from_bytes(file.read(2), "little")
        header = _HEADER.fullmatch(file.read(length))
        if header is None:
            raise InvalidBundleError(f"{member.filename} is no array of plain numbers or texts")
        kind = np.dtype(header["kind"].decode())
        shape = tuple(int(size) for size in header["shape"].replace(b",", b" ").split())
        size = math.prod(shape) * kind.itemsize
        if size != member.file_size - len(_MAGIC) - 2 - length:
            raise InvalidBundleError(f"the header of {member.filename} says another size than the archive")
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            part = file.readinto(view[done : done + _PIECE])
            if not part:
                raise InvalidBundleError(f"{member.filename} ends too early")
            done += part
        if file.read(1):  # also compares the checksum
            raise InvalidBundleError(f"{member.filename} is longer than it says")
    flat = np.frombuffer(data, dtype=kind)
    if kind.kind == "b":
        flat = flat.view(np.uint8) != 0
    return flat.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
