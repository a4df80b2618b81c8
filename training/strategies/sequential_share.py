"""How to split samples between chains and steps: the best sequential share, at equal N and at equal cost.

N samples can be one chain of N revisions, N parallel samples, or width × depth in between; the sequential
share is depth / N. Depth 1 is plain parallel sampling, told by independent samples. Which strategies win in
all is left to `training.strategies.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import estimate
from training.strategies.bed import StrategyBed
from training.strategies.group import ROUNDING, PromptGroup
from training.strategies.tables import shares, winner_shares


class Shapes(NamedTuple):
    """Columns of every width × depth under one selection, depth 1 included.

    Attributes
    ----------
    selection : str
        ``"majority"`` or ``"hierarchical"``.
    columns : dict
        Column of the bed by (width, depth).
    """

    selection: str
    columns: dict[tuple[int, int], int]


def share_at_equal_n(group: PromptGroup, shapes: Shapes) -> list[dict[str, Any]]:
    """Compare all shapes of N samples, for each N that has several.

    Parameters
    ----------
    group : PromptGroup
        The prompts.
    shapes : Shapes
        What can be compared.

    Returns
    -------
    list of dict
        Per power of two N: each shape with value, cost, difference to all parallel and the share of
        bootstrap replicates in which it is best; and the best share.
    """
    table = []
    sizes = sorted({width * depth for width, depth in shapes.columns})
    for n in sizes:
        found = sorted((s for s in shapes.columns if s[0] * s[1] == n), key=lambda shape: shape[1])
        if len(found) < 2 or n & (n - 1):
            continue
        columns = np.array([shapes.columns[shape] for shape in found])
        cost, value = (mean.T for mean in group.means(columns))
        wins = winner_shares(value)
        unknown = {"over_parallel": None, "over_parallel_interval": None}
        flat = found[0][1] == 1
        table.append(
            {
                "n": n,
                "best_share": found[int(value[:, 0].argmax())][1] / n,
                "winners": shares([depth / n for _, depth in found], wins),
                "shapes": [
                    {
                        "width": width,
                        "depth": depth,
                        "share": depth / n,
                        "cost": round(float(cost[place, 0]), 4),
                        **estimate("value", value[place], under="interval"),
                        **(estimate("over_parallel", value[place] - value[0]) if flat else unknown),
                        "wins": round(float(wins[place]), 4),
                    }
                    for place, (width, depth) in enumerate(found)
                ],
            }
        )
    return table


def share_at_equal_cost(group: PromptGroup, shapes: Shapes, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Compare depths at the cost of votes of given sizes; each depth has as many chains as that buys.

    Parameters
    ----------
    group, shapes
        As in `share_at_equal_n`.
    sizes : sequence of int
        Vote sizes whose costs are the budgets.

    Returns
    -------
    list of dict
        Per budget: each depth that it buys, with the (interpolated) number of chains, its sequential share
        1 / chains, value, difference to depth 1 and share of replicates in which it is best.
    """
    depths = sorted({depth for _, depth in shapes.columns})
    budgets = group.budgets(sizes)
    frontiers = {}
    for depth in depths:
        sizes_here = sorted(width for width, d in shapes.columns if d == depth)
        columns = np.array([shapes.columns[width, depth] for width in sizes_here])
        frontiers[depth] = group.frontier(columns), np.array(sizes_here, dtype=np.float64)
    table = []
    for place, size in enumerate(sizes):
        budget = budgets[:, place]
        rows_here: list[dict[str, Any]] = []
        values: list[FloatArray] = []
        for depth, (frontier, widths) in frontiers.items():
            if frontier.cost[0, 0] > budget[0] * (1 + ROUNDING):
                continue
            value = frontier.bought_at(budget)
            chains = float(np.interp(budget[0], frontier.cost[0], widths))
            values.append(value)
            rows_here.append(
                {
                    "depth": depth,
                    "chains": round(chains, 3),
                    "share": round(1 / chains, 4),
                    **estimate("value", value, under="interval"),
                    "all_spent": bool(frontier.cost[0, -1] < budget[0] * (1 - ROUNDING)),
                    **estimate("over_parallel", value - values[0]),
                }
            )
        if len(values) < 2:
            continue
        wins = winner_shares(np.stack(values))
        for row, win in zip(rows_here, wins, strict=True):
            row["wins"] = round(float(win), 4)
        best = max(rows_here, key=lambda row: row["value"])
        table.append(
            {
                "n": size,
                "budget": round(float(budget[0]), 4),
                "best_depth": best["depth"],
                "best_share": best["share"],
                "winners": shares([row["depth"] for row in rows_here], wins),
                "depths": rows_here,
            }
        )
    return table


def shapes_of(bed: StrategyBed) -> tuple[Shapes, ...]:
    """Return the shapes of each selection that the bed holds: revisions, and parallel samples as depth 1."""
    flat = {"majority": "majority_vote", "hierarchical": "weighted_best_of_n"}
    found = []
    for selection, parallel in flat.items():
        columns: dict[tuple[int, int], int] = {}
        for allocation, column in bed.columns.items():
            deep = allocation.traits.kind == "revision"
            if deep and allocation.parameters.get("selection") == selection:
                columns[allocation.width, allocation.depth] = column
        if not columns:
            continue
        columns |= {
            (allocation.width, 1): column
            for allocation, column in bed.columns.items()
            if allocation.strategy == parallel and allocation.parameters.get("verifier", "score") == "score"
        }
        columns.setdefault((1, 1), bed.columns[bed.families[0].allocations[0]])
        found.append(Shapes(selection, columns))
    return tuple(found)
