"""Chains extended and searches after a probe: what recorded runs say, replayed as they would be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Never, Success, Unanimous
from policies.menu.build import build_menu
from policies.table.grid_deeper import deeper
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded, Source
from policies.table.replay import replay
from training.simulated.strategies import simulated_strategies

CHAIN = Step(generator="a", kind="revise")
SEARCH = Step(generator="a", n=4, kind="search", strategy="beam_search")


def sample(sign: str, **more: object) -> dict[str, object]:
    """One letter: x is right, - abstains."""
    return {"answer": None if sign == "-" else sign, "correct": sign == "x", "output_tokens": 5, **more}


def log_of(
    samples: str, chains: tuple[str, ...] = (), runs: str = "", *, scores: dict[str, float] | None = None
) -> SampleLog:
    """One prompt of 10 tokens; each later attempt re-sends 7 more, and a run sends 60 and writes 40."""
    line = {"prompt_id": "p", "generator": "a"}
    scored = (lambda sign: {"score": scores[sign]}) if scores else (lambda sign: {})
    records = [line | {"prompt_tokens": 10, "samples": [sample(sign, **scored(sign)) for sign in samples]}]
    attempts = [
        sample(sign, chain=chain, step=step, prompt_tokens=10 + 7 * step, **scored(sign))
        for chain, signs in enumerate(chains)
        for step, sign in enumerate(signs)
    ]
    if attempts:
        records.append(line | {"strategy": "sequential_revision", "samples": attempts})
    if runs:
        drawn = [sample(sign, prompt_tokens=60) | {"output_tokens": 40} for sign in runs]
        records.append(line | {"strategy": "beam_search", "params": {"n": 4}, "samples": drawn})
    return SampleLog.from_records(records, {"a": Generator(name="a")})


def test_a_chain_goes_on_until_its_attempts_agree() -> None:
    recorded = Recorded.of(log_of("x", ("xyy", "xxz")), n_orders=2)
    course = Course(steps=(CHAIN,) * 3, stop=Agreement(count=2))
    table = replay(recorded, [course])
    # One chain stops after two attempts with x, the other after three with y.
    assert table.value[0, 0] == 0.5
    assert table.samples[0, 0] == table.requests[0, 0] == table.rounds[0, 0] == 2.5
    # Prompts beyond one per step: 7 for the second attempt, 14 for the third.
    assert table.resent_tokens[0, 0] == (7 + 21) / 2


def test_a_chain_goes_on_until_a_checker_accepts() -> None:
    """A chain that ended right is never asked to go on; one that ended wrong tells no more than it has."""
    log, selection = log_of("y", ("yzx", "yx", "yzz")), Selection(by="first_success")
    courses = [Course(steps=(CHAIN,) * n, selection=selection, stop=Success()) for n in (2, 3)]
    table = replay(Recorded.of(log, n_orders=3, checked=True), courses)
    assert table.value[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert table.samples[0].tolist() == pytest.approx([2, 8 / 3])
    assert table.output_tokens[0].tolist() == pytest.approx([10, 40 / 3])
    assert table.resent_tokens[0].tolist() == pytest.approx([7, 7 + 14 * 2 / 3])
    # Without a checker the shortest chain tells how far all go.
    assert np.isnan(replay(Recorded.of(log, n_orders=3), courses[1:]).value[0, 0])


def test_chains_for_a_checker_are_laid_out_after_cheaper_samples_too() -> None:
    recorded = Recorded.of(log_of("yx", ("yzx", "yxz")), n_orders=2, checked=True)
    courses = deeper(recorded, {}, coverage=True)
    assert {course.stop for course in courses} == {Success()}
    assert Course(steps=(CHAIN,) * 3, selection=Selection(by="first_success"), stop=Success()) in courses
    assert any(course.steps[0].kind == "sample" and course.steps[-1] == CHAIN for course in courses)


def test_chains_side_by_side_are_drawn_step_by_step() -> None:
    recorded = Recorded.of(log_of("x", ("xyx", "yzz")), n_orders=2)
    both = recorded.of_source(Source("a", 2))
    assert both.n.tolist() == [6]
    steps = (
        {tuple(row) for row in both.answer[0][:, ::2].tolist()},
        {tuple(row) for row in both.answer[0][:, 1::2].tolist()},
    )
    assert steps[0] == steps[1] and len(steps[0]) == 2
    two = Course(steps=(Step(generator="a", n=2, kind="revise"),) * 3, stop=Agreement(count=6))
    table = replay(recorded, [two])
    assert table.samples[0, 0] == 6 and table.requests[0, 0] == 3
    # First attempts share a prompt; each later step sends two, of which one is charged by its request.
    assert table.resent_tokens[0, 0] == 7 + (10 + 7) + 14 + (10 + 14)


def test_a_chain_that_asks_nothing_is_what_its_estimator_says() -> None:
    log = simulated_strategies(40, n_samples=4, n_chains=3, n_steps=3, sizes=(), seed=3)
    menu = build_menu(log)
    recorded = Recorded.of(log, n_orders=6)
    chains = [a for a in menu if a.strategy == "sequential_revision"]
    exact = measure(log, recorded, chains, [])
    replayed = replay(recorded, exact.courses)
    assert replayed.value == pytest.approx(exact.value, abs=1e-5)
    for name in ("samples", "requests", "rounds", "output_tokens", "resent_tokens"):
        assert getattr(replayed, name) == pytest.approx(getattr(exact, name), rel=1e-5)
    # So a rule that never fires is corrected to it.
    never_agree = Course(steps=exact.courses[-1].steps, stop=Agreement(count=99))
    table = measure(log, Recorded.of(log, n_orders=1), chains, [never_agree])
    assert table.value[:, -1] == pytest.approx(exact.value[:, -1], abs=1e-5)


def test_a_search_follows_where_the_probe_disagrees() -> None:
    course = Course(steps=(*waves("a", (2,)), SEARCH), stop=Agreement(count=2))
    agreed, apart = (replay(Recorded.of(log_of(signs, runs="xy")), [course]) for signs in ("xx", "xy"))
    assert agreed.value[0, 0] == 1.0 and agreed.samples[0, 0] == 2 and agreed.rounds[0, 0] == 1
    assert apart.value[0, 0] == 0.5  # of two runs
    assert apart.samples[0, 0] == 2 + 4 and apart.requests[0, 0] == apart.rounds[0, 0] == 2
    assert apart.output_tokens[0, 0] == 10 + 40
    # Its requests sent 60 tokens, of which one prompt is charged by the one request that is counted.
    assert apart.resent_tokens[0, 0] == 50
    assert agreed.resent_tokens[0, 0] == agreed.verifier_tokens[0, 0] == 0
    # Its reward model reads the prompt of each sample, and all that is written.
    assert apart.verifier_tokens[0, 0] == 4 * 10 + 40


def test_a_silent_search_leaves_what_stood_before() -> None:
    course = Course(steps=(*waves("a", (1,)), SEARCH), stop=Agreement(count=2))
    # Where no run says what it answered, nobody knows that one was silent.
    assert replay(Recorded.of(log_of("x", runs="-")), [course]).value[0, 0] == 0.0
    assert replay(Recorded.of(log_of("x", runs="--y")), [course]).value[0, 0] == pytest.approx(2 / 3)


def test_a_good_score_spares_a_search() -> None:
    good = Selection(by="best", signal="score")
    course = Course(steps=(*waves("a", (1,)), SEARCH), selection=good, stop=BestScore(threshold=0.8))
    scores = {"x": 0.9, "y": 0.1}
    spared = replay(Recorded.of(log_of("x", runs="y", scores=scores)), [course])
    searched = replay(Recorded.of(log_of("y", runs="x", scores=scores)), [course])
    assert spared.value[0, 0] == searched.value[0, 0] == 1.0
    assert (spared.samples[0, 0], searched.samples[0, 0]) == (1, 5)
    # Samples that are scored are read, too.
    assert spared.verifier_tokens[0, 0] == 10 + 5
    assert searched.verifier_tokens[0, 0] == 10 + 5 + 4 * 10 + 40


def test_prompts_are_priced_with_all_that_is_sent_again() -> None:
    log = log_of("xy", ("xyx",), runs="x")
    courses = [
        Course(steps=(CHAIN,) * 3, stop=Unanimous(window=2)),
        Course(steps=(*waves("a", (2,)), SEARCH), stop=Agreement(count=2)),
    ]
    table = measure(log, Recorded.of(log), [], courses)
    cost = table.cost(CostModel(unit="total_tokens", generators=log.generators), prompt_lengths(log))
    assert cost[0].tolist() == [3 * 5 + 10 + 17 + 24, 2 * 5 + 40 + 10 + 60]


def test_what_was_not_recorded_is_refused_by_name() -> None:
    recorded = Recorded.of(log_of("xy", ("xy",), runs="x"))
    for course, words in (
        (Course(steps=(Step(generator="a", kind="revise", params={"context": 2}),) * 2), "no chains"),
        (
            Course(steps=(*waves("a", (1,)), Step(generator="a", n=8, kind="search", strategy="dvts"))),
            "no run",
        ),
        (Course(steps=(CHAIN,) * 2, selection=Selection(by="best", signal="score")), "score is not recorded"),
        (Course(steps=(CHAIN,) * 2, selection=Selection(of_chain="last")), "no chains"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            replay(recorded, [course])
    longer = replay(recorded, [Course(steps=(CHAIN,) * 3, stop=Agreement(count=3))])
    assert np.isnan(longer.value).all()


def test_the_grid_goes_deeper_only_where_runs_are_recorded() -> None:
    assert deeper(Recorded.of(log_of("xyxy")), {}) == []
    found = deeper(Recorded.of(log_of("xyxy", ("xyx", "xxx"), runs="x")), {})
    assert all(not isinstance(course.stop, Never) for course in found)
    kinds = {tuple(step.kind for step in course.steps) for course in found}
    assert {("revise",) * 3, ("sample", "search"), ("sample", "sample", "search")} <= kinds
    assert ("sample", "revise", "revise", "revise") in kinds
    assert len(found) == len(set(found)) < 400


def test_halves_of_runs_share_nothing() -> None:
    log = log_of("xyxy", ("xx", "yy"), runs="xy")
    course = Course(steps=(*waves("a", (1,)), SEARCH), stop=Agreement(count=2))
    even, odd = (replay(Recorded.of(log, half=half), [course]).value[0, 0] for half in ("even", "odd"))
    assert {float(even), float(odd)} == {0.0, 1.0}
