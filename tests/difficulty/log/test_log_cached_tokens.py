"""Prompt tokens that a cache spared: kept in every file form, and never more than were sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidLogError

GENERATORS = {"g": Generator(name="g")}
RECORD = {
    "prompt_id": "a",
    "generator": "g",
    "samples": [{"prompt_tokens": 90, "cached_prompt_tokens": 60}, {"prompt_tokens": 50}],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_form_keeps_them(suffix: str, tmp_path: Path) -> None:
    log = SampleLog.from_records(
        [RECORD, {"prompt_id": "b", "generator": "g", "n": 1, "n_correct": 1}], GENERATORS
    )
    path = tmp_path / f"log{suffix}"
    log.write(path)
    again = SampleLog.read(path)
    assert again == log
    assert [sample.cached_prompt_tokens for sample in again.samples("a", "g")] == [60, None]
    merged = SampleLog.merge([log.select(["b"]), log.select(["a"])])
    assert [sample.cached_prompt_tokens for sample in merged.samples("a", "g")] == [60, None]


def test_a_log_without_them_has_the_digest_that_it_had() -> None:
    log = SampleLog.from_records(
        [{"prompt_id": "a", "generator": "g", "samples": [{"answer": "1"}]}], GENERATORS
    )
    assert log.digest == "dbc62587cfdc59fa9418825b71dcb67a37495011b67c056fc30813af9533e2e4"


def test_more_than_was_sent_is_refused() -> None:
    samples = [
        {"prompt_tokens": 5, "cached_prompt_tokens": 5},
        {"prompt_tokens": 5, "cached_prompt_tokens": 6},
    ]
    with pytest.raises(InvalidLogError, match=r"line 2: cached_prompt_tokens is a part .* at most 5, got 6"):
        SampleLog.from_records([RECORD, {"prompt_id": "b", "generator": "g", "samples": samples}], GENERATORS)


def test_a_parquet_file_is_checked_alike(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")
    path = tmp_path / "log.parquet"
    SampleLog.from_records([RECORD], GENERATORS).write(path)
    table = parquet.read_table(path)
    place = table.column_names.index("cached_prompt_tokens")
    table = table.set_column(place, "cached_prompt_tokens", arrow.array([[91, None]]))
    parquet.write_table(table, path)
    with pytest.raises(InvalidLogError, match="at most 90, got 91"):
        SampleLog.read(path)
