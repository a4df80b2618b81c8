"""What is paid of a sample is what the log records: its own prompt, the cached part, what was read of it."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, Step, waves
from policies.course.selection import LOGPROB, Selection
from policies.course.stop import Agreement, BestScore
from policies.menu.build import build_menu
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded
from policies.table.table import CourseTable

PRICED = Generator(name="a", params=1e9, usd_per_mtok_in=1.0, usd_per_mtok_out=4.0, usd_per_mtok_cached=0.25)
BY_SCORE = Selection(by="best", signal="score")
# Dear samples are the good ones, so that means over samples would mislead.
SAMPLES: list[dict[str, Any]] = [
    {"answer": "x", "correct": True, "mean_logprob": -0.1, "score": 0.9, "output_tokens": 50},
    {"answer": "y", "correct": False, "mean_logprob": -0.9, "score": 0.1, "output_tokens": 10},
]
SENT = [(900, 800), (300, 100)]
AGENT = [
    sample | {"prompt_tokens": sent, "cached_prompt_tokens": cached}
    for sample, (sent, cached) in zip(SAMPLES, SENT, strict=True)
]
BEST_OF_TWO = Course(steps=waves("a", (2,)), selection=Selection(by="best", signal=LOGPROB))
EAGER = Course(
    steps=waves("a", (1, 1)), stop=BestScore(threshold=-0.5), selection=Selection(by="best", signal=LOGPROB)
)


def log_of(*records: dict[str, Any], generator: Generator = PRICED) -> SampleLog:
    line = {"prompt_id": "p", "generator": "a"}
    return SampleLog.from_records([line | record for record in records], {"a": generator})


def measured(log: SampleLog, *courses: Course) -> CourseTable:
    return measure(log, Recorded.of(log, n_orders=2), build_menu(log), list(courses))


def costs(table: CourseTable, log: SampleLog, unit: Any, **figures: Any) -> dict[str, float]:
    model = CostModel(unit=unit, generators=log.generators, **figures)
    cost = table.cost(model, prompt_lengths(log))
    return {str(course): float(cost[0, at]) for at, course in enumerate(table.courses)}


@pytest.mark.parametrize(
    ("unit", "generator", "figures", "of_sample"),
    [
        ("usd", PRICED, {}, lambda sent, cached, out: (sent - cached + 0.25 * cached + 4 * out) / 1e6),
        # Without a price of its own a cached token costs what the model says, in full by default.
        ("usd", None, {}, lambda sent, cached, out: (sent + 4 * out) / 1e6),
        (
            "usd",
            None,
            {"cached_discount": 0.5},
            lambda sent, cached, out: (sent - cached / 2 + 4 * out) / 1e6,
        ),
        ("total_tokens", PRICED, {}, lambda sent, cached, out: sent + out),
        ("flops", PRICED, {}, lambda sent, cached, out: 2e9 * (sent - cached + out)),
    ],
)
def test_cached_tokens_are_paid_as_each_sample_recorded_them(
    unit: str, generator: Generator | None, figures: dict[str, float], of_sample: Any
) -> None:
    plain = Generator(name="a", usd_per_mtok_in=1.0, usd_per_mtok_out=4.0)
    log = log_of({"samples": AGENT}, generator=generator or plain)
    each = [
        of_sample(sent, cached, sample["output_tokens"])
        for sample, (sent, cached) in zip(SAMPLES, SENT, strict=True)
    ]
    found = costs(measured(log, EAGER), log, unit, **figures)
    assert found["a x1; vote"] == pytest.approx(sum(each) / 2)
    assert found[str(BEST_OF_TWO)] == pytest.approx(sum(each))
    # The good sample ends the course where it comes first.
    naive = np.mean([each[first] if first == 0 else sum(each) for first, _ in permutations(range(2))])
    assert found[str(EAGER)] == pytest.approx(naive)


def test_samples_that_were_all_cached_alike_sent_prompts_of_their_own() -> None:
    alike = [sample | {"prompt_tokens": 90, "cached_prompt_tokens": 80} for sample in SAMPLES]
    log = log_of({"samples": alike})
    found = costs(measured(log), log, "usd")
    assert found[str(BEST_OF_TWO)] == pytest.approx((2 * (10 + 0.25 * 80) + 4 * 60) / 1e6)


def test_a_cached_part_without_a_length_takes_nothing_off() -> None:
    """A line's prompt may be shorter than what a sample says was cached, and unknown lengths stay unknown."""
    odd = [sample | {"cached_prompt_tokens": 50} for sample in SAMPLES]
    log = log_of({"prompt_tokens": 20, "samples": odd})
    assert costs(measured(log), log, "usd")["a x1; vote"] == pytest.approx((0.25 * 20 + 4 * 30) / 1e6)
    log = log_of({"samples": odd})
    assert np.isnan(costs(measured(log), log, "usd")["a x1; vote"])


def test_chains_and_searches_pay_less_for_what_they_send_again() -> None:
    attempts = [
        SAMPLES[step % 2]
        | {"chain": chain, "step": step, "prompt_tokens": 100 + 70 * step, "cached_prompt_tokens": 60 * step}
        for chain in range(2)
        for step in range(3)
    ]
    run = SAMPLES[0] | {"prompt_tokens": 900, "cached_prompt_tokens": 700, "output_tokens": 80}
    search = Step(generator="a", n=2, kind="search", strategy="beam_search")
    log = log_of(
        {"prompt_tokens": 100, "samples": SAMPLES},
        {"strategy": "sequential_revision", "samples": attempts},
        {"strategy": "beam_search", "params": {"n": 2}, "samples": [run]},
    )
    probe = Course(steps=(*waves("a", (2,)), search), stop=Agreement(count=2))
    chain = Course(steps=(Step(generator="a", n=2, kind="revise"),) * 3, stop=Agreement(count=9))
    table = measured(log, probe, chain)
    found = costs(table, log, "usd")
    # Two chains of three attempts; the first two attempts read the question together.
    paid = 100 + 2 * (170 + 240) - 0.75 * 2 * (60 + 120) + 4 * (2 * 110)
    assert found["a revised x2 3 times; vote"] == pytest.approx(paid / 1e6)
    assert found[str(chain)] == pytest.approx(paid / 1e6)
    assert found[str(probe)] == pytest.approx((100 + 900 - 0.75 * 700 + 4 * (60 + 80)) / 1e6)
    alone = next(str(course) for course in table.courses if course.steps == (search,))
    assert found[alone] == pytest.approx((900 - 0.75 * 700 + 4 * 80) / 1e6)


def test_what_was_read_of_each_sample_is_charged_where_the_course_draws_it() -> None:
    read = [sample | {"verifier_tokens": tokens} for sample, tokens in zip(SAMPLES, (1000, 20), strict=True)]
    log = log_of({"prompt_tokens": 0, "samples": read})
    stops = Course(steps=waves("a", (1, 1)), stop=BestScore(threshold=0.8), selection=BY_SCORE)
    table = measured(log, stops)
    slot = table.slots.of(table.courses.index(stops))
    # The good sample ends it half of the time.
    assert_allclose(table.verifier_tokens[0, slot], [(1000 + 1020) / 2])
    search = Step(generator="a", n=2, kind="search", strategy="beam_search")
    run = SAMPLES[0] | {"verifier_tokens": 7, "prompt_tokens": 0}
    log = log_of(
        {"prompt_tokens": 0, "samples": read},
        {"strategy": "beam_search", "params": {"n": 2}, "samples": [run]},
    )
    probed = Course(steps=(*waves("a", (1,)), search), stop=BestScore(threshold=0.8), selection=BY_SCORE)
    table = measured(log, probed)
    slot = table.slots.of(table.courses.index(probed))
    assert_allclose(table.verifier_tokens[0, slot], [(1000 + 20 + 7) / 2])


def test_a_cached_token_is_never_dearer_than_another() -> None:
    with pytest.raises(InvalidInputError, match=r"usd_per_mtok_cached must be at most usd_per_mtok_in, 1.0"):
        Generator(name="a", usd_per_mtok_in=1.0, usd_per_mtok_cached=1.5)
