"""Decision: what each amount of compute is worth to a prompt, what it costs, and what to buy.

Names are imported on first use, so that planning loads no more of this room than it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from difficulty.lazy import on_first_use

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

if TYPE_CHECKING:
    from policies.cost.budget import Budget as Budget
    from policies.cost.cost_model import CostModel as CostModel
    from policies.cost.latency import DecodeModel as DecodeModel
    from policies.cost.usage import Usage as Usage
    from policies.course.allocation import Allocation as Allocation
    from policies.menu.build import build_menu as build_menu
    from policies.menu.curves import CurveTable as CurveTable
    from policies.menu.curves import measure_curves as measure_curves
    from policies.plan.plan import AllocationPlan as AllocationPlan
    from policies.plan.wire import plan_from_json as plan_from_json
    from policies.plan.wire import plan_to_json as plan_to_json
    from policies.plan.wire import read_plans as read_plans
    from policies.plan.wire import write_plans as write_plans
    from policies.solver.hull import upper_hull as upper_hull
    from policies.solver.solution import Solution as Solution
    from policies.solver.solver import solve as solve
else:
    __all__ = list(_HOMES)

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
