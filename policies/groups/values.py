"""What a group of n rollouts is worth to learning, given what is believed about its prompt.

A belief is a distribution over success rates on a fixed grid; values are expectations under it, and exact for
the grid. Which sizes to draw is left to `policies.groups.group_planner`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

GroupValue: TypeAlias = Literal["contrast", "variance", "signal", "knapsack"]

GROUP_VALUES: Final[tuple[str, ...]] = get_args(GroupValue)


def values_at(rates: FloatArray, sizes: NDArray[np.integer], value: GroupValue = "contrast") -> FloatArray:
    """Return the value of groups at known success rates, shape (G, L).

    Parameters
    ----------
    rates : ndarray of float64, shape (G,)
        Success rates p in [0, 1].
    sizes : ndarray of int, shape (L,)
        Rollouts n, at least 0.
    value : {"contrast", "variance", "signal", "knapsack"}
        ``"contrast"``: 1 - p^n - (1-p)^n, the chance that the group holds a success and a failure.
        ``"variance"``: 4 p (1-p) (1 - 1/n), the variance of its rewards as a share of the greatest.
        ``"signal"``: (n-1) p (1-p), the expected sum of squares of its advantages: each further rollout is
        worth as much as the last, so that prompts get the floor or the cap.
        ``"knapsack"``: p (1-p)^2 (1 - p^n - (1-p)^n).

    Raises
    ------
    InvalidInputError
        When `value` is another word.

    References
    ----------
    Li et al. 2025, "Knapsack RL", arXiv 2509.25849, for the last one.

    Examples
    --------
    >>> values_at(np.array([0.0, 0.5]), np.array([0, 1, 2, 3])).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.75]]
    """
    if value not in GROUP_VALUES:
        raise InvalidInputError(f"the value of a group is one of {', '.join(GROUP_VALUES)}; got {value!r}")
    p, n = rates[:, None], np.asarray(sizes, dtype=np.float64)[None]
    some = np.maximum(n, 1.0)
    if value == "variance":
        return np.asarray(4 * p * (1 - p) * (1 - 1 / some))
    if value == "signal":
        return np.asarray((some - 1) * p * (1 - p))
    contrast = (1 - p**some - (1 - p) ** some).clip(0.0, 1.0)
    return np.asarray(contrast if value == "contrast" else p * (1 - p) ** 2 * contrast)


def expected_values(
    shares: NDArray[np.floating], rates: FloatArray, sizes: NDArray[np.integer], value: GroupValue
) -> FloatArray:
    """Return the expected value of groups for P prompts, shape (P, L).

    Parameters
    ----------
    shares : ndarray, shape (P, G)
        Belief of each prompt over the rates; rows sum to 1.
    rates, sizes, value
        As in `values_at`.
    """
    return np.asarray(shares @ values_at(rates, sizes, value), dtype=np.float64)
