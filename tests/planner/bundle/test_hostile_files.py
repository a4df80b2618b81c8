"""Array and JSON files that lie about themselves: refused by a typed error, before they take memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidBundleError
from planner.bundle.array_file import MAX_ARRAY_BYTES, pack, unpack
from planner.bundle.json_file import MAX_JSON_BYTES, read_json


def npy(kind: str, shape: str, data: bytes = b"", *, version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def archive(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def test_plain_arrays_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "table": rng.random((5, 7)),
        "columns": np.asfortranarray(rng.random((5, 7)).astype(np.float32)),
        "none": np.zeros((0, 3)),
        "scalar": np.array(3, dtype=np.int64),
        "truth": rng.random(9) < 0.5,
        "hashes": rng.integers(0, 2**63, 4).astype(np.uint64),
        "texts": np.array(["a", "längere", ""]),
        "cube": np.arange(24, dtype=np.int32).reshape(2, 3, 4),
    }
    found = unpack({"a.npz": pack(arrays)})["a.npz"]
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert_array_equal(found[name], array)
        assert found[name].flags.writeable
    assert pack(found) == pack(arrays)


@pytest.mark.parametrize(
    "content",
    [
        npy("'<f8'", "(10,)", b"\0" * 79),
        npy("'<f8'", "(10,)", b"\0" * 81),
        npy("'<f8'", "(1000000000000,)"),
        npy("'<f8'", "(999999999999, 999999999999, 0)", b"\0"),
        npy("'<f8'", "(99999999999999999999,)"),
        npy("'<f8'", "(-1,)"),
        npy("'<f8'", "(((((1,),),),),)"),
        npy("'|O'", "(1,)", b"\0" * 8),
        npy("[('a', '<f8')]", "(1,)", b"\0" * 8),
        npy("'<M8[s]'", "(1,)", b"\0" * 8),
        npy("'<U999999'", "(1,)"),
        npy("'>f8'", "(1,)", b"\0" * 8),
        npy("'<f8'", "(1,)", b"\0" * 8, version=b"\x02\x00"),
        npy("__import__('os').abort()", "(1,)"),
        npy("'<f8'", "(" * 5000),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x01\x00",
        b"",
        b"\x80\x04.",
    ],
)
def test_an_array_that_lies_about_itself_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidBundleError):
        unpack({"a.npz": archive({"x.npy": content})})


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    size = 300 << 20
    one = archive({"x.npy": npy("'<f8'", f"({size // 8},)") + bytes(size)})
    assert len(one) < 1 << 20
    half = archive({"x.npy": npy("'<f8'", f"({MAX_ARRAY_BYTES // 16},)") + bytes(MAX_ARRAY_BYTES // 2)})
    tracemalloc.start()
    try:
        with pytest.raises(InvalidBundleError, match="take more than"):
            unpack({"one.npz": one})
        with pytest.raises(InvalidBundleError, match=r"up to third\.npz"):
            unpack({"first.npz": half, "second.npz": archive({}), "third.npz": half})
        assert tracemalloc.get_traced_memory()[1] < MAX_ARRAY_BYTES
    finally:
        tracemalloc.stop()


def test_a_directory_that_says_less_than_is_packed_is_refused() -> None:
    content = archive({"x.npy": npy("'<f8'", "(100000,)") + bytes(800_000)})
    size = len(npy("'<f8'", "(100000,)")) + 800_000
    small = len(npy("'<f8'", "(100000,)")) + 80
    lying = content.replace(size.to_bytes(4, "little"), small.to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(InvalidBundleError):
        unpack({"a.npz": lying})


def test_a_directory_without_end_is_refused() -> None:
    content = archive({f"{number}.npy": b"" for number in range(501)})
    with pytest.raises(InvalidBundleError, match="more than 500 arrays"):
        unpack({"a.npz": content})


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_ways_of_packing_are_refused(method: int) -> None:
    content = archive({"x.npy": npy("'<f8'", "(1,)", bytes(8))}, method=method)
    with pytest.raises(InvalidBundleError, match="packed in a way"):
        unpack({"a.npz": content})


def test_other_members_and_damaged_archives_are_refused() -> None:
    good = archive({"x.npy": npy("'<f8'", "(100,)", bytes(800))})
    for content in (archive({"x.exe": b"MZ"}), b"", b"PK", good[:-30], good[30:], b"\0" + good[:50]):
        with pytest.raises(InvalidBundleError):
            unpack({"a.npz": content})
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            changed[rng.integers(len(changed))] = rng.integers(256)
        try:
            arrays = unpack({"a.npz": bytes(changed)})["a.npz"]
        except InvalidBundleError:
            continue
        assert sum(array.nbytes for array in arrays.values()) <= 800


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
        (b'["' + b"\\" * 99_999, "changed or cut"),
        (b'"' * 100_001, "changed or cut"),
        (b'"\\' * 100_000, "changed or cut"),
        (b"\xff\xfe", "changed or cut"),
        (b'{"a": 1e999}', "changed or cut"),
        (b'{"a": NaN}', "changed or cut"),
        (b'{"a": "\xed\xa0\x80"}', "changed or cut"),
        (b" " * (MAX_JSON_BYTES + 1), "longer"),
        (b"[[],[]]" + b"[]," * 300_000, "300,00. brackets"),
        (b"[" + b"0," * 2_500_001 + b"0]", "values in"),
        (b"", "changed or cut"),
    ],
)
def test_json_that_is_too_deep_too_long_or_broken_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(InvalidBundleError, match=why):
        read_json(content, dict[str, Any], name="a.json")


def test_brackets_in_texts_do_not_count() -> None:
    assert read_json(b'{"a": "' + b"[" * 1000 + b'\\"[["}', dict[str, str], name="a.json")
