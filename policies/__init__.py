"""Decision: what each amount of compute is worth to a prompt, what it costs, and what to buy.

Names are imported on first use, so that planning loads no more of this room than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policies.cost.budget import Budget
    from policies.cost.cost_model import CostModel
    from policies.cost.latency import DecodeModel
    from policies.cost.usage import Usage
    from policies.course.allocation import Allocation
    from policies.menu.build import build_menu
    from policies.menu.curves import CurveTable, measure_curves
    from policies.plan.plan import AllocationPlan
    from policies.plan.wire import plan_from_json, plan_to_json, read_plans, write_plans
    from policies.solver.hull import upper_hull
    from policies.solver.solution import Solution
    from policies.solver.solver import solve

__all__ = [
    "Allocation",
    "AllocationPlan",
    "Budget",
    "CostModel",
    "CurveTable",
    "DecodeModel",
    "Solution",
    "Usage",
    "build_menu",
    "measure_curves",
    "plan_from_json",
    "plan_to_json",
    "read_plans",
    "solve",
    "upper_hull",
    "write_plans",
]

_HOMES: Final = {
    "Allocation": "policies.course.allocation",
    "AllocationPlan": "policies.plan.plan",
    "Budget": "policies.cost.budget",
    "CostModel": "policies.cost.cost_model",
    "CurveTable": "policies.menu.curves",
    "DecodeModel": "policies.cost.latency",
    "Solution": "policies.solver.solution",
    "Usage": "policies.cost.usage",
    "build_menu": "policies.menu.build",
    "measure_curves": "policies.menu.curves",
    "plan_from_json": "policies.plan.wire",
    "plan_to_json": "policies.plan.wire",
    "read_plans": "policies.plan.wire",
    "solve": "policies.solver.solver",
    "upper_hull": "policies.solver.hull",
    "write_plans": "policies.plan.wire",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
