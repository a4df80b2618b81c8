"""Pools, chains and recorded runs: where each sample ends up."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidLogError

GENERATORS = {"a": Generator(name="a"), "b": Generator(name="b")}


def make(*records: dict[str, object]) -> SampleLog:
    return SampleLog.from_records(records, GENERATORS)


def test_pool_pads_and_numbers_answers_in_order_of_first_appearance() -> None:
    log = make(
        {
            "prompt_id": "p",
            "generator": "a",
            "samples": [{"answer": "9"}, {"answer": None}, {"answer": "8"}, {"answer": "9"}],
        },
        {
            "prompt_id": "q",
            "generator": "a",
            "samples": [{"answer": "8", "correct": True, "finish": "length"}],
        },
        {"prompt_id": "p", "generator": "b", "samples": [{"answer": "7"}, {"answer": "8", "finish": "stop"}]},
    )
    first = log.pool("a")
    assert first.n.tolist() == [4, 1]
    assert first.answer.tolist() == [[0, -1, 1, 0], [0, -2, -2, -2]]
    assert first.correct.tolist() == [[-1, -1, -1, -1], [1, -1, -1, -1]]
    assert first.n_correct.tolist() == [0, 1]
    assert first.truncated.tolist() == [[False] * 4, [True, False, False, False]]
    assert np.isnan(first.output_tokens).all()
    second = log.pool("b")
    assert second.n.tolist() == [2, 0]
    assert second.n_correct.tolist() == [0, 0]
    assert second.answer.tolist() == [[2, 1], [-2, -2]]
    assert not second.truncated.any()


def test_unknown_verdicts_are_missing_from_counts_and_no_more() -> None:
    samples = [{"answer": "1", "correct": True}, {"answer": "1"}, {"answer": "2", "correct": False}]
    log = make(
        {"prompt_id": "p", "generator": "a", "samples": samples},
        {"prompt_id": "p", "generator": "b", "samples": samples[1:2]},
        {"prompt_id": "q", "generator": "b", "n": 5, "n_correct": 2},
    )
    pool = log.pool("a")
    assert (pool.n.tolist(), pool.n_known.tolist(), pool.n_correct.tolist()) == ([3, 0], [2, 0], [1, 0])
    counts = log.counts()
    assert (counts.n.tolist(), counts.n_correct.tolist()) == ([[2, 0], [0, 5]], [[1, 0], [0, 2]])
    assert log.n_recorded().tolist() == [[3, 1], [0, 5]]


def test_chains_and_runs_are_no_independent_samples() -> None:
    attempt = {"answer": "1", "correct": True, "chain": 0, "step": 0}
    log = make(
        {"prompt_id": "p", "generator": "a", "samples": [attempt]},
        {"prompt_id": "p", "generator": "b", "strategy": "dvts", "n": 4, "n_correct": 4},
    )
    assert log.n_recorded().tolist() == log.counts().n.tolist() == [[0, 0]]


def test_prompt_tokens_of_samples_that_differ_are_their_own() -> None:
    agent = [{"correct": True, "prompt_tokens": 90, "cached_prompt_tokens": 60}, {"prompt_tokens": 50}]
    log = make(
        {"prompt_id": "p", "generator": "a", "samples": agent},
        {"prompt_id": "q", "generator": "a", "prompt_tokens": 30, "samples": [{"prompt_tokens": 40}]},
        {"prompt_id": "p", "generator": "b", "samples": [{"prompt_tokens": 7}, {"prompt_tokens": 7}, {}]},
        {"prompt_id": "q", "generator": "b", "prompt_tokens": 8, "samples": [{}]},
        {"prompt_id": "r", "generator": "a", "prompt_tokens": 20, "samples": [{}]},
    )
    pool, plain = log.pool("a"), log.pool("b")
    assert pool.prompt_tokens.tolist() == [70.0, 30.0, 20.0]
    assert pool.own_prompt_tokens is not None and pool.cached_prompt_tokens is not None
    # Where a sample does not say it, its line does.
    np.testing.assert_array_equal(pool.own_prompt_tokens, [[90, 50], [40, np.nan], [20, np.nan]])
    np.testing.assert_array_equal(pool.cached_prompt_tokens, [[60, np.nan], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(plain.prompt_tokens, [7.0, 8.0, np.nan])
    assert plain.own_prompt_tokens is None and plain.cached_prompt_tokens is None


def test_cached_tokens_that_differ_tell_requests_of_their_own() -> None:
    samples = [{"prompt_tokens": 9, "cached_prompt_tokens": cached} for cached in (0, 8)]
    pool = make({"prompt_id": "p", "generator": "a", "samples": samples}).pool("a")
    assert pool.own_prompt_tokens is not None
    assert pool.own_prompt_tokens.tolist() == [[9.0, 9.0]]


def test_a_line_of_huge_counts_does_not_fill_memory() -> None:
    few = [{"prompt_id": f"q{i}", "generator": "a", "n": 2, "n_correct": 1} for i in range(100)]
    log = make(*few, {"prompt_id": "p", "generator": "a", "n": 1_000_000, "n_correct": 1})
    assert int(log.counts().n.sum()) == 1_000_200
    with pytest.raises(InvalidLogError, match="prompt 'p' has 1,000,000 samples"):
        log.pool("a")


def test_counts_only_lines_become_ones_then_zeros() -> None:
    log = make(
        {"prompt_id": "p", "generator": "a", "n": 3, "n_correct": 2},
        {"prompt_id": "q", "generator": "a", "samples": [{"answer": "x", "correct": False}] * 4},
    )
    pool = log.pool("a")
    assert pool.counts_only.tolist() == [True, False]
    assert pool.correct.tolist() == [[1, 1, 0, -1], [0, 0, 0, 0]]
    assert pool.answer.tolist() == [[-1, -1, -1, -2], [0, 0, 0, 0]]
    assert pool.n_correct.tolist() == [2, 0]


def test_chains_are_placed_by_chain_and_step_whatever_their_order() -> None:
    steps = [
        {"answer": "w", "correct": False, "chain": 5, "step": 1, "output_tokens": 51, "prompt_tokens": 9},
        {"answer": "x", "correct": True, "chain": 2, "step": 0, "output_tokens": 20},
        {"answer": None, "correct": False, "chain": 5, "step": 0, "output_tokens": 50},
    ]
    log = make(
        {"prompt_id": "o", "generator": "a", "samples": [{"answer": "x", "correct": True}]},
        {
            "prompt_id": "p",
            "generator": "a",
            "samples": steps,
            "strategy": "sequential_revision",
            "params": {"depth": 2},
        },
        {"prompt_id": "p", "generator": "a", "samples": [{"answer": "w", "correct": True}]},
    )
    chains = log.chains("a")
    assert chains is not None
    assert log.has_chains and log.chains("b") is None
    assert (chains.n.tolist(), chains.n_steps) == ([0, 2], 2)
    assert chains.answer.tolist() == [[[-2, -2], [-2, -2]], [[1, -2], [-1, 0]]]
    assert chains.correct[1].tolist() == [[1, -1], [0, 0]]
    assert chains.output_tokens[1, 1].tolist() == [50, 51]
    assert chains.prompt_tokens[1, 1, 1] == 9
    assert log.pool("a").n.tolist() == [1, 1]  # steps of chains are not independent samples


def test_chains_need_no_strategy_name() -> None:
    steps = [{"answer": "x", "chain": 0, "step": 0}, {"answer": "y", "chain": 0, "step": 1}]
    log = make(
        {"prompt_id": "p", "generator": "a", "samples": steps},
        {"prompt_id": "p", "generator": "a", "n": 1, "n_correct": 0},
    )
    chains = log.chains("a")
    assert chains is not None and chains.answer.tolist() == [[[0, 1]]]
    assert log.pool("a").n.tolist() == [1]


def test_chains_of_different_depth_join_and_other_parameters_do_not() -> None:
    def line(params: dict[str, object], n_steps: int) -> dict[str, object]:
        samples = [{"answer": str(step), "chain": 0, "step": step} for step in range(n_steps)]
        return {
            "prompt_id": "p",
            "generator": "a",
            "samples": samples,
            "strategy": "sequential_revision",
            "params": params,
        }

    chains = make(line({"depth": 2}, 2), line({"depth": 3}, 3)).chains("a")
    assert chains is not None and chains.n.tolist() == [2]
    assert chains.answer.tolist() == [[[0, 1, -2], [0, 1, 2]]]
    mixed = make(line({"depth": 2}, 2), line({"depth": 2, "hint": True}, 2))
    with pytest.raises(InvalidLogError, match="different parameters"):
        mixed.chains("a")


def test_runs_are_grouped_by_strategy_and_parameters() -> None:
    def line(prompt: str, params: dict[str, object], answers: list[str]) -> dict[str, object]:
        samples = [
            {"answer": answer, "correct": answer == "1", "output_tokens": 100, "score": 0.5}
            for answer in answers
        ]
        return {
            "prompt_id": prompt,
            "generator": "a",
            "samples": samples,
            "strategy": "beam_search",
            "params": params,
        }

    log = make(
        line("p", {"n": 4, "beam_width": 2}, ["1", "2"]),
        line("q", {"beam_width": 2, "n": 4}, ["3"]),
        line("q", {"n": 8, "beam_width": 2}, ["1"]),
        {"prompt_id": "q", "generator": "a", "n": 5, "n_correct": 5, "strategy": "dvts"},
    )
    four, eight, dvts = log.runs()
    assert (four.strategy, four.params) == ("beam_search", (("beam_width", 2), ("n", 4)))
    assert four.n.tolist() == [2, 1]
    assert four.correct.tolist() == [[1, 0], [0, -1]]
    assert four.answer.tolist() == [[0, 1], [0, -2]]
    assert eight.n.tolist() == [0, 1] and eight.answer.tolist() == [[-2], [1]]
    assert (dvts.strategy, dvts.params, dvts.n.tolist()) == ("dvts", (), [0, 5])
    assert dvts.correct.tolist() == [[-1] * 5, [1] * 5]
    assert log.pool("a").n.tolist() == [0, 0]


def test_equal_parameters_of_different_type_stay_apart() -> None:
    log = make(
        {
            "prompt_id": "p",
            "generator": "a",
            "n": 1,
            "n_correct": 0,
            "strategy": "rebase",
            "params": {"t": 1},
        },
        {
            "prompt_id": "p",
            "generator": "a",
            "n": 1,
            "n_correct": 1,
            "strategy": "rebase",
            "params": {"t": True},
        },
    )
    assert [run.correct.tolist() for run in log.runs()] == [[[0]], [[1]]]
