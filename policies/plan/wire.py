"""Write plans as JSON and read them back: one object per plan, one plan per line.

It assumes plans that fit in memory. Each schema that was ever written has a reader; unknown keys and schemas
are refused, and the values themselves are checked by `policies.plan.plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from difficulty.errors import InvalidInputError
from difficulty.files.lines import numbered_lines
from difficulty.files.whole import written_whole
from policies.course.allocation import Allocation, ParameterValue
from policies.course.course import Course
from policies.course.wire import CourseWire, course_from_wire, course_to_wire
from policies.plan.plan import AllocationPlan

PLAN_SCHEMA: Final = 2


class _AllocationWire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    generator: str
    strategy: str
    width: int
    depth: int
    params: dict[str, ParameterValue]


class _Plan1(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema: int
    prompt_id: str
    allocation: _AllocationWire
    expected_accuracy: float
    accuracy_interval: tuple[float, float]
    expected_cost: float
    cost_interval: tuple[float, float] | None = None  # the first plans had none
    unit: str
    objective: str
    price: float | None
    reason: str


class _Plan2(_Plan1, kw_only=True, forbid_unknown_fields=True):
    course: CourseWire | None
    cost_interval: tuple[float, float] | None
    familiarity: float | None
    draws: bool | msgspec.UnsetType = msgspec.UNSET  # written where nothing is drawn


class _Schema(msgspec.Struct):
    schema: int


def plan_to_json(plan: AllocationPlan) -> bytes:
    """Return a plan as one line of JSON, without the newline; equal plans give equal bytes.

    Examples
    --------
    >>> plan = AllocationPlan(
    ...     prompt_id="a",
    ...     allocation=Allocation(generator="small", strategy="greedy"),
    ...     expected_accuracy=0.5,
    ...     accuracy_interval=(0.4, 0.6),
    ...     expected_cost=1,
    ...     unit="samples",
    ... )
    >>> plan_from_json(plan_to_json(plan)) == plan
    True
    """
    allocation = plan.allocation
    return msgspec.json.encode(
        _Plan2(
            schema=PLAN_SCHEMA,
            prompt_id=plan.prompt_id,
            allocation=_AllocationWire(
                generator=allocation.generator,
                strategy=allocation.strategy,
                width=int(allocation.width),
                depth=int(allocation.depth),
                params=dict(allocation.params),
            ),
            expected_accuracy=plan.expected_accuracy,
            accuracy_interval=plan.accuracy_interval,
            expected_cost=plan.expected_cost,
            cost_interval=plan.cost_interval,
            unit=plan.unit,
            objective=plan.objective,
            price=plan.price,
            reason=plan.reason,
            course=None if plan.course is None else course_to_wire(plan.course),
            familiarity=plan.familiarity,
            draws=msgspec.UNSET if plan.draws else False,
        )
    )


def plan_from_json(line: bytes | str) -> AllocationPlan:
    """Read one plan.

    Raises
    ------
    InvalidInputError
        When the text is not JSON, has another schema, an unknown or missing key, or a value that cannot be.
    """
    try:
        schema = msgspec.json.decode(line, type=_Schema).schema
        if schema not in _READERS:
            raise InvalidInputError(
                f"a plan of schema {schema} cannot be read, only schema {', '.join(map(str, _READERS))}; "
                + (
                    "upgrade ttc-planner"
                    if schema > PLAN_SCHEMA
                    else "write the plan again with this version"
                )
            )
        return _READERS[schema](line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"not a plan: {error}") from error


def _read_1(line: bytes | str) -> AllocationPlan:
    """Read a plan that names an allocation: a course that asks nothing between its steps."""
    return _plan(msgspec.json.decode(line, type=_Plan1))


def _read_2(line: bytes | str) -> AllocationPlan:
    wire = msgspec.json.decode(line, type=_Plan2)
    course = None if wire.course is None else course_from_wire(wire.course)
    return replace(_plan(wire, course), familiarity=wire.familiarity, draws=wire.draws is not False)


def _plan(wire: _Plan1, course: Course | None = None) -> AllocationPlan:
    allocation = Allocation(
        generator=wire.allocation.generator,
        strategy=wire.allocation.strategy,  # type: ignore[arg-type]  # Allocation checks it
        width=wire.allocation.width,
        depth=wire.allocation.depth,
        params=wire.allocation.params,
    )
    return AllocationPlan(
        prompt_id=wire.prompt_id,
        allocation=allocation,
        course=course,
        expected_accuracy=wire.expected_accuracy,
        accuracy_interval=wire.accuracy_interval,
        expected_cost=wire.expected_cost,
        cost_interval=wire.cost_interval,
        unit=wire.unit,  # type: ignore[arg-type]  # AllocationPlan checks it
        objective=wire.objective,  # type: ignore[arg-type]  # AllocationPlan checks it
        price=wire.price,
        reason=wire.reason,
    )


# A change of what is written raises `PLAN_SCHEMA` and adds a reader; those of earlier schemas stay.
_READERS: Final[Mapping[int, Callable[[bytes | str], AllocationPlan]]] = {1: _read_1, 2: _read_2}


def write_plans(path: str | Path, plans: Iterable[AllocationPlan]) -> None:
    """Write plans to a JSON Lines file, replacing it as a whole."""
    with written_whole(Path(path)) as part:
        part.write_bytes(b"".join(plan_to_json(plan) + b"\n" for plan in plans))


def read_plans(path: str | Path) -> list[AllocationPlan]:
    """Read a JSON Lines file of plans; blank lines are skipped.

    Raises
    ------
    InvalidInputError
        When the file is not there or a line is not a plan; the message names file and line.
    """
    plans = []
    for number, line in numbered_lines(Path(path)):
        try:
            plans.append(plan_from_json(line))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}, line {number}: {error}") from error
    return plans
