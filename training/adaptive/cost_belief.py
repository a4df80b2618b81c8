"""Choose whom a prompt resembles where the cost of plans that react is expected.

The weights that levels are chosen by are tuned for choosing. They are close to uniform, so they predict an
average cost even for prompts that will never be solved. Predicted difficulty tells the cost of reacting
better than its gain; so costs get a kernel of their own, the one that best predicts each prompt's recorded
cost from those of all the others. Using it is left to `planner.planning.levels`.
"""

from __future__ import annotations

from itertools import product
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicySpec
from difficulty.belief.weights import KernelWeights

__all__ = ["fit_cost_belief"]

FloatArray: TypeAlias = NDArray[np.float64]

_LEVEL_BANDWIDTHS: Final = (0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.5, 5.0)
_DEVIATION_BANDWIDTHS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, np.inf)
# Next to nothing, but not nothing: a prompt unlike all others is a usual one, and numbers stay normal.
_FLOORS: Final = (1e-9, 0.003, 0.01, 0.03, 0.1)
# Prompts looked at: weights take the square of their number, 300 times.
_MOST: Final = 500


def fit_cost_belief(
    coordinates: FloatArray, cost: FloatArray, *, groups: NDArray[np.str_], seed: int
) -> PolicySpec | None:
    """Return the kernel that predicts costs best, prompt by prompt from prompts of other groups.

    Parameters
    ----------
    coordinates : ndarray of float64, shape (T, 1 + D)
        Out-of-fold coordinates.
    cost : ndarray of float64, shape (T, L)
        Mean cost of each prompt at each level; NaN where it could not be replayed.
    groups : ndarray of str, shape (T,)
        Near-duplicates share a group.
    seed : int
        Draws the prompts to look at where there are many.

    Returns
    -------
    PolicySpec or None
        None where costs or coordinates do not vary.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> level = rng.normal(size=(200, 1))
    >>> cost = 100 + 50 * np.tanh(4 * level) + rng.normal(size=(200, 1))
    >>> groups = np.arange(200).astype(str)
    >>> fit_cost_belief(level, cost, groups=groups, seed=0).level_bandwidth
    0.1
    """
    rows = np.flatnonzero(~np.isnan(cost).any(axis=1))
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MOST])
    at, spent = coordinates[rows], cost[rows]
    spread = spent.std(axis=0) if len(rows) else np.zeros(cost.shape[1])
    varies = spread > 1e-9 * np.abs(spent).mean(axis=0) if len(rows) else spread > 0
    if not varies.any() or not (at.std(axis=0) > 1e-9).any():
        return None
    target = ((spent - spent.mean(axis=0))[:, varies] / spread[varies]).astype(np.float32)
    strangers = groups[rows][:, None] != groups[rows]
    wide = _DEVIATION_BANDWIDTHS if at.shape[1] > 1 else (np.inf,)
    best, least = None, np.inf
    for level, deviation, floor in product(_LEVEL_BANDWIDTHS, wide, _FLOORS):
        weigh = KernelWeights(at, level_bandwidth=level, deviation_bandwidth=deviation, floor=floor)
        weights = weigh(at) * strangers
        mass = weights.sum(axis=1, keepdims=True)
        if mass.min() <= 0:
            continue
        error = float(((target - weights @ target / mass) ** 2).mean())
        if error < least:
            best, least = (level, deviation, floor), error
    if best is None:
        return None
    level, deviation, floor = best
    return PolicySpec(family="kernel", level_bandwidth=level, deviation_bandwidth=deviation, floor=floor)
