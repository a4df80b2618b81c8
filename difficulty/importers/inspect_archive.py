"""Unpack ``.eval`` archives of inspect_ai: zip files, whose members newer releases pack with Zstandard.

It assumes archives that fit in memory and refuses those that unpack to more than a log does. Zstandard is
unpacked by pyarrow, so that inspect_ai need not be installed; what members mean is left to the importer.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidLogError, require
from difficulty.files.lines import MOST_SHRUNK, UNPACKED_FREELY
from difficulty.importers.shared import MOST_BYTES

_ZSTANDARD: Final = 93
_LOCAL_HEADER: Final = 30  # bytes before the name of a member


def read_members(path: Path) -> tuple[bytes, list[bytes]]:
    """Return the header and the samples of an archive, each as JSON.

    Raises
    ------
    InvalidLogError
        When the archive is broken, is packed in another way, or unpacks to more than a log does.
    MissingDependencyError
        When it is packed with Zstandard and pyarrow is not installed.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            _refuse_bombs([info.file_size for info in archive.infolist()], path)

            def read(info: zipfile.ZipInfo) -> bytes:
                if info.compress_type != _ZSTANDARD:
                    return archive.read(info)
                file.seek(info.header_offset)
                n_name, n_extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
                file.seek(n_name + n_extra, 1)
                packed = file.read(info.compress_size)
                arrow = require("pyarrow", extra="parquet")
                try:
                    content = arrow.decompress(packed, info.file_size, codec="zstd", asbytes=True)
                except (arrow.ArrowException, OSError) as error:
                    raise zipfile.BadZipFile(f"{info.filename}: {error}") from error
                if zlib.crc32(content) != info.CRC:
                    raise zipfile.BadZipFile(f"{info.filename}: wrong checksum")
                return bytes(content)

            samples = [
                read(info)
                for info in archive.infolist()
                if info.filename.startswith("samples/") and info.filename.endswith(".json")
            ]
            return read(archive.getinfo("header.json")), samples
    except OSError as error:
        raise InvalidLogError(f"cannot read the file: {error.strerror or error}", path=str(path)) from error
    except (KeyError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidLogError(
            f"not a log of inspect_ai that can be read here ({error}): copy it again if it was cut, or run "
            "`inspect log recover`; if inspect_ai reads it, try: inspect log convert --to json",
            path=str(path),
        ) from error


def _refuse_bombs(sizes: Sequence[int], path: Path) -> None:
    """Refuse an archive that says it unpacks to more than a log does; no member gives more than that."""
    total = sum(sizes)
    if total > min(MOST_BYTES, max(UNPACKED_FREELY, MOST_SHRUNK * path.stat().st_size)):
        raise InvalidLogError(
            f"the archive unpacks to {total:,} bytes, which no log does; if it is meant, unpack it with: "
            "inspect log convert --to json",
            path=str(path),
        )
