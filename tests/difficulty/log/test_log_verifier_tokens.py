"""What a reward model read: recorded where it was counted, absent elsewhere, in every file form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidLogError

GENERATORS = {"tiny": Generator(name="tiny")}
NAN = float("nan")


def line(prompt_id: str, *samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "generator": "tiny", "samples": list(samples), **more}


def make(*lines: dict[str, Any]) -> SampleLog:
    return SampleLog.from_records(lines, GENERATORS)


BEAM: dict[str, Any] = {"strategy": "beam_search", "params": {"n": 4}}
LOG = make(
    line("a", {"answer": "1", "correct": True, "verifier_tokens": 12}, {"answer": "2"}),
    line("a", {"verifier_tokens": 700, "step_scores": [0.5, 0.9]}, {"verifier_tokens": 0}, **BEAM),
    line("a", {"chain": 0, "step": 1, "verifier_tokens": 30}, {"chain": 0, "step": 0}),
    line("b", {"answer": "1", "correct": True}),
    line("b", {"answer": "1"}, **BEAM),
)


def test_pools_chains_and_runs_hold_it_with_nan_where_nothing_was_recorded() -> None:
    (runs,) = LOG.runs()
    assert_array_equal(runs.verifier_tokens, [[700, 0], [NAN, NAN]])
    assert runs.step_scores is not None
    assert runs.step_scores.tolist() == [[(0.5, 0.9), None], [None, None]]
    assert_array_equal(LOG.pool("tiny").verifier_tokens, [[12, NAN], [NAN, NAN]])
    chains = LOG.chains("tiny")
    assert chains is not None
    assert_array_equal(chains.verifier_tokens, [[[NAN, 30]], [[NAN, NAN]]])
    assert LOG.samples("a", "tiny")[0].verifier_tokens == 12
    assert not runs.verifier_tokens.flags.writeable


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_form_keeps_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"log{suffix}"
    LOG.write(path)
    assert SampleLog.read(path) == LOG
    assert_array_equal(SampleLog.read(path).runs()[0].verifier_tokens, LOG.runs()[0].verifier_tokens)


def test_merging_and_splitting_keep_it() -> None:
    sides = LOG.split(test_fraction=0.5, seed=0)
    joined = SampleLog.merge(sides).select(["a", "b"])
    assert joined.digest == LOG.digest
    without = LOG.select(["b"])
    assert without.pool("tiny").verifier_tokens is None
    assert_array_equal(without.runs()[0].verifier_tokens, [[NAN]])
    assert without.runs()[0].step_scores is None
    # What is left of a log is the log that never had it.
    never = make(line("b", {"answer": "1", "correct": True}), line("b", {"answer": "1"}, **BEAM))
    assert without.digest == never.digest


def test_logs_without_it_keep_the_digest_of_before_it_was_recorded() -> None:
    log = make(
        line("a", {"answer": "1", "correct": True, "output_tokens": 3, "score": 0.5}), line("b", {}, **BEAM)
    )
    assert log.digest == "073175448e0a6fd215c1aa1f575deb5b07726981ca2c94b645e945ceddf1ed5c"


def test_the_digest_heeds_it() -> None:
    logs = [make(line("a", {"verifier_tokens": n})) for n in (None, 0, 1)]
    assert len({log.digest for log in logs}) == 3


@pytest.mark.parametrize("value", [-1, 1.5, "7", 2**53 + 1])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(InvalidLogError, match="verifier_tokens"):
        make(line("a", {"verifier_tokens": value}))


@pytest.mark.parametrize(
    ("values", "message"), [([-1, 2], "verifier_tokens must be between"), ([0.5, 1.0], "integers")]
)
def test_a_parquet_column_that_holds_no_counts_is_refused(
    values: list[float], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "log.parquet"
    make(line("a", {"verifier_tokens": 1}, {"verifier_tokens": 2})).write(path)
    table = pq.read_table(path)
    place = table.column_names.index("verifier_tokens")
    pq.write_table(table.set_column(place, "verifier_tokens", pa.array([values])), path)
    with pytest.raises(InvalidLogError, match=message):
        SampleLog.read(path)


def test_parquet_without_it_has_no_such_column(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    make(line("a", {"answer": "1"})).write(path)
    assert "verifier_tokens" not in pq.read_table(path).column_names


def test_batches_of_lines_with_and_without_it_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difficulty.log.builder._BATCH", 1)
    log = make(line("a", {"answer": "1"}), line("b", {"answer": "1", "verifier_tokens": 5}))
    assert_array_equal(log.pool("tiny").verifier_tokens, [[NAN], [5]])
    assert np.isnan(make(line("a", {}, **BEAM)).runs()[0].verifier_tokens).all()
