"""What the adaptive policy saves against the same number of samples for every prompt, drawn at once.

This is what most people run and the first thing that they ask. Targets are shares of the value that uniform
sampling reaches with all recorded samples. For each, it gets the generator, the selector and the number of
samples that reach it cheapest on the test prompts themselves, anew in each replicate; the policy gets its
price in the same way. Numbers between those of the menu are mixed from their neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.baselines import Course
from training.frontier import Frontier, interval

__all__ = ["against_uniform"]

FloatArray: TypeAlias = NDArray[np.float64]

# Shares of the most that uniform sampling reaches.
_SHARES: Final = (0.8, 0.9, 0.95, 1.0)


def against_uniform(ours: Course, uniform: Mapping[str, Course], weights: FloatArray) -> dict[str, Any]:
    """Return what reaching shares of uniform sampling's best value costs, as JSON values.

    Parameters
    ----------
    ours : Course
        The policy.
    uniform : mapping of str to Course
        One per generator and selector, a column for each number of samples; at least one.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.

    Returns
    -------
    dict
        ``"most"``: value, cost and name of uniform sampling with all recorded samples, of the generator and
        selector that are then best. ``"rows"``, one for each share of that value: what it costs uniform
        sampling, with the cheapest that gets there, and the policy (None where it never gets there);
        ``"multiple"``, the first over the second, and ``"multiple_of_all"``, the cost of all samples over the
        second, both with intervals; 0 where the policy never gets there.

    Examples
    --------
    >>> uniform = {"uniform": Course(np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 0.75, 1.0]]))}
    >>> ours = Course(np.array([[1.0, 1.5]]), np.array([[0.5, 1.0]]))
    >>> against_uniform(ours, uniform, np.ones((101, 1)))["rows"][-1]["multiple"]
    2.666667
    """
    mine = Frontier.of(ours.cost, ours.value, weights)
    theirs = {name: Frontier.of(course.cost, course.value, weights) for name, course in uniform.items()}
    ends = np.stack([frontier.value[:, -1] for frontier in theirs.values()])
    most = ends.max(axis=0)
    paid_at_end = np.stack([frontier.cost[:, -1] for frontier in theirs.values()])
    paid_at_end[ends < most - 1e-12] = np.inf
    spent = paid_at_end.min(axis=0)
    rows = []
    for share in _SHARES:
        needed = np.min([frontier.cost_of(share * most) for frontier in theirs.values()], axis=0)
        paid = mine.cost_of(share * most)
        rows.append(
            {
                "share": share,
                "uniform_cost": _number(needed[0]),
                "cost": _number(paid[0]),
                **_multiple("multiple", needed, paid),
                **_multiple("multiple_of_all", spent, paid),
            }
        )
    name = list(theirs)[int(paid_at_end[:, 0].argmin())]
    return {"most": {"value": _number(most[0]), "cost": _number(spent[0]), "name": name}, "rows": rows}


def _multiple(name: str, theirs: FloatArray, ours: FloatArray) -> dict[str, Any]:
    ratio = np.where(np.isinf(ours), 0.0, theirs / np.where(np.isinf(ours), 1.0, ours))
    return {name: _number(ratio[0]), f"{name}_interval": [_number(end) for end in interval(ratio[1:])]}


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
