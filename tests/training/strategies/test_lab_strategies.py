"""The lab model is recorded live under every strategy, and what is recorded can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from difficulty import SampleLog
from planner import Recording
from training import compare_strategies
from training.strategies.lab import lab_recordings, mixed_problems, record_lab_strategies


def test_problems_cover_every_size_once_each() -> None:
    prompts = mixed_problems(2)
    sizes = [prompt.id.split("-")[2] for prompt in prompts]
    assert len(prompts) == 36 and all(sizes.count(size) == 2 for size in set(sizes))
    assert len(set(sizes)) == 18 and all(prompt.gold for prompt in prompts)


def test_every_search_and_revision_is_recorded() -> None:
    kinds = {recording.strategy for recording in lab_recordings()}
    assert kinds == {"sequential_revision", "beam_search", "dvts", "lookahead", "rebase"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> SampleLog:
    pytest.importorskip("torch", reason="live models need the extra [local]")
    out = tmp_path_factory.mktemp("lab") / "lab.jsonl.gz"
    small = [
        Recording(strategy=one.strategy, width=min(one.width, 4), depth=min(one.depth, 2), params=one.params)
        for one in lab_recordings()
        if one.strategy in ("sequential_revision", "dvts") and one.width in (4, 8)
    ]
    log = record_lab_strategies(out, n_per_cell=1, samples=12, recordings=list(dict.fromkeys(small)))
    assert record_lab_strategies(out, n_per_cell=1) == log  # a complete log is read, not drawn again
    return log


@pytest.mark.slow
def test_live_records_hold_scores_tokens_and_what_was_resent(log: SampleLog) -> None:
    (name,) = log.generators
    assert log.has_scores and log.has_tokens and log.has_chains
    by_score, by_logprob = log.runs()
    assert "verifier" not in dict(by_score.params)
    assert dict(by_logprob.params)["verifier"] == "mean_logprob"
    chains, pool = log.chains(name), log.pool(name)
    assert chains is not None
    for runs in (by_score, by_logprob):
        assert (runs.prompt_tokens[:, 0] >= pool.prompt_tokens).all()
    # The reward model reads what it scores: of a search every path anew with each step, of a sample all.
    assert (by_score.verifier_tokens[:, 0] > by_score.output_tokens[:, 0] + 4 * pool.prompt_tokens).all()
    assert np.isnan(by_logprob.verifier_tokens).all()
    assert pool.verifier_tokens is not None and chains.verifier_tokens is not None
    assert (pool.verifier_tokens >= pool.output_tokens).all() and not np.isnan(chains.verifier_tokens).any()
    assert by_score.step_scores is not None and by_logprob.step_scores is not None
    for steps, score in zip(by_score.step_scores[:, 0], by_score.score[:, 0], strict=True):
        assert steps[-1] == score
    assert set(by_logprob.step_scores[:, 0]) == {None}
    # A second attempt reads the question and the first attempt.
    grown = chains.prompt_tokens[:, :, 1] - chains.prompt_tokens[:, :, 0]
    assert (grown >= chains.output_tokens[:, :, 0]).all()


@pytest.mark.slow
def test_a_live_log_can_be_compared(log: SampleLog, tmp_path: Path) -> None:
    report = compare_strategies(log, tmp_path, bins=2, n_bootstrap=100)
    assert {family["kind"] for family in report.families} == {"parallel", "revision", "search"}
    assert report.data["n_prompts"] + report.data["n_left_out"] == 18
