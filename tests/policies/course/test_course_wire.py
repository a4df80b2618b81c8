"""Courses survive the trip through JSON, and nothing else is taken for one; allocations are courses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from policies.course.allocate import course_of, summary_of
from policies.course.allocation import Allocation
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Beta, Never, Share, Success, Unanimous
from policies.course.wire import course_from_plain, course_to_plain

names = st.sampled_from(["small", "large/cot", "ä"])
samples = st.builds(
    Step, generator=names, n=st.integers(1, 9), params=st.sampled_from([{}, {"temperature": 0.3}])
)
searches = st.builds(
    Step,
    generator=names,
    n=st.integers(1, 9),
    kind=st.just("search"),
    strategy=st.sampled_from(["beam_search", "dvts"]),
    params=st.dictionaries(st.text(max_size=4), st.integers(-3, 3) | st.text(max_size=3), max_size=2),
)
selections = st.builds(
    Selection,
    by=st.sampled_from(["vote", "best"]),
    signal=st.sampled_from(["mean_logprob", "score", "learned"]),
    power=st.floats(0, 9),
    pooled=st.booleans(),
    weights=st.dictionaries(names, st.floats(0.1, 9), max_size=2),
    usual=st.dictionaries(names, st.floats(-9, 0), max_size=2),
    of_chain=st.sampled_from(["all", "last", "best"]),
)
rules = st.one_of(
    st.just(Never()),
    st.builds(Agreement, count=st.integers(1, 9)),
    st.builds(Share, share=st.floats(0.1, 1), least=st.integers(1, 9)),
    st.builds(
        Beta, threshold=st.floats(0.1, 1), futile_from=st.integers(0, 9), futile_below=st.floats(0, 0.9)
    ),
    st.builds(Unanimous, window=st.integers(1, 9)),
    st.builds(BestScore, threshold=st.floats(-9, 9)),
)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Return any course that is selected without a checker."""
    steps = draw(st.lists(samples, max_size=4))
    if draw(st.booleans()):
        chain = draw(st.builds(Step, generator=names, n=st.integers(1, 3), kind=st.just("revise")))
        steps += [chain] * draw(st.integers(1, 3))
    if not steps or draw(st.booleans()):
        steps.append(draw(searches))
    return Course(steps=tuple(steps), selection=draw(selections), stop=draw(rules))


@given(courses())
def test_round_trip(course: Course) -> None:
    plain = course_to_plain(course)
    assert course_from_plain(plain) == course
    line = msgspec.json.encode(plain)
    assert course_from_plain(msgspec.json.decode(line)) == course
    assert msgspec.json.encode(course_to_plain(course_from_plain(plain))) == line


@given(courses())
def test_a_summary_says_the_first_generator_and_the_most_that_may_be_drawn(course: Course) -> None:
    summary = summary_of(course)
    assert summary.generator == course.steps[0].generator and summary.n == course.n
    if "course" in summary.parameters:
        assert summary.parameters["course"] == str(course)
        with pytest.raises(InvalidInputError, match="only sums up a course"):
            course_of(summary)
    else:
        assert course_of(summary) == course


CHECKED = Course(
    steps=waves("small", (1, 1)), selection=Selection(by="first_success", signal="tests"), stop=Success()
)
PLAIN = course_to_plain(CHECKED)


def change(path: str, value: Any) -> dict[str, Any]:
    """Return the plain course with one value changed, or removed where it is None."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(PLAIN))
    at: Any = plain
    *parents, last = path.split(".")
    for part in parents:
        at = at[int(part) if part.isdigit() else part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (change("colour", 1), "unknown field `colour`"),
        (change("stop.rule", "Always"), "Always"),
        (change("stop.count", 3), "no number count"),
        (change("stop", None), "stop"),
        (change("steps", []), "1 to 1,024 steps"),
        (change("steps.0.n", 0), "1 to 1,000,000"),
        (change("steps.0.n", 10**30), "n"),
        (change("steps.0.times", 0), "times"),
        (change("steps.0.times", 10**9), "times"),
        (change("steps.0.kind", "swim"), "swim"),
        (change("steps.0.params", {"temperature": "hot"}), "temperature"),
        (change("selection.by", "luck"), "luck"),
        (change("selection.power", -1.0), "power"),
        (change("selection.weights", {"small": 0}), "weight"),
        (change("selection.weights", [1]), "object"),
        ([], "not a course"),
        (None, "not a course"),
    ],
)
def test_other_things_are_refused(plain: object, words: str) -> None:
    assert course_from_plain(PLAIN) == CHECKED
    with pytest.raises(InvalidInputError, match=words):
        course_from_plain(plain)


def test_a_rule_of_ones_own_cannot_be_written() -> None:
    class Moody(Agreement):
        pass

    with pytest.raises(InvalidInputError, match="Moody"):
        course_to_plain(Course(steps=waves("a", (1, 1)), stop=Moody()))


@pytest.mark.parametrize(
    ("changes", "course"),
    [
        ({"strategy": "greedy"}, "a x1; vote"),
        ({"strategy": "majority_vote", "width": 4}, "a x4; vote"),
        ({"strategy": "best_of_n", "width": 4, "params": {"verifier": "learned"}}, "a x4; best by learned"),
        ({"strategy": "weighted_best_of_n", "width": 4}, "a x4; vote by score"),
        (
            {"strategy": "weighted_best_of_n", "width": 4, "params": {"aggregate": "max"}},
            "a x4; best by score",
        ),
        ({"strategy": "first_success", "width": 4}, "a x4; first success"),
        ({"strategy": "sequential_revision", "width": 2, "depth": 2}, "a revised x2 2 times; vote"),
        (
            {"strategy": "sequential_revision", "depth": 2, "params": {"selection": "hierarchical"}},
            "a revised x1 2 times; vote by score of the best attempts",
        ),
        (
            {"strategy": "beam_search", "width": 4, "params": {"beam_width": 2, "n": 4}},
            "a beam_search x4; vote",
        ),
    ],
)
def test_an_allocation_is_a_course_that_asks_nothing(changes: dict[str, Any], course: str) -> None:
    found = course_of(Allocation(generator="a", **changes))
    assert str(found) == course and found.one_shot
    assert course_of(summary_of(found)) == found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "majority_vote", "params": {"verifier": "score"}}, "no parameter verifier"),
        ({"strategy": "best_of_n", "params": {"verifier": 3}}, "wrong type"),
        ({"strategy": "weighted_best_of_n", "params": {"aggregate": "mean"}}, "wrong type or value"),
        ({"strategy": "first_success", "params": {"threshold": True}}, "wrong type"),
        ({"strategy": "majority_vote", "width": 4, "depth": 2}, "depth 1"),
        ({"strategy": "greedy", "width": 2}, "one sample"),
        ({"strategy": "dvts", "width": 4, "params": {"n": 8}}, "must equal the width"),
        ({"strategy": "sequential_revision", "params": {"selection": "best", "verifier": ""}}, "verifier"),
        ({"strategy": "sequential_revision", "depth": 2000}, "1,024 attempts"),
    ],
)
def test_allocations_that_cannot_be_carried_out_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        course_of(Allocation(generator="a", **changes))
