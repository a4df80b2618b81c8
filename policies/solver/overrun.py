"""Say how much of a limit to hold back, so that a batch rarely costs more than it.

It assumes that actual costs of different prompts are independent and that their sum is normal, which is good
from a few dozen prompts on. Where the variances come from is left to the curves of the caller.
"""

from __future__ import annotations

import math

__all__ = ["safety_margin"]


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
