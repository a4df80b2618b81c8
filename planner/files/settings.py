"""Read a JSON or TOML file that a person wrote, or say what is wrong with it.

It assumes a small file. What it must hold is left to the modules that ask for it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError
from difficulty.files.lines import read_text

_LIMIT: Final = 16 * 1024 * 1024


def read_settings(path: Path) -> Any:
    """Return what a ``.toml`` file, or else a JSON file, holds.

    Raises
    ------
    InvalidInputError
        When it cannot be read, or is not what its name says.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "settings.toml"
    >>> _ = file.write_text("widths = [4, 8]")
    >>> read_settings(file)
    {'widths': [4, 8]}
    """
    content = read_text(path, limit=_LIMIT)
    try:  # tomllib has errors of its own, and plain ValueError for numbers of thousands of digits
        return tomllib.loads(content) if path.suffix == ".toml" else msgspec.json.decode(content)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidInputError(f"{path}: neither JSON nor (by its name, .toml) TOML: {error}") from error
