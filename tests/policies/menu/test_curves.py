"""Curves agree with enumerating every subset of tiny logs, and are NaN where a log cannot tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.course.allocation import Allocation
from policies.menu.build import build_menu
from policies.menu.curves import measure_curves
from training.simulated.log import simulated_log

Sample = dict[str, Any]
BEAM: dict[str, Any] = {"strategy": "beam_search", "params": {"n": 16, "beam_width": 4}}


def log_of(*records: dict[str, Any], generators: Sequence[str] = ("g",)) -> SampleLog:
    return SampleLog.from_records(records, {name: Generator(name=name) for name in generators})


def line(
    samples: Sequence[Sample], prompt_id: str = "a", generator: str = "g", **more: Any
) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "generator": generator, "samples": list(samples), **more}


def sample(answer: str | None, correct: bool = False, **more: Any) -> Sample:
    return {"answer": answer, "correct": correct, **more}


def every_subset(samples: Sequence[Sample], n: int, pick: Callable[[Sequence[Sample]], float]) -> float:
    return float(np.mean([pick(subset) for subset in combinations(samples, n)]))


def vote(subset: Sequence[Sample], weight: Callable[[Sample], float] = lambda _: 1.0) -> float:
    """Return the chance that a vote with uniform ties is right."""
    votes: dict[str, float] = defaultdict(float)
    right = {s["answer"]: s["correct"] for s in subset}
    for s in subset:
        if s["answer"] is not None:
            votes[s["answer"]] += weight(s)
    if not votes:
        return 0.0
    top = max(votes.values())
    leaders = [answer for answer, total in votes.items() if abs(total - top) < 1e-12]
    return float(np.mean([right[answer] for answer in leaders]))


def highest(subset: Sequence[Sample]) -> float:
    valid = [s for s in subset if s["answer"] is not None]
    if not valid:
        return 0.0
    top = max(s["score"] for s in valid)
    return float(np.mean([s["correct"] for s in valid if s["score"] == top]))


tiny_pools = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", None]), st.sampled_from([0.1, 0.5, 0.5, 0.9])),
    min_size=3,
    max_size=6,
)


@given(pool=tiny_pools)
def test_curves_agree_with_every_subset(pool: list[tuple[str | None, float]]) -> None:
    samples = [sample(answer, answer == "1", score=score) for answer, score in pool]
    if not any(s["answer"] for s in samples):
        samples[0] = sample("2", False, score=0.5)
    log = log_of(line(samples))
    pickers: dict[str, Callable[[Sequence[Sample]], float]] = {
        "majority_vote": vote,
        "best_of_n": highest,
        "weighted_best_of_n": lambda subset: vote(subset, lambda s: float(s["score"])),
        "first_success": lambda subset: float(any(s["correct"] for s in subset)),
    }
    allocations = [
        Allocation(
            generator="g",
            strategy=strategy,  # type: ignore[arg-type]
            width=width,
            params={"verifier": "score"} if "best" in strategy else {},
        )
        for strategy in pickers
        for width in (1, 2, 3)
    ]
    curves = measure_curves(log, allocations)
    expected = [every_subset(samples, a.width, pickers[a.strategy]) for a in allocations]
    assert_allclose(curves.value[0], expected, atol=1e-9)


def test_log_probabilities_are_weighed_as_probabilities() -> None:
    # Bare log-probabilities would weigh -1 against -3 for the right answer; probabilities weigh .37 against
    # .45.
    samples = [
        sample("1", True, mean_logprob=-1.0),
        sample("2", mean_logprob=-1.5),
        sample("2", mean_logprob=-1.5),
    ]
    by_logprob = Allocation(
        generator="g", strategy="weighted_best_of_n", width=3, params={"verifier": "mean_logprob"}
    )
    assert measure_curves(log_of(line(samples)), [by_logprob]).value[0, 0] == 0.0


def test_usage_is_width_times_the_mean_sample() -> None:
    samples = [sample("1", True, output_tokens=10), sample("2", output_tokens=30)]
    log = log_of(line(samples, prompt_tokens=7))
    curves = measure_curves(
        log, [Allocation(generator="g", strategy="majority_vote", width=w) for w in (1, 2)]
    )
    assert_array_equal(curves.samples, [[1, 2]])
    assert_array_equal(curves.output_tokens, [[20, 40]])
    assert_array_equal(curves.prompt_tokens, [[7, 7]])


def test_tokens_that_were_not_recorded_are_nan() -> None:
    curves = measure_curves(
        log_of(line([sample("1", True)])), [Allocation(generator="g", strategy="majority_vote")]
    )
    assert np.isnan(curves.output_tokens).all()
    assert np.isnan(curves.prompt_tokens).all()
    assert_array_equal(curves.value, [[1.0]])


def test_counts_tell_single_samples_and_coverage_but_no_votes() -> None:
    log = log_of(
        {"prompt_id": "a", "generator": "g", "n": 10, "n_correct": 4},
        {"prompt_id": "b", "generator": "g", "n": 10, "n_correct": 0},
    )
    assert {(a.strategy, a.width) for a in build_menu(log)} == {("majority_vote", 1)}
    allocations = [
        Allocation(generator="g", strategy="majority_vote", width=1),
        Allocation(generator="g", strategy="majority_vote", width=3),
        Allocation(generator="g", strategy="first_success", width=3),
    ]
    value = measure_curves(log, allocations).value
    assert_allclose(value[:, 0], [0.4, 0.0])
    assert np.isnan(value[:, 1]).all()
    assert_allclose(value[:, 2], [1 - (6 * 5 * 4) / (10 * 9 * 8), 0.0])


def test_a_generator_or_width_that_was_not_recorded_is_nan() -> None:
    log = log_of(
        line([sample("1", True)] * 3, "a"),
        line([sample("1", True)] * 3, "b"),
        line([sample("1", True)] * 2, "b", "h"),
        generators=("g", "h"),
    )
    asked = [
        Allocation(generator="g", strategy="majority_vote", width=3),
        Allocation(generator="g", strategy="majority_vote", width=4),
        Allocation(generator="h", strategy="majority_vote", width=2),
        Allocation(generator="elsewhere", strategy="majority_vote", width=1),
        Allocation(generator="g", strategy="beam_search", width=4, params={"n": 4}),
    ]
    nan = np.nan
    assert_array_equal(
        measure_curves(log, asked).value, [[1.0, nan, nan, nan, nan], [1.0, nan, 1.0, nan, nan]]
    )


def test_unlabelled_samples_are_never_counted_as_wrong() -> None:
    samples = [sample("1", True), {"answer": "2"}, {"answer": "1"}]
    value = measure_curves(
        log_of(line(samples)),
        [Allocation(generator="g", strategy="majority_vote", width=w) for w in (1, 3)]
        + [Allocation(generator="g", strategy="first_success", width=1)],
    ).value
    assert value[0, 0] == 1.0
    assert value[0, 2] == 1.0
    assert np.isnan(value[0, 1])


def test_halves_are_disjoint_and_their_counts_are_fair() -> None:
    # Right on even places only: one half knows nothing of the other.
    samples = [sample("1" if place % 2 == 0 else "2", place % 2 == 0) for place in range(8)]
    asked = [Allocation(generator="g", strategy="majority_vote", width=w) for w in (1, 3, 5)]
    even, odd = (measure_curves(log_of(line(samples)), asked, half=half).value[0] for half in ("even", "odd"))
    assert_array_equal(even, [1, 1, np.nan])
    assert_array_equal(odd, [0, 0, np.nan])
    # Counts are stored as ones then zeros: an alternating cut would give both halves the same rate, always.
    log = log_of(*({"prompt_id": str(i), "generator": "g", "n": 10, "n_correct": 5} for i in range(40)))
    one = [Allocation(generator="g", strategy="majority_vote", width=1)]
    even, odd = (measure_curves(log, one, half=half, seed=3).value[:, 0] for half in ("even", "odd"))
    assert_allclose(even + odd, 1.0)
    assert np.unique(even).size > 2


def test_chains_are_drawn_whole_and_pay_for_what_they_resend() -> None:
    def step(chain: int, number: int, answer: str, **more: Any) -> Sample:
        return sample(answer, answer == "1", chain=chain, step=number, **more)

    chains = [
        step(0, 0, "2", output_tokens=10, prompt_tokens=100),
        step(0, 1, "1", output_tokens=20, prompt_tokens=130),
        step(1, 0, "1", output_tokens=30, prompt_tokens=100),
        step(1, 1, "1", output_tokens=40, prompt_tokens=150),
    ]
    singles = [sample("1", True, output_tokens=15)] * 4
    log = log_of(line(singles, prompt_tokens=100), line(chains))
    menu = [a for a in build_menu(log) if a.strategy == "sequential_revision"]
    assert {(a.width, a.depth) for a in menu} == {(1, 2), (2, 2)}
    curves = measure_curves(log, menu)
    by_width = {a.width: column for column, a in enumerate(menu)}
    # One chain: a vote over its two steps, ties at random: (1/2 + 1) / 2; both chains: three of four votes.
    assert_allclose(curves.value[0, [by_width[1], by_width[2]]], [0.75, 1.0])
    assert_allclose(curves.output_tokens[0, [by_width[1], by_width[2]]], [50, 100])
    # The first attempts of both chains are one request: the question's 100 tokens are read once.
    assert_allclose(curves.prompt_tokens[0, [by_width[1], by_width[2]]], [240, 380])
    assert_array_equal(curves.samples[0, [by_width[1], by_width[2]]], [2, 4])


def test_recorded_runs_are_valued_by_their_mean() -> None:
    log = log_of(
        line([sample("1", True, output_tokens=10)] * 2),
        line(
            [sample("1", True, output_tokens=100), sample("2", output_tokens=300)],
            strategy="beam_search",
            params={"n": 16, "beam_width": 4},
        ),
    )
    menu = build_menu(log)
    column = next(i for i, a in enumerate(menu) if a.strategy == "beam_search")
    assert menu[column].n == 16
    curves = measure_curves(log, menu)
    assert curves.value[0, column] == 0.5
    assert curves.output_tokens[0, column] == 200
    assert curves.samples[0, column] == 16
    halves = [measure_curves(log, menu, half=half).value[0, column] for half in ("even", "odd")]
    assert halves == [1.0, 0.0]


def test_what_a_reward_model_read_is_measured_where_it_scores() -> None:
    def scored(*read: int | None) -> list[Sample]:
        return [sample("1", True, score=0.5, verifier_tokens=tokens) for tokens in read]

    log = log_of(
        line(scored(10, 20, None, 30)),
        line([{**sample("1", True), "verifier_tokens": n} for n in (500, 700)], **BEAM),
        line(scored(40) * 4, prompt_id="other"),
        line([sample("1", True)] * 2, prompt_id="other", **BEAM),
    )
    menu = build_menu(log)
    curves = measure_curves(log, menu)
    assert curves.verifier_tokens is not None

    def read(strategy: str, n: int) -> list[float]:
        column = next(i for i, a in enumerate(menu) if (a.strategy, a.n) == (strategy, n))
        assert curves.verifier_tokens is not None
        return [float(value) for value in curves.verifier_tokens[:, column]]

    assert_array_equal(read("beam_search", 16), [600, np.nan])
    assert_array_equal(read("best_of_n", 2), [40, 80])
    assert_array_equal(read("weighted_best_of_n", 3), [60, 120])
    assert_array_equal(read("majority_vote", 1), [np.nan, np.nan])


def test_attempts_of_chains_are_read_where_scores_select_among_them() -> None:
    attempts = [
        sample("1", True, chain=chain, step=step, score=0.5, verifier_tokens=10 + step)
        for chain in (0, 1)
        for step in (0, 1)
    ]
    log = log_of(line([sample("1", True, score=0.5)] * 4), line(attempts))
    chains = [
        Allocation(
            generator="g", strategy="sequential_revision", width=2, depth=2, params={"selection": selection}
        )
        for selection in ("majority", "hierarchical")
    ]
    curves = measure_curves(log, chains)
    assert not np.isnan(curves.value).any()
    assert_array_equal(curves.verifier_tokens, [[np.nan, 42]])


def test_a_log_without_it_has_none() -> None:
    log = log_of(line([sample("1", True, score=0.5)] * 4), line([sample("1", True)], **BEAM))
    curves = measure_curves(log, build_menu(log))
    assert curves.verifier_tokens is None


def test_the_order_of_allocations_does_not_matter() -> None:
    log = simulated_log(6, n_samples=5, scores=True)
    menu = list(build_menu(log))
    order = np.random.default_rng(0).permutation(len(menu))
    straight = measure_curves(log, menu)
    shuffled = measure_curves(log, [menu[index] for index in order])
    assert_array_equal(shuffled.value, straight.value[:, order])
    assert_array_equal(shuffled.output_tokens, straight.output_tokens[:, order])


@pytest.mark.parametrize("objective", ["accuracy", "coverage"])
def test_values_of_a_whole_menu_are_probabilities(objective: Any) -> None:
    log = simulated_log(8, n_samples=6, scores=True)
    value = measure_curves(log, build_menu(log, objective=objective)).value
    assert not np.isnan(value).any()
    assert value.min() >= 0
    assert value.max() <= 1


def test_helpers_of_this_file_count_votes_as_expected() -> None:
    assert vote([sample("1", True), sample("2")]) == 0.5
    assert Counter(a.strategy for a in build_menu(log_of(line([sample("1", True)] * 3)))) == {
        "majority_vote": 2
    }
