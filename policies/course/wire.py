"""Courses as plain values for JSON, and back; nothing in what is read is believed without a check.

Names of rules and fields are those of the classes, numbers are checked by them, and unknown keys are refused.
Which file a course stands in, and which error a wrong one means there, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from inspect import signature
from typing import Final

import msgspec

from difficulty.errors import InvalidInputError
from policies.course.allocation import ParameterValue
from policies.course.course import Course, Step, StepKind
from policies.course.selection import ChainPart, Selection, SelectionName
from policies.course.stop import RULES, StopRule

_BY_NAME: Final[Mapping[str, type[StopRule]]] = {rule.__name__: rule for rule in RULES}


class _StepWire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    generator: str
    n: int = 1
    times: int = 1
    kind: StepKind = "sample"
    strategy: str = ""
    params: dict[str, ParameterValue] = {}


class _SelectionWire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    by: SelectionName = "vote"
    signal: str = "none"
    power: float = 1.0
    pooled: bool = True
    weights: dict[str, float] = {}
    usual: dict[str, float] = {}
    of_chain: ChainPart = "all"
    threshold: float = 0.5
    or_vote: bool = False


class CourseWire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A course in JSON; equal steps in a row are written once, with how many `times`."""

    steps: list[_StepWire]
    selection: _SelectionWire
    stop: dict[str, str | int | float]


@lru_cache(maxsize=4096)
def course_to_wire(course: Course) -> CourseWire:
    """Return what is written of a course, to be read only; equal courses give equal bytes.

    Raises
    ------
    InvalidInputError
        When its stop rule is not one of `policies.course.stop.RULES`.
    """
    steps: list[_StepWire] = []
    before: Step | None = None
    for step in course.steps:
        if step == before:
            steps[-1].times += 1
            continue
        before = step
        steps.append(
            _StepWire(
                generator=step.generator,
                n=int(step.n),
                kind=step.kind,
                strategy=step.strategy,
                params=step.parameters,
            )
        )
    chosen = {name: getattr(course.selection, name) for name in _SelectionWire.__struct_fields__}
    named = {name: dict(chosen[name]) for name in ("weights", "usual")}
    numbers = {name: float(chosen[name]) for name in ("power", "threshold")}
    selection = _SelectionWire(**chosen | named | numbers)
    return CourseWire(steps=steps, selection=selection, stop=_rule_to_wire(course.stop))


def course_from_wire(wire: CourseWire) -> Course:
    """Return the course that was written.

    Raises
    ------
    InvalidInputError
        When a name, field or number cannot be.
    """
    steps: list[Step] = []
    for one in wire.steps:
        if not 1 <= one.times <= 1024:
            raise InvalidInputError(f"a step stands 1 to 1,024 times in a course, got times={one.times}")
        step = Step(generator=one.generator, n=one.n, kind=one.kind, strategy=one.strategy, params=one.params)
        steps += [step] * one.times
        if len(steps) > 1024:
            break  # the course refuses them
    selection = Selection(**msgspec.structs.asdict(wire.selection))
    return Course(steps=tuple(steps), selection=selection, stop=_rule_from_wire(wire.stop))


def course_to_plain(course: Course) -> dict[str, object]:
    """Return a course as builtins, for JSON that is written elsewhere.

    Examples
    --------
    >>> from policies.course.course import waves
    >>> from policies.course.stop import Agreement
    >>> plain = course_to_plain(Course(steps=waves("tiny", (1, 1)), stop=Agreement(count=2)))
    >>> plain["steps"]
    [{'generator': 'tiny', 'n': 1, 'times': 2, 'kind': 'sample', 'strategy': '', 'params': {}}]
    >>> plain["stop"]
    {'rule': 'Agreement', 'count': 2}
    >>> course_to_plain(course_from_plain(plain)) == plain
    True
    """
    plain: dict[str, object] = msgspec.to_builtins(course_to_wire(course))
    return plain


def course_from_plain(plain: object) -> Course:
    """Return the course that `course_to_plain` wrote.

    Raises
    ------
    InvalidInputError
        When it is not of that form, or a name, field or number cannot be.
    """
    try:
        return course_from_wire(msgspec.convert(plain, CourseWire))
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"not a course: {error}") from error


def _rule_to_wire(rule: StopRule) -> dict[str, str | int | float]:
    name = type(rule).__name__
    if _BY_NAME.get(name) is not type(rule):
        raise InvalidInputError(f"rules that can be written are {', '.join(_BY_NAME)}; got {name}")
    return {"rule": name, **msgspec.to_builtins(rule)}


def _rule_from_wire(wire: Mapping[str, str | int | float]) -> StopRule:
    given = dict(wire)
    name = str(given.pop("rule", ""))
    kind = _BY_NAME.get(name)
    if kind is None:
        raise InvalidInputError(f"a stop rule is one of {', '.join(_BY_NAME)}; got {name!r}")
    unknown = sorted(set(given) - set(signature(kind).parameters))
    if unknown:
        raise InvalidInputError(f"{name} has no number {', '.join(unknown)}")
    try:
        rule: StopRule = msgspec.convert(given, kind)
        return rule
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{name}: {error}") from error
