"""How to split samples between chains and steps: the best sequential share, at equal N and at equal cost.

N samples can be one chain of N revisions, N parallel samples, or width × depth in between; the sequential
share is depth / N. Depth 1 is plain parallel sampling, told by independent samples. Which strategies win in
all is left to `training.strategies.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from training.frontier import Frontier, estimate
from training.strategies.bed import StrategyBed
from training.strategies.tables import budgets_at, shares, winner_shares

_ROUNDING: Final = 1e-9


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


def share_at_equal_n(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray, shapes: Shapes
) -> list[dict[str, Any]]:
    """Compare all shapes of N samples, for each N that has several.

    Parameters
    ----------
    bed : StrategyBed
        Measured strategies.
    rows : ndarray of intp, shape (Q,)
        A group of prompts.
    weights : ndarray of float64, shape (R, Q)
        From `training.strategies.tables.group_weights`.
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
        value = (weights @ bed.value[np.ix_(rows, columns)]).T
        cost = (weights @ bed.cost[np.ix_(rows, columns)]).T
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


def share_at_equal_cost(
    bed: StrategyBed, rows: NDArray[np.intp], weights: FloatArray, shapes: Shapes, sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Compare depths at the cost of votes of given sizes; each depth has as many chains as that buys.

    Parameters
    ----------
    bed, rows, weights, shapes
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
    budgets = budgets_at(bed, rows, weights, sizes)
    frontiers = {}
    for depth in depths:
        sizes_here = sorted(width for width, d in shapes.columns if d == depth)
        columns = np.array([shapes.columns[width, depth] for width in sizes_here])
        frontier = Frontier.of(bed.cost[np.ix_(rows, columns)], bed.value[np.ix_(rows, columns)], weights)
        frontiers[depth] = (frontier, np.array(sizes_here, dtype=np.float64))
    table = []
    for place, size in enumerate(sizes):
        budget = budgets[:, place]
        rows_here: list[dict[str, Any]] = []
        values: list[FloatArray] = []
        for depth, (frontier, widths) in frontiers.items():
            if frontier.cost[0, 0] > budget[0] * (1 + _ROUNDING):
                continue
            value = frontier.value_at(np.maximum(budget, frontier.cost[:, 0]))
            chains = float(np.interp(budget[0], frontier.cost[0], widths))
            values.append(value)
            rows_here.append(
                {
                    "depth": depth,
                    "chains": round(chains, 3),
                    "share": round(1 / chains, 4),
                    **estimate("value", value, under="interval"),
                    "all_spent": bool(frontier.cost[0, -1] < budget[0] * (1 - _ROUNDING)),
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
