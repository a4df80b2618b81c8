"""Say how likely a batch costs more than its limit, and how much to hold back so that it rarely does.

It assumes that actual costs of different prompts are independent and that their sum is normal, which is good
from a few dozen prompts on. Where the variances come from is left to the curves of the caller.
"""

from __future__ import annotations

import math

from difficulty.errors import InvalidBudgetError

__all__ = ["overrun_probability", "safety_margin"]


def overrun_probability(*, expected_cost: float, cost_variance: float, limit: float) -> float:
    """Return the chance that the actual total cost exceeds a limit.

    Parameters
    ----------
    expected_cost : float
        Sum of the expected costs of the batch.
    cost_variance : float
        Sum of their variances, at least 0.
    limit : float
        What may be spent.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InvalidBudgetError
        When a number is NaN or the variance is negative.

    Examples
    --------
    >>> round(overrun_probability(expected_cost=90.0, cost_variance=36.0, limit=100.0), 4)
    0.0478
    """
    if math.isnan(expected_cost + limit) or not cost_variance >= 0:
        raise InvalidBudgetError(
            f"expected_cost and limit must be numbers and cost_variance at least 0, got {expected_cost!r}, "
            f"{limit!r} "
            f"and {cost_variance!r}"
        )
    if cost_variance == 0:
        return float(expected_cost > limit)
    return 0.5 * math.erfc((limit - expected_cost) / math.sqrt(2 * cost_variance))


def safety_margin(cost_variance: float, *, overrun: float) -> float:
    """Return how far the expected total must stay below the limit for a chance of overrun.

    Parameters
    ----------
    cost_variance : float
        Sum of the variances of the batch's costs, at least 0.
    overrun : float
        Chance of exceeding the limit, above 0 and below 0.5.

    Examples
    --------
    >>> round(safety_margin(36.0, overrun=0.05), 2)
    9.87
    """
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - overrun) * math.sqrt(cost_variance)
