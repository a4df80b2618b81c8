"""Write plans as JSON and read them back: one object per plan, one plan per line.

It assumes plans that fit in memory. Each schema that was ever written has a reader; unknown keys and schemas
are refused, and the values themselves are checked by `policies.plan.plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from difficulty.errors import InvalidInputError
from difficulty.files.lines import numbered_lines
from difficulty.files.whole import written_whole
from policies.course.allocation import Allocation, ParameterValue
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


# A change of what is written raises `PLAN_SCHEMA` and adds a form; those of earlier schemas stay.
_WIRES: Final[Mapping[int, type[_Plan1]]] = {1: _Plan1, 2: _Plan2}
_AS_THEY_ARE: Final = tuple(set(_Plan2.__struct_fields__) - {"schema", "allocation", "course", "draws"})


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
            allocation=_AllocationWire(
                generator=allocation.generator,
                strategy=allocation.strategy,
                width=int(allocation.width),
                depth=int(allocation.depth),
                params=dict(allocation.params),
            ),
            course=None if plan.course is None else course_to_wire(plan.course),
            draws=msgspec.UNSET if plan.draws else False,
            **{name: getattr(plan, name) for name in _AS_THEY_ARE},
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
        if schema not in _WIRES:
            newer, known = schema > PLAN_SCHEMA, ", ".join(map(str, _WIRES))
            remedy = "upgrade ttc-planner" if newer else "write the plan again with this version"
            raise InvalidInputError(
                f"a plan of schema {schema} cannot be read, only schema {known}; {remedy}"
            )
        return _plan(msgspec.json.decode(line, type=_WIRES[schema]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"not a plan: {error}") from error


def _plan(wire: _Plan1) -> AllocationPlan:
    given = {name: getattr(wire, name) for name in wire.__struct_fields__ if name != "schema"}
    given["allocation"] = Allocation(**msgspec.structs.asdict(wire.allocation))
    if isinstance(wire, _Plan2):  # the first schema named an allocation: nothing is asked between its steps
        given["course"] = None if wire.course is None else course_from_wire(wire.course)
        given["draws"] = wire.draws is not False
    return AllocationPlan(**given)


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
