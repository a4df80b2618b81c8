"""What a batch of plans buys: a histogram for programs, a table for people.

It assumes that all plans are in one unit and under one objective, as a planner makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table

from difficulty.amounts import number
from planner.commands.tables.shared import new_table, strategy_in_words
from policies.plan.plan import AllocationPlan

_NOTHING: Final = "nothing"
_FULL: Final = 72


def plan_summary(plans: Sequence[AllocationPlan]) -> dict[str, Any]:
    """Return the histogram of allocations and the means, as JSON values."""
    groups: dict[str, list[AllocationPlan]] = {}
    for plan in plans:
        groups.setdefault(str(plan.allocation) if plan.draws else _NOTHING, []).append(plan)
    ordered = sorted(groups.items(), key=lambda item: (_mean_cost(item[1]), item[0]))
    return {
        "n_prompts": len(plans),
        "unit": plans[0].unit if plans else None,
        "objective": plans[0].objective if plans else None,
        "price": plans[0].price if plans else None,
        "expected_accuracy": _mean_accuracy(plans),
        "expected_cost_per_prompt": _mean_cost(plans),
        "expected_cost": sum(plan.expected_cost for plan in plans),
        "allocations": [
            {
                "allocation": name,
                "n_prompts": len(group),
                "expected_accuracy": _mean_accuracy(group),
                "expected_cost_per_prompt": _mean_cost(group),
            }
            for name, group in ordered
        ],
    }


def plan_table(plans: Sequence[AllocationPlan], *, title: str, width: int = 80) -> Table:
    """Return what the plans buy, by generator and strategy, cheapest first, with a total.

    Where fewer than 72 columns would break words, the cost of a prompt stands without that of all.
    """
    shown = slice(None if width >= _FULL else -1)
    groups: dict[tuple[str, str], list[AllocationPlan]] = {}
    for plan in plans:
        kind = plan.allocation.strategy if plan.course is None else strategy_in_words(plan.course)
        what = (plan.allocation.generator, kind) if plan.draws else (_NOTHING, "no answer is worth it")
        groups.setdefault(what, []).append(plan)
    table = new_table(title, show_footer=True)
    table.add_column("generator", footer="all", overflow="fold")
    table.add_column("strategy", overflow="fold")
    headings = ("N", "prompts", f"expected\n{plans[0].objective}", "cost each", "cost")
    for heading, footer in zip(headings[shown], _cells(plans)[shown], strict=True):
        table.add_column(heading, footer=footer, justify="right")
    for (generator, kind), group in sorted(groups.items(), key=lambda item: (_mean_cost(item[1]), item[0])):
        table.add_row(generator, kind, *_cells(group)[shown])
    return table


def _cells(plans: Sequence[AllocationPlan]) -> list[str]:
    """Return sizes, number of prompts, mean accuracy, mean and total cost."""
    sizes = sorted({plan.allocation.n if plan.draws else 0 for plan in plans})
    return [
        str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}–{sizes[-1]}",
        str(len(plans)),
        f"{_mean_accuracy(plans):.3f}",
        number(_mean_cost(plans)),
        number(sum(plan.expected_cost for plan in plans)),
    ]


def _mean_accuracy(plans: Sequence[AllocationPlan]) -> float:
    return sum(plan.expected_accuracy for plan in plans) / len(plans)


def _mean_cost(plans: Sequence[AllocationPlan]) -> float:
    return sum(plan.expected_cost for plan in plans) / len(plans)
