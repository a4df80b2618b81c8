"""What the first answers say: how sure it is that the leading one would lead in the long run.

The posterior of a duel of two answers is a Beta distribution. Samples are assumed exchangeable given the
prompt; what to do about it is left to `policies.course.stop`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arithmetic.arrays import FloatArray


def leads(leader: ArrayLike, runner_up: ArrayLike) -> FloatArray:
    """Return the probability that the leader is drawn more often than the runner-up in the long run.

    Parameters
    ----------
    leader, runner_up : array_like
        Votes, at least 0; weighted votes are allowed.

    Returns
    -------
    ndarray of float64
        In [0, 1], in the shape that the arguments broadcast to.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860: the Beta criterion of Adaptive-Consistency, with a flat prior.

    Examples
    --------
    >>> leads([1, 2, 4], [0, 0, 0]).round(3)
    array([0.75 , 0.875, 0.969])
    """
    from scipy.special import betainc  # scipy costs more than the import budget of the planner

    first, second = (np.asarray(votes, dtype=np.float64) + 1.0 for votes in (leader, runner_up))
    return np.asarray(betainc(second, first, 0.5), dtype=np.float64)
