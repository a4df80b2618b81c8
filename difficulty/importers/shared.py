"""Import logs that people already have: what all importers share.

An importer turns another tool's files into records of the sample log format, which then get the same checks
as any file. It never grades: where the tool did not record whether a sample is correct, a `grade` function
must be given, or it stays unknown. The formats themselves are left to `difficulty.importers.lm_eval` and
`difficulty.importers.inspect_ai`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from difficulty.errors import InvalidFileError, InvalidInputError, InvalidLogError
from difficulty.files.lines import decode_text

__all__ = ["Extract", "Grade", "LineGroups", "loads", "only", "reference", "refuse_copies"]

Extract: TypeAlias = Callable[[str], str | None]
"""Finds the answer in a completion; None where there is none."""
Grade: TypeAlias = Callable[[str, str], bool]
"""Says whether an answer (first) is right, given the reference answer (second)."""


class LineGroups:
    """Collect samples by prompt and generator, in the order in which they first come."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, line: Mapping[str, Any], samples: list[dict[str, Any]]) -> None:
        """Append samples to the line of their prompt and generator; `line` has its other fields."""
        key = (line["prompt_id"], line["generator"])
        known = self._lines.setdefault(key, {**line, "samples": []})
        for field, value in line.items():
            if known[field] != value:
                raise InvalidLogError(
                    f"prompt {key[0]!r} has another {field} here than before; one id stands for one prompt"
                )
        known["samples"].extend(samples)

    def records(self) -> list[dict[str, Any]]:
        """Return one record per prompt × generator."""
        return list(self._lines.values())


def loads(data: bytes, *, path: str, line: int | None = None) -> Any:
    """Read JSON as other tools write it, NaN included.

    Raises
    ------
    InvalidLogError
        When it is not JSON, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return json.loads(decode_text(data, path=path, line=line))
    except InvalidFileError as error:
        raise InvalidLogError(error.reason, path=path, line=line) from error
    except (ValueError, RecursionError) as error:
        raise InvalidLogError(f"broken JSON: {error}", path=path, line=line) from error


def reference(value: object) -> str | None:
    """Return a reference answer as text; a list of one is that one, several or an object are None.

    Examples
    --------
    >>> reference(["4"]), reference(4), reference(["4", "four"]), reference({"value": 4})
    ('4', '4', None, None)
    """
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    return None if isinstance(single, bool) or not isinstance(single, (str, int, float)) else str(single)


def only(names: list[str], wanted: str | None, what: str) -> str:
    """Return the wanted name, or the only one there is.

    Raises
    ------
    InvalidLogError
        When the wanted one is not there, or none is wanted and there are several.

    Examples
    --------
    >>> only(["exact_match"], None, "metric")
    'exact_match'
    """
    listed = ", ".join(map(repr, names)) or "none"
    if wanted is None:
        if len(names) == 1:
            return names[0]
        raise InvalidLogError(f"which {what}? There are: {listed}; name one with {what}=...")
    if wanted not in names:
        raise InvalidLogError(f"{what} {wanted!r} is not there; there are: {listed}")
    return wanted


def refuse_copies(paths: Sequence[str | os.PathLike[str]]) -> None:
    """Refuse to read nothing, and files of the same content, whose samples would count twice.

    Raises
    ------
    InvalidInputError
        When there is no path, or a file is given twice.
    InvalidLogError
        When a file cannot be read.
    """
    if not paths:
        raise InvalidInputError("give at least one path to read")
    seen: dict[str, Path] = {}
    for path in map(Path, paths):
        digest = sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            reason = f"cannot read the file: {error.strerror or error}"
            raise InvalidLogError(reason, path=str(path)) from error
        other = seen.setdefault(digest.hexdigest(), path)
        if other is not path:
            raise InvalidInputError(
                f"{path} has the same content as {other}: its samples would count twice; give one"
            )
