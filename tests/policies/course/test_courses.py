"""Courses: what may be said, what is decided before the first sample, and which prefix a cap leaves."""

from __future__ import annotations

import pytest

from difficulty.errors import InvalidInputError
from policies.course.allocation import Allocation
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Beta, Never, Success

CHAIN = Step(generator="a", n=3, kind="revise")
BEAM = Step(generator="a", n=8, kind="search", strategy="beam_search", params={"beam_width": 4})


def test_one_shot_says_that_nothing_is_asked_between_steps() -> None:
    pooled = Course(steps=waves("a", (2,)) + waves("b", (3,)))
    chains = Course(steps=(CHAIN,) * 4)
    assert pooled.one_shot and chains.one_shot
    assert not Course(steps=waves("a", (1, 1)), stop=Agreement(count=2)).one_shot


def test_a_course_of_one_step_has_nothing_to_ask_and_equals_the_one_without_a_rule() -> None:
    asked = Course(steps=waves("a", (4,)), stop=Agreement(count=2))
    assert asked.stop == Never() and asked == Course(steps=waves("a", (4,))) and asked.one_shot


@pytest.mark.parametrize(
    ("course", "rounds"),
    [
        (Course(steps=waves("a", (2, 2)) + waves("b", (3,))), 1),
        (Course(steps=waves("a", (2, 2)), stop=Agreement(count=2)), 2),
        (Course(steps=(CHAIN,) * 4), 4),
        (Course(steps=(*waves("a", (2,)), CHAIN, CHAIN)), 3),
        (Course(steps=(*waves("a", (2,)), BEAM), stop=Agreement(count=2)), 2),
    ],
)
def test_rounds_count_what_waits_for_an_earlier_step(course: Course, rounds: int) -> None:
    assert course.rounds == rounds
    assert course.within_rounds(rounds) == course
    if rounds > 1:
        shorter = course.within_rounds(rounds - 1)
        assert shorter.rounds <= rounds - 1 and shorter.steps == course.steps[: len(shorter.steps)]


def test_words_say_all_of_it() -> None:
    course = Course(
        steps=(*waves("a", (2, 2)), *waves("b", (1,))),
        selection=Selection(pooled=False, signal="score"),
        stop=Beta(threshold=0.9, futile_from=3, futile_below=0.6),
    )
    assert str(course) == (
        "a x2 2 times, b x1; vote by score of the last generator; until the leader is 90% sure, given up "
        "from 3 samples on below 60%"
    )
    assert str(Course(steps=(CHAIN, CHAIN), selection=Selection(of_chain="last"))) == (
        "a revised x3 2 times; vote of the last attempts"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Course(steps=()), "1 to 1,024 steps"),
        (lambda: Course(steps=waves("a", (1,) * 1025)), "1 to 1,024 steps"),
        (lambda: Course(steps=(BEAM, *waves("a", (1,)))), "alone or last"),
        (lambda: Course(steps=(CHAIN, Step(generator="a", n=2, kind="revise"))), "must be equal"),
        (lambda: Course(steps=waves("a", (1_000_000, 1))), "at most 1,000,000"),
        (lambda: Course(steps=waves("a", (1, 1)), stop=Success()), "stop with the first success"),
        (
            lambda: Course(
                steps=waves("a", (1, 1)), selection=Selection(by="first_success"), stop=Agreement(count=2)
            ),
            "stop with the first success",
        ),
        (lambda: Course(steps=waves("a", (1, 1)), stop=BestScore(threshold=0.5)), "reads one"),
        (lambda: Course(steps=(CHAIN,) * 2, selection=Selection(by="first_success")), "until it accepts"),
        (lambda: Step(generator="a", n=0), "1 to 1,000,000"),
        (lambda: Step(generator="a", strategy="beam_search"), "only a search"),
        (lambda: Step(generator="a", kind="search"), "strategy of a search must"),
        (
            lambda: Step(generator="a", kind="search", strategy="greedy"),
            "strategy of a search must",
        ),
        (lambda: Step(generator="a", kind="swim"), "kind of a step"),  # type: ignore[arg-type]
        (lambda: Step(generator="a", params={"colour": 1}), "no parameter colour"),
        (lambda: Step(generator="a", params={"temperature": -1.0}), "number >= 0"),
        (lambda: Step(generator="a", kind="revise", params={"context": 0}), "at least 1"),
        (lambda: Step(generator="a", kind="revise", params={"context": True}), "at least 1"),
        (lambda: Selection(by="best"), "needs a signal"),
        (lambda: Selection(by="luck"), "a selection is by"),  # type: ignore[arg-type]
        (lambda: Selection(by="first_success", signal="mean_logprob"), "accepts no sample"),
        (lambda: Selection(power=-1.0), "power"),
        (lambda: Selection(signal=""), "signal"),
        (lambda: Selection(weights={"a": 0.0}), "weight of 'a'"),
        (lambda: Selection(usual={"a": float("nan")}), "usual log-probability"),
        (lambda: Selection(threshold=float("nan")), "threshold"),
        (lambda: Selection(or_vote=True), "or_vote"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError, match=words):
        make()


def test_equal_courses_hash_alike_whatever_form_their_parts_came_in() -> None:
    first = Course(
        steps=(Step(generator="a", kind="revise", params={"context": 2, "instruction": "Again."}),) * 2,
        selection=Selection(weights={"b": 2, "a": 1.0}),
    )
    second = Course(
        steps=(Step(generator="a", kind="revise", params=(("instruction", "Again."), ("context", 2))),) * 2,
        selection=Selection(weights=(("a", 1.0), ("b", 2.0))),
    )
    assert first == second and hash(first) == hash(second)


def test_the_verifiers_that_a_selection_needs() -> None:
    assert Selection().verifiers == Selection(signal="mean_logprob").verifiers == ()
    assert Selection(by="best", signal="reward").verifiers == ("reward",)
    assert Selection(by="first_success").verifiers == ("score",)
    default = Selection(by="first_success", signal="score")  # the checker that has no name of its own
    assert str(default) == str(Selection(by="first_success")) == "first success"
    assert str(Selection(by="first_success", signal="tests")) == "first success by tests"
    assert Selection(by="first_success", signal="tests").verifiers == ("tests",)


def test_an_allocation_is_one_line_whatever_its_delimiter() -> None:
    search = Allocation(generator="tiny", strategy="dvts", width=4, params={"delimiter": "\n"})
    assert str(search) == r"tiny dvts N=4 delimiter=\n"
