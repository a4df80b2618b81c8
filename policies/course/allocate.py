"""From allocations to courses and back: a course of one decision is an allocation, any other is summed up.

A summary names the first generator, a strategy and the most that may be drawn, and says the rest in words
under the parameter ``course``; it is for people and reports, and is never carried out in place of the course.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from difficulty.errors import InvalidInputError
from policies.course.allocation import Allocation, ParameterValue
from policies.course.course import MAX_STEPS, Course, Step
from policies.course.selection import NO_SIGNAL, PLAIN_VOTE, Selection
from policies.course.strategies import StrategyName

# The words of a course that is more than its summary can say.
_WORDS: Final = "course"
_GREEDY: Final = (("temperature", 0.0),)


@lru_cache(maxsize=4096)
def course_of(allocation: Allocation) -> Course:
    """Return the course that an allocation is: everything is decided before the first sample.

    Raises
    ------
    InvalidInputError
        When a parameter is unknown or of a wrong type, when width or depth do not suit the strategy, or when
        the allocation sums up a course and is none.

    Examples
    --------
    >>> str(course_of(Allocation(generator="tiny", strategy="best_of_n", width=8)))
    'tiny x8; best by score'
    """
    params = allocation.parameters
    if _WORDS in params:
        raise InvalidInputError(
            f"the allocation {allocation} only sums up a course; carry out the plan that has it in full"
        )
    if allocation.depth > 1 and allocation.strategy != "sequential_revision":
        raise InvalidInputError(
            f"{allocation.strategy} has depth 1; depth {allocation.depth} needs sequential_revision"
        )
    if params.get("n", allocation.width) != allocation.width:
        raise InvalidInputError(
            f"{allocation.strategy}: the parameter n must equal the width {allocation.width}"
        )

    own = {key: value for key, value in params.items() if key != "n"}
    step = Step(generator=allocation.generator, n=allocation.width)
    if allocation.traits.kind == "search":
        return Course(steps=(replace(step, kind="search", strategy=allocation.strategy, params=own),))
    given = _Given(allocation.strategy, own)
    if allocation.traits.kind == "revision":
        return _revised(allocation, given)
    selection = _SELECTIONS[allocation.strategy](given)
    given.end()
    if allocation.strategy == "greedy":
        if allocation.width > 1:
            raise InvalidInputError(
                f"greedy draws one sample, got width {allocation.width}; use majority_vote"
            )
        step = replace(step, params=_GREEDY)
    return Course(steps=(step,), selection=selection)


@lru_cache(maxsize=4096)
def summary_of(course: Course) -> Allocation:
    """Return the allocation that sums up a course: first generator, strategy, the most that may be drawn.

    Where the course is no more than that, the allocation says all of it and `course_of` returns the course.

    Examples
    --------
    >>> from policies.course.course import waves
    >>> from policies.course.stop import Agreement
    >>> print(summary_of(Course(steps=waves("tiny", (8,)))))
    tiny majority_vote N=8
    >>> print(summary_of(Course(steps=waves("tiny", (2, 2)), stop=Agreement(count=2))))
    tiny majority_vote N=4 course=tiny x2 2 times; vote; until 2 agree
    """
    plain = _plain(course)
    try:
        whole = course_of(plain) == course
    except InvalidInputError:
        whole = False
    return plain if whole else replace(plain, params={**plain.parameters, _WORDS: str(course)})


class _Given:
    """Parameters of a strategy, taken one by one; what is left over is unknown."""

    def __init__(self, strategy: str, params: Mapping[str, ParameterValue]) -> None:
        self._strategy, self._left, self._known = strategy, dict(params), list[str]()

    def take(self, name: str, default: Any, *allowed: str) -> Any:
        self._known.append(name)
        value = self._left.pop(name, default)
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        fits = isinstance(value, kinds) and (isinstance(default, bool) or not isinstance(value, bool))
        if not fits or (allowed and value not in allowed):
            expected = ", ".join(allowed) if fits else type(default).__name__
            raise InvalidInputError(
                f"{self._strategy}: {name} has a wrong type or value: expected {expected}, got {value!r}"
            )
        return value

    def end(self) -> None:
        if self._left:
            raise InvalidInputError(
                f"{self._strategy} has no parameter {', '.join(sorted(self._left))}; allowed: "
                f"{', '.join(self._known) or 'none'}"
            )


def _best(given: _Given) -> Selection:
    return Selection(by="best", signal=given.take("verifier", "score"))


def _weighted(given: _Given) -> Selection:
    signal = given.take("verifier", "score")
    highest = given.take("aggregate", "sum", "sum", "max") == "max"
    return Selection(by="best" if highest else "vote", signal=signal)


def _first_success(given: _Given) -> Selection:
    checker = given.take("verifier", "score")
    threshold = float(given.take("threshold", 0.5))
    or_vote = given.take("fallback", "none", "none", "majority_vote") == "majority_vote"
    return Selection(by="first_success", signal=checker, threshold=threshold, or_vote=or_vote)


_SELECTIONS: Final[Mapping[str, Callable[[_Given], Selection]]] = {
    "greedy": lambda given: PLAIN_VOTE,
    "majority_vote": lambda given: PLAIN_VOTE,
    "best_of_n": _best,
    "weighted_best_of_n": _weighted,
    "first_success": _first_success,
}


def _revised(allocation: Allocation, given: _Given) -> Course:
    how = given.take("selection", "majority", "majority", "hierarchical", "last", "best")
    verifier = given.take("verifier", "score")
    settings = {name: given.take(name, usual) for name, usual in _USUAL_SETTINGS.items()}
    given.end()
    if how == "best" and not verifier:
        raise InvalidInputError("selection 'best' needs a verifier; name one or use 'majority'")
    if allocation.depth > MAX_STEPS:
        raise InvalidInputError(f"a chain has at most {MAX_STEPS:,} attempts, got {allocation.depth}")
    signal = verifier if how in ("hierarchical", "best") and verifier else NO_SIGNAL
    step = Step(
        generator=allocation.generator,
        n=allocation.width,
        kind="revise",
        params={key: value for key, value in settings.items() if value != _USUAL_SETTINGS[key]},
    )
    selection = {
        "majority": Selection(),
        "last": Selection(of_chain="last"),
        "hierarchical": Selection(signal=signal, of_chain="best"),
    }.get(how) or Selection(by="best", signal=signal)
    return Course(steps=(step,) * allocation.depth, selection=selection)


_USUAL_SETTINGS: Final[Mapping[str, ParameterValue]] = {"instruction": "", "delimiter": "\n\n", "context": 4}


def _plain(course: Course) -> Allocation:
    """Return the allocation nearest to a course."""
    first, last = course.steps[0], course.steps[-1]
    if last.kind == "search":
        return Allocation(
            generator=first.generator,
            strategy=last.strategy,  # type: ignore[arg-type]  # a step checks it
            width=course.n,
            params=last.params,
        )
    if any(step.kind == "revise" for step in course.steps):
        return _plain_chains(course)
    strategy, params = _plain_selection(course)
    return Allocation(generator=first.generator, strategy=strategy, width=course.n, params=params)


def _plain_selection(course: Course) -> tuple[StrategyName, dict[str, ParameterValue]]:
    chosen = course.selection
    if chosen.by == "best":
        return "best_of_n", {"verifier": chosen.signal}
    if chosen.by == "first_success":
        params: dict[str, ParameterValue] = {}
        if chosen.signal != NO_SIGNAL:
            params["verifier"] = chosen.signal
        if chosen.threshold != 0.5:
            params["threshold"] = chosen.threshold
        if chosen.or_vote:
            params["fallback"] = "majority_vote"
        return "first_success", params
    if chosen.signal != NO_SIGNAL:
        return "weighted_best_of_n", {"verifier": chosen.signal}
    return ("greedy" if course.steps[0].params == _GREEDY and course.n == 1 else "majority_vote"), {}


def _plain_chains(course: Course) -> Allocation:
    chains = [step for step in course.steps if step.kind == "revise"]
    chosen = course.selection
    params: dict[str, ParameterValue] = dict(chains[0].params)
    how = {"all": "majority", "last": "last", "best": "hierarchical"}[chosen.of_chain]
    if chosen.by == "best":
        how = "best"
    if how != "majority":
        params["selection"] = how
    if how in ("hierarchical", "best"):
        params["verifier"] = "" if chosen.signal == NO_SIGNAL else chosen.signal
    whole = len(chains) == len(course.steps)
    return Allocation(
        generator=course.steps[0].generator,
        strategy="sequential_revision",
        width=chains[0].n if whole else course.n,
        depth=len(chains) if whole else 1,
        params=params,
    )
