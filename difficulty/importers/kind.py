"""Tell by their content what wrote some files of samples, and find those files in folders.

It assumes the newest releases of lm-evaluation-harness, inspect_ai and reasoning-gym; whatever is neither
theirs nor a sample log is a table. Reading is left to the importers.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from difficulty.errors import InvalidFileError, InvalidLogError
from difficulty.files.lines import numbered_lines
from difficulty.log.found_in import read_from

Kind: TypeAlias = Literal["table", "lm_eval", "inspect_ai", "reasoning_gym", "openai_batch", "sample_log"]

_TABLES: Final = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".csv.gz", ".tsv.gz", ".jsonl.gz")
_HEAD: Final = 1 << 16
_REASONING_GYM: Final = (b'"results"', b'"question"', b'"expected_answer"', b'full_model_response"')


def kind_of(path: Path) -> Kind:
    """Return what kind of file this is.

    Raises
    ------
    InvalidLogError
        When the file cannot be read.
    """
    with read_from(path), path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK") and (path.suffix == ".eval" or _holds_samples(path)):
        return "inspect_ai"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") or head.startswith(b"\x1f\x8b"):
        try:
            first = next(numbered_lines(path), (0, b""))[1]
        except InvalidFileError:
            return "table"  # whose reader says what is wrong
        if b'"sample_log"' in first[:4096]:
            return "sample_log"
        if b'"resps"' in first and b'"doc_id"' in first:
            return "lm_eval"
        if b'"custom_id"' in first and (b'"response"' in first or b'"body"' in first):
            return "openai_batch"
        if b'"eval"' in head and b'"version"' in head and b'"status"' in head:
            return "inspect_ai"
        if all(word in head for word in _REASONING_GYM):
            return "reasoning_gym"
    return "table"


def _holds_samples(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name == "header.json" or name.startswith("samples/") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return files as they are given, and in the place of a folder the files of samples in it.

    A folder of lm-evaluation-harness holds ``samples_*.jsonl``, one of inspect_ai ``*.eval`` or its
    ``*.json``; in other folders every table is taken. A ``results_*.json`` of the harness stands for the
    samples beside it.

    Raises
    ------
    InvalidLogError
        When a folder holds no such file, or results were written without samples.
    """
    found: list[Path] = []
    for path in paths:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            raise InvalidLogError(
                "the folder holds a data set of Hugging Face's datasets: write it as Parquet "
                "(load_from_disk(FOLDER).to_parquet('samples.parquet')), or give it to SampleLog.from_frame",
                path=str(path),
            )
        date = re.fullmatch(r"results_(\d{4}-.*)\.json", path.name)
        if date is not None:
            samples = sorted(path.parent.glob(f"samples_*_{date.group(1)}.jsonl"))
            if not samples:
                raise InvalidLogError(
                    "there are no samples beside these results; evaluate with --log_samples", path=str(path)
                )
            found.extend(samples)
            continue
        if not path.is_dir():
            found.append(path)
            continue
        for inside in (
            sorted(path.rglob("samples_*.jsonl")),
            sorted(path.rglob("*.eval")),
            sorted(each for each in path.rglob("*") if each.name.endswith(_TABLES) and not _is_note(each)),
        ):
            if inside:
                found.extend(inside)
                break
        else:
            raise InvalidLogError("the folder holds no file of samples", path=str(path))
    return list(dict.fromkeys(found))


def _is_note(path: Path) -> bool:
    """Say whether a file only lists the others, as the ones beside logs of inspect_ai do."""
    if path.name.startswith("results_") or path.name == "summary.json":
        return True
    if path.suffix != ".json" or path.stat().st_size > _HEAD:
        return False
    try:
        return not json.loads(path.read_bytes())
    except ValueError:
        return False
