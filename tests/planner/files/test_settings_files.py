"""Settings that people wrote: with byte order marks, in other encodings, nested without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError
from planner.files.settings import read_settings


@pytest.mark.parametrize(("name", "text"), [("a.toml", "widths = [4]"), ("a.json", '{"widths": [4]}')])
def test_a_byte_order_mark_is_taken_off(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8-sig")
    assert read_settings(path) == {"widths": [4]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", 'a = "é"'.encode("latin-1"), "not UTF-8"),
        ("a.json", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("a.json", b"[" * 100_000, "neither JSON"),
        ("a.toml", b"a = " + b"[" * 100_000, "neither JSON"),
        ("a.json", b'{"a": 1' + b"0" * 5000 + b"}", "neither JSON"),
        ("a.toml", b"a = 1" + b"0" * 5000, "neither JSON"),
        ("a.json", b" " * (1 << 24) + b"{}", "larger than"),
    ],
)
def test_what_is_no_settings_file_is_refused_by_name(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"{name}.*{said}"):
        read_settings(path)
