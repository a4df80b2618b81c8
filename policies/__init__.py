"""Decision: what each amount of compute is worth to a prompt, what it costs, and what to buy.

Names are imported on first use, so that planning loads no more of this room than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policies.allocation import Allocation
    from policies.budget import Budget
    from policies.cost import CostModel
    from policies.cost_latency import DecodeModel
    from policies.curves import CurveTable, measure_curves
    from policies.hull import upper_hull
    from policies.menu import build_menu
    from policies.plan import AllocationPlan
    from policies.plan_wire import plan_from_json, plan_to_json, read_plans, write_plans
    from policies.policy_spec import PolicyMixture, PolicySpec
    from policies.solution import Solution
    from policies.solver import solve
    from policies.usage import Usage

__all__ = [
    "Allocation",
    "AllocationPlan",
    "Budget",
    "CostModel",
    "CurveTable",
    "DecodeModel",
    "PolicyMixture",
    "PolicySpec",
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
    "Allocation": "allocation",
    "AllocationPlan": "plan",
    "Budget": "budget",
    "CostModel": "cost",
    "CurveTable": "curves",
    "DecodeModel": "cost_latency",
    "PolicyMixture": "policy_spec",
    "PolicySpec": "policy_spec",
    "Solution": "solution",
    "Usage": "usage",
    "build_menu": "menu",
    "measure_curves": "curves",
    "plan_from_json": "plan_wire",
    "plan_to_json": "plan_wire",
    "read_plans": "plan_wire",
    "solve": "solver",
    "upper_hull": "hull",
    "write_plans": "plan_wire",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
