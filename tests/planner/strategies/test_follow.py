"""Courses are followed step by step: stops, votes, scores, checkers, caps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest
from both_drivers import run_concurrently, run_lockstep
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_samples import Letters, Scripted, follow, work
from strategy_contract import GENERATOR, play

from difficulty.errors import UnknownGeneratorError
from difficulty.prompt import Prompt
from planner.drivers import Limits
from planner.simulated import SimulatedExtractor
from planner.strategies.follow import Follow
from planner.strategies.task import Task
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Beta, Never, Share, StopRule, Success, Unanimous


class ByHand(NamedTuple):
    """What a course comes to: how many samples, and who shares the lead."""

    n: int
    tied: frozenset[str]


def by_hand(course: Course, scripts: Mapping[str, str]) -> ByHand:
    """Follow a course of samples that votes plainly, in the most literal way."""
    drawn: list[tuple[str, str]] = []
    used = Counter[str]()
    stretch: list[str] = []
    before: frozenset[str] = frozenset()
    for number, step in enumerate(course.steps, start=1):
        if drawn and drawn[-1][0] != step.generator and not course.selection.pooled:
            before, stretch = (_modes(stretch) or before), []
        for _ in range(step.n):
            sign = scripts[step.generator][used[step.generator]]
            used[step.generator] += 1
            drawn.append((step.generator, sign))
            if sign not in "-!":
                stretch.append(sign)
        if number < len(course.steps) and _stops(course.stop, [sign for _, sign in drawn], stretch):
            break
    return ByHand(len(drawn), _modes(stretch) or before)


def _modes(votes: Sequence[str]) -> frozenset[str]:
    counts = Counter(votes)
    return frozenset(answer for answer, count in counts.items() if count == max(counts.values()))


def _stops(rule: StopRule, signs: Sequence[str], votes: Sequence[str]) -> bool:
    top = [count for _, count in Counter(votes).most_common(2)] + [0, 0]
    came = [sign for sign in signs if sign != "!"]
    match rule:
        case Agreement(count=count):
            return top[0] >= count
        case Share(share=share, least=least):
            return len(votes) >= least and top[0] >= share * len(votes)
        case Unanimous(window=window):
            last = came[-window:]
            return len(last) == window and len(set(last)) == 1 and last[0] != "-"
        case Beta(threshold=threshold):
            from scipy.stats import beta

            return bool(came) and bool(beta.sf(0.5, top[0] + 1, top[1] + 1) >= threshold)
        case _:
            return False


signs = st.text(alphabet="xxyz-!", min_size=8, max_size=8)


steps = st.lists(
    st.builds(Step, generator=st.sampled_from("ab"), n=st.integers(1, 3)), min_size=1, max_size=5
).filter(lambda found: all(sum(s.n for s in found if s.generator == g) <= 8 for g in "ab"))


rules = st.sampled_from(
    [
        Never(),
        Agreement(count=1),
        Agreement(count=2),
        Share(share=0.75),
        Unanimous(window=2),
        Beta(threshold=0.85),
        Beta(threshold=0.5),
    ]
)


@given(first=signs, second=signs, steps=steps, rule=rules, pooled=st.booleans(), seed=st.integers(0, 3))
@settings(max_examples=250, deadline=None)
def test_a_followed_course_draws_and_selects_as_by_hand(
    first: str, second: str, steps: list[Step], rule: StopRule, pooled: bool, seed: int
) -> None:
    course = Course(steps=tuple(steps), selection=Selection(pooled=pooled), stop=rule)
    scripts = {"a": first, "b": second}
    played = follow(course, Scripted(scripts), seed=seed)
    expected = by_hand(course, scripts)
    assert played.n_samples == expected.n
    answer = played.outcome.answer
    assert answer in expected.tied if expected.tied else answer is None
    assert len(played.rounds) <= course.rounds


def test_votes_begin_anew_with_a_generator_whose_samples_failed() -> None:
    steps = (Step(generator="a"), Step(generator="b", n=2), Step(generator="a"), Step(generator="b"))
    course = Course(
        steps=(*steps, Step(generator="a")), selection=Selection(pooled=False), stop=Agreement(count=2)
    )
    assert follow(course, Scripted({"a": "x!x", "b": "x-x"})).n_samples == 6


def test_ties_are_broken_by_seed_and_uniformly() -> None:
    course = Course(steps=waves("a", (2,)) + waves("b", (2,)))
    script = {"a": "xy", "b": "yx"}
    answers = Counter(follow(course, Scripted(script), seed=seed).outcome.answer for seed in range(200))
    # 200 fair coins leave [60, 140] with probability 1e-8.
    assert set(answers) == {"x", "y"} and 60 < answers["x"] < 140


@pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)
def test_both_drivers_carry_out_a_cascade_alike(driver: Callable[..., object]) -> None:
    course = Course(steps=waves("a", (2,)) + waves("b", (1,)), stop=Agreement(count=2))
    cheap, dear = (
        asyncio.run(driver([work(course)], backend=Scripted(script)))[0]  # type: ignore[arg-type]
        for script in ({"a": "xx", "b": "y"}, {"a": "xz", "b": "z"})
    )
    assert (cheap.answer, cheap.stop_reason, cheap.usage.samples) == ("x", "satisfied", 2)
    assert (dear.answer, dear.stop_reason, dear.usage.samples) == ("z", "complete", 3)
    assert cheap.allocation.parameters["course"] == str(course)


def test_what_nothing_is_asked_about_goes_in_one_round() -> None:
    pooled = Course(steps=waves("a", (2,)) + waves("b", (3,)))
    played = follow(pooled, Scripted({"a": "xx", "b": "yyy"}))
    assert played.samples_per_round == [5] and played.outcome.answer == "y"
    asked = Course(steps=pooled.steps, stop=Agreement(count=3))
    assert follow(asked, Scripted({"a": "xx", "b": "yyy"})).samples_per_round == [2, 3]


@pytest.mark.parametrize(
    "rule", [Beta(threshold=0.5), Beta(futile_from=1, futile_below=0.6), Agreement(count=1)]
)
def test_a_course_whose_samples_all_failed_has_failed(rule: StopRule) -> None:
    played = follow(Course(steps=waves("a", (2, 2)), stop=rule), Scripted({"a": "!!!!"}))
    assert played.outcome.stop_reason == "failed" and played.outcome.answer is None
    assert played.n_samples == 4


def test_a_failed_sample_is_no_evidence_for_giving_up() -> None:
    course = Course(steps=waves("a", (3, 1)), stop=Beta(threshold=1.0, futile_from=3, futile_below=0.8))
    assert follow(course, Scripted({"a": "xy-z"})).n_samples == 3
    assert follow(course, Scripted({"a": "xy!z"})).n_samples == 4


def test_a_failure_does_not_break_a_row_and_an_abstention_does() -> None:
    course = Course(steps=waves("a", (3, 1)), stop=Unanimous(window=2))
    assert follow(course, Scripted({"a": "x!xy"})).n_samples == 3
    assert follow(course, Scripted({"a": "x-xy"})).n_samples == 4


def test_votes_weighed_by_log_probability_and_the_best_by_it_need_no_verifier() -> None:
    source = Scripted({"a": "xxy"}, {"a": [-2.0, -2.0, -0.1]})
    steps = waves("a", (3,))
    weighed = Course(steps=steps, selection=Selection(signal="mean_logprob", power=3.0))
    best = Course(steps=steps, selection=Selection(by="best", signal="mean_logprob"))
    for course, rule in ((weighed, "weighted_best_of_n"), (best, "best_of_n")):
        outcome = follow(course, source).outcome
        assert (outcome.answer, outcome.selected_by) == ("y", rule)
        assert outcome.candidates[2].score == pytest.approx(0.905, abs=1e-3)
    mild = Course(steps=steps, selection=Selection(signal="mean_logprob", power=0.1))
    assert follow(mild, source).outcome.answer == "x"


def test_a_good_enough_score_stops_and_scores_are_asked_for_when_they_are_read() -> None:
    verifier = Letters({"x": 0.2, "y": 0.9})
    selection = Selection(by="best", signal="score")
    asked = Course(steps=waves("a", (1, 1, 1)), selection=selection, stop=BestScore(threshold=0.8))
    played = follow(asked, Scripted({"a": "xyx"}), verifier)
    assert (played.outcome.answer, played.n_samples, played.outcome.stop_reason) == ("y", 2, "satisfied")
    assert [len(request.completions) for request in verifier.seen] == [1, 1]
    verifier = Letters({"x": 0.2, "y": 0.9})
    follow(
        Course(steps=waves("a", (1, 2)), selection=selection, stop=Agreement(count=3)),
        Scripted({"a": "xyx"}),
        verifier,
    )
    assert [len(request.completions) for request in verifier.seen] == [3]


def test_each_generators_samples_are_scored_as_its_own() -> None:
    verifier = Letters({"x": 0.4, "y": 0.9})
    course = Course(steps=waves("a", (2,)) + waves("b", (1,)), selection=Selection(signal="score"))
    outcome = follow(course, Scripted({"a": "xx", "b": "y"}), verifier).outcome
    assert outcome.answer == "y" and outcome.selected_by == "weighted_best_of_n"
    assert [(r.generator, len(r.completions)) for r in verifier.seen] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(("script", "answer", "n"), [("yxxx", "y", 1), ("xxyx", "y", 4), ("xxxx", None, 5)])
def test_a_checker_ends_a_cascade_with_the_first_success(script: str, answer: str | None, n: int) -> None:
    course = Course(
        steps=waves("a", (1, 1, 2)) + waves("b", (1,)),
        selection=Selection(by="first_success"),
        stop=Success(),
    )
    played = follow(course, Scripted({"a": script, "b": "x"}), Letters({"y": 1.0}))
    assert (played.outcome.answer, played.n_samples) == (answer, n)
    assert played.outcome.stop_reason == ("satisfied" if answer else "complete")
    assert played.outcome.selected_by == ("first_success" if answer else "none")


def test_where_nothing_is_accepted_the_vote_may_decide() -> None:
    selection = Selection(by="first_success", or_vote=True)
    course = Course(steps=waves("a", (1, 2)), selection=selection, stop=Success())
    outcome = follow(course, Scripted({"a": "xzz"}), Letters({"y": 1.0})).outcome
    assert (outcome.answer, outcome.selected_by) == ("z", "majority_vote")


@pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)
def test_a_cap_ends_a_course_and_what_was_drawn_decides(driver: Callable[..., object]) -> None:
    course = Course(steps=waves("a", (2, 2, 2)), stop=Agreement(count=6))
    limits = Limits(max_samples=3)
    (outcome,) = asyncio.run(driver([work(course)], backend=Scripted({"a": "xxyyyy"}), limits=limits))  # type: ignore[arg-type]
    assert (outcome.answer, outcome.stop_reason, outcome.usage.samples) == ("x", "limit", 3)


@pytest.mark.parametrize("driver", [run_lockstep, run_concurrently], ids=lambda driver: driver.__name__)
def test_a_cheap_answer_is_the_last_resort(driver: Callable[..., object]) -> None:
    def price(usage, generator: str) -> float:  # type: ignore[no-untyped-def]
        return float(usage.samples) * (9.0 if generator == "b" else 1.0)

    limits = Limits(max_cost=2.0, price=price)
    course = Course(steps=waves("b", (2,)))
    for resort, answer in (("a", "x"), (None, None)):
        task = work(course, last_resort=resort)
        (outcome,) = asyncio.run(driver([task], backend=Scripted({"a": "x", "b": "yy"}), limits=limits))  # type: ignore[arg-type]
        assert (outcome.answer, outcome.stop_reason) == (answer, "budget")


def test_settings_of_every_generator_must_be_known() -> None:
    course = Course(steps=waves("tiny", (1,)) + waves("b", (1,)))
    task = Task(
        prompt=Prompt(id="p", text="question"),
        allocation=summary_of(course),
        generator=GENERATOR,
        extractor=SimulatedExtractor(),
        strategy=Follow(course=course),
    )
    with pytest.raises(UnknownGeneratorError, match="draws from 'b'"):
        play(task)


def test_courses_are_told_apart_by_identity() -> None:
    first, second = (Follow(course=Course(steps=waves("a", (n,)))).identity for n in (1, 2))
    assert first != second and first == Follow(course=Course(steps=waves("a", (1,)))).identity
