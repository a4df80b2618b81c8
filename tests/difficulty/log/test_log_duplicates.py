"""Lines that repeat a prompt and generator: refused by default, or the first kept and the rest counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

GENERATORS = {"g": Generator(name="g")}


def line(prompt_id: str, *labels: bool, **more: Any) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "generator": "g",
        "samples": [{"answer": "1" if right else "2", "correct": right} for right in labels],
        **more,
    }


CONTRADICTORY = [line("a", True, True), line("b", False), line("a", False), line("c", True), line("b", True)]
FIRST = [line("a", True, True), line("b", False), line("c", True)]


def jsonl(folder: Path, lines: Sequence[dict[str, Any]], name: str = "log.jsonl") -> Path:
    text = "\n".join(map(json.dumps, [{"sample_log": 1, "generators": {"g": {}}}, *lines])) + "\n"
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def parquet(folder: Path, lines: Sequence[dict[str, Any]]) -> Path:
    """Write rows that repeat, which `SampleLog.write` never would."""
    arrow, parquet_ = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    SampleLog.from_records(FIRST, GENERATORS).write(folder / "whole.parquet")
    table = parquet_.read_table(folder / "whole.parquet")
    rows = arrow.Table.from_pydict(
        {
            "prompt_id": [record["prompt_id"] for record in lines],
            "generator": ["g"] * len(lines),
            "answers": [[s["answer"] for s in record["samples"]] for record in lines],
            "correct": [[s["correct"] for s in record["samples"]] for record in lines],
        }
    )
    names = dict(zip(("answers", "correct"), _list_names(table), strict=True))
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    parquet_.write_table(rows.replace_schema_metadata(table.schema.metadata), folder / "log.parquet")
    return folder / "log.parquet"


def _list_names(table: Any) -> tuple[str, str]:
    """Return the columns of answers and of correctness."""
    names = [name for name in table.column_names if str(table.schema.field(name).type).startswith("list")]
    answer = next(name for name in names if "answer" in name)
    return answer, next(name for name in names if "correct" in name)


@pytest.fixture(params=[jsonl, parquet])
def write(request: pytest.FixtureRequest) -> Callable[[Path, Sequence[dict[str, Any]]], Path]:
    return request.param  # type: ignore[no-any-return]


def test_the_error_names_the_option(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, CONTRADICTORY)
    with pytest.raises(InvalidLogError, match=r"duplicate: prompt 'a'.*on_duplicate='first'") as caught:
        SampleLog.read(path)
    assert "--on-duplicate first" in str(caught.value)


def test_the_first_line_is_kept_and_the_rest_counted(tmp_path: Path, write: Any) -> None:
    log = SampleLog.read(write(tmp_path, CONTRADICTORY), on_duplicate="first")
    assert log.digest == SampleLog.from_records(FIRST, GENERATORS).digest
    assert log.counts().n.ravel().tolist() == [2, 1, 1]
    assert log.counts().n_correct.ravel().tolist() == [2, 0, 1]
    assert log.about["duplicates_left_out"] == 2


def test_gzip_and_chains_are_read_alike(tmp_path: Path) -> None:
    chain = line("a", True, True)
    for step, sample in enumerate(chain["samples"]):
        sample |= {"chain": 0, "step": step}
    lines = [line("a", True), chain, chain, line("a", False), line("b", True)]
    log = SampleLog.read(jsonl(tmp_path, lines, "log.jsonl.gz"), on_duplicate="first")
    assert log.about["duplicates_left_out"] == 2
    chains = log.chains("g")
    assert chains is not None
    assert chains.n.tolist() == [1, 0]
    assert log.counts().n_correct.ravel().tolist() == [1, 1]


def test_repeats_over_several_files_are_counted_too(tmp_path: Path) -> None:
    one = jsonl(tmp_path, CONTRADICTORY, "one.jsonl")
    two = jsonl(tmp_path, [line("c", False), line("d", True)], "two.jsonl")
    with pytest.raises(InvalidLogError, match="--on-duplicate first"):
        SampleLog.read(jsonl(tmp_path, FIRST, "clean.jsonl"), two)
    log = SampleLog.read(one, two, on_duplicate="first")
    assert [prompt.id for prompt in log.prompts] == ["a", "b", "c", "d"]
    assert log.counts().n_correct.ravel().tolist() == [2, 0, 1, 1]
    left_out = log.about.get("duplicates_left_out", 0)
    assert left_out == 3


def test_a_log_without_repeats_reads_the_same(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, FIRST)
    assert SampleLog.read(path, on_duplicate="first") == SampleLog.read(path)
    assert "duplicates_left_out" not in SampleLog.read(path, on_duplicate="first").about


def test_what_was_left_out_stays_on_record(tmp_path: Path) -> None:
    log = SampleLog.read(jsonl(tmp_path, CONTRADICTORY), on_duplicate="first")
    log.write(tmp_path / "clean.jsonl.gz")
    assert SampleLog.read(tmp_path / "clean.jsonl.gz").about["duplicates_left_out"] == 2


def test_bad_lines_are_still_refused(tmp_path: Path) -> None:
    broken = [line("a", True), line("a", False), {**line("b", True), "generator": "h"}]
    with pytest.raises(InvalidLogError, match=r"line 4.*generator 'h'"):
        SampleLog.read(jsonl(tmp_path, broken), on_duplicate="first")


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="on_duplicate must be one of error, first; got 'last'"):
        SampleLog.read(jsonl(tmp_path, FIRST), on_duplicate="last")  # type: ignore[arg-type]
