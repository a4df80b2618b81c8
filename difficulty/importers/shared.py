"""Import logs that people already have: what all importers share.

An importer turns another tool's files into records of the sample log format, which then get the same checks
as any file. It never grades: where the tool did not record whether a sample is correct, a `grade` function
must be given, or it stays unknown. The formats themselves are left to `difficulty.importers.lm_eval` and
`difficulty.importers.inspect_ai`.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

from difficulty.errors import InvalidFileError, InvalidInputError, InvalidLogError
from difficulty.files.lines import decode_text, read_text
from difficulty.generator import Generator
from difficulty.log.found_in import read_from
from difficulty.log.sample_log import SampleLog

Extract: TypeAlias = Callable[[str], str | None]
"""Finds the answer in a completion; None where there is none."""
Grade: TypeAlias = Callable[[str, str], bool]
"""Says whether an answer (first) is right, given the reference answer (second)."""
MOST_BYTES: Final = 1024 * 1024 * 1024
"""Of a file that is held in memory."""
_WORDS: Final = 4  # from which on an answer is a text


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


def log_of(
    records: Sequence[Mapping[str, Any]],
    generators: Mapping[str, Generator],
    tool: str,
    paths: Sequence[str | os.PathLike[str]],
    **notes: object,
) -> SampleLog:
    """Return the log of some records that a tool wrote, with notes on what was left out, where anything was.

    Raises
    ------
    InvalidLogError
        When a record is not as it should be; it names the prompt, and the first file that was read.
    """
    about: dict[str, object] = {"imported_from": tool, "files": [Path(path).name for path in paths]}
    about |= {name: value for name, value in notes.items() if value}
    try:
        return SampleLog.from_records(records, generators, about=about)
    except InvalidLogError as error:
        where = "" if error.line is None else f"prompt {records[error.line - 1]['prompt_id']!r}: "
        raise InvalidLogError(f"{where}{error.reason}", path=os.fspath(paths[0])) from error


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
        reason = f"broken JSON: {error}; if the file was cut, copy it again or evaluate again"
        raise InvalidLogError(reason, path=path, line=line) from error


def load_document(path: Path) -> Any:
    """Read a file that is one document in JSON.

    Raises
    ------
    InvalidFileError, InvalidLogError
        When it cannot be read or is larger than 1 GiB; as `loads`.
    """
    return loads(read_text(path, limit=MOST_BYTES).encode(), path=str(path))


def reference(value: object) -> str | None:
    """Return a reference answer as text; a list of one is that one, several or an object are None.

    Examples
    --------
    >>> reference(["4"]), reference(4), reference(["4", "four"]), reference({"value": 4})
    ('4', '4', None, None)
    """
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    return None if isinstance(single, bool) or not isinstance(single, (str, int, float)) else str(single)


class Wanted:
    """Which of several names is taken: the one that was asked for, or the only one there is.

    Parameters
    ----------
    name : str, optional
        What was asked for.
    what : str
        What the names are of, as the parameter of the reader is called.

    Examples
    --------
    >>> metric = Wanted("acc", what="metric")
    >>> metric.among(["acc", "bleu"]), metric.among(["f1"])  # of another task, which has only this one
    ('acc', 'f1')
    >>> metric.check()
    """

    def __init__(self, name: str | None, *, what: str) -> None:
        self.name, self._what = name, what
        self._others: list[str] | None = None
        self._met = False

    def among(self, names: Sequence[str]) -> str:
        """Return the name that is taken.

        Raises
        ------
        InvalidLogError
            When there are several, and none of them was asked for.
        """
        if self.name in names:
            self._met = True
            return str(self.name)
        if len(names) != 1:
            listed = ", ".join(map(repr, names)) or "none"
            if self.name is not None:
                raise InvalidLogError(f"{self._what} {self.name!r} is not there; there are: {listed}")
            option = "--filter" if self._what == "filter" else "--scorer"
            raise InvalidLogError(
                f"which {self._what}? There are: {listed}; name one with {self._what}=... ({option})"
            )
        self._others = self._others or list(names)
        return names[0]

    def check(self) -> None:
        """Refuse a name that was nowhere.

        Raises
        ------
        InvalidLogError
            When something was asked for and never met.
        """
        if self.name is not None and not self._met and self._others is not None:
            raise InvalidLogError(f"{self._what} {self.name!r} is not there; there is: {self._others[0]!r}")


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
        with read_from(path), path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        other = seen.setdefault(digest.hexdigest(), path)
        if other is not path:
            raise InvalidInputError(
                f"{path} has the same content as {other}: its samples would count twice; give one"
            )


def warn_of_whole_texts(records: Sequence[Mapping[str, Any]]) -> None:
    """Warn where several samples of a prompt are drawn and most answers are whole texts."""
    answers = [sample["answer"] for record in records for sample in record["samples"]]
    n_texts = sum(answer is not None and len(answer.split()) >= _WORDS for answer in answers)
    if len(answers) > len(records) and 2 * n_texts > len(answers):
        warnings.warn(
            f"{n_texts} of {len(answers)} answers are whole texts, which never agree in votes; give "
            "extract=... (--extract) to find the answers in them",
            stacklevel=3,
        )
