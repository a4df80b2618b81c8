"""What the first answers say: how sure it is that the leading one would lead in the long run.

Conjugate: Beta for a duel of two answers, Dirichlet for many. Samples are assumed exchangeable given the
prompt. What to do about it is left to `policies.ladder.stop_rules`; evidence that has no conjugate form
(log-probabilities, lengths) to `policies.ladder.value_rule`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "is_mode",
    "leads",
]

FloatArray: TypeAlias = NDArray[np.float64]

# Nodes of the one-dimensional integral over the leader's gamma variable; 1e-5 accurate.
_NODES = 96


def leads(
    leader: ArrayLike,
    runner_up: ArrayLike,
    *,
    prior_leader: ArrayLike = 1.0,
    prior_runner_up: ArrayLike = 1.0,
) -> FloatArray:
    """Return the probability that the leader is drawn more often than the runner-up in the long run.

    Parameters
    ----------
    leader, runner_up : array_like
        Votes, at least 0; weighted votes are allowed.
    prior_leader, prior_runner_up : array_like
        Pseudo-votes above 0; 1 and 1 is the flat prior, more for the leader says that agreement is expected.

    Returns
    -------
    ndarray of float64
        In [0, 1], in the shape that the arguments broadcast to.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860: the Beta criterion of Adaptive-Consistency is this with the flat
    prior.

    Examples
    --------
    >>> leads([1, 2, 4], [0, 0, 0]).round(3)
    array([0.75 , 0.875, 0.969])
    """
    from scipy.special import betainc  # scipy costs more than the import budget of the planner

    first = _floats(leader) + _floats(prior_leader)
    second = _floats(runner_up) + _floats(prior_runner_up)
    return np.asarray(betainc(second, first, 0.5), dtype=np.float64)


def is_mode(
    leader: ArrayLike, runner_up: ArrayLike, rest: ArrayLike, n_rest: ArrayLike, *, prior: float = 1.0
) -> FloatArray:
    """Return the probability that the leader is the most frequent answer of all that were seen.

    Parameters
    ----------
    leader, runner_up, rest : array_like
        Votes of the two leading answers, and of all other answers together.
    n_rest : array_like
        How many other answers there are.
    prior : float
        Pseudo-votes of each answer, above 0.

    Returns
    -------
    ndarray of float64
        In [0, 1].

    Notes
    -----
    Under a Dirichlet posterior, ``P(p1 > all others) = E[prod_j F(X; a_j)]`` with X gamma distributed; the
    other answers are taken to have equal counts, so that three numbers suffice for the state (as in the
    reference's L = 3).

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860 (Dirichlet criterion); Huang, Ma, Zhou 2026, arXiv 2602.05395.

    Examples
    --------
    >>> is_mode([3], [0], [0], [0]).round(3), leads([3], [0]).round(3)
    (array([0.938]), array([0.938]))
    """
    from scipy.special import gammainc, gammaincinv

    arrays = np.broadcast_arrays(*(_floats(item) for item in (leader, runner_up, rest, n_rest)))
    # Thousands of prompts share a few states.
    states, inverse = np.unique(np.stack([item.ravel() for item in arrays]), axis=1, return_inverse=True)
    a, b, others, count = states
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # Substituting the quantile turns the expectation over X into an integral over [0, 1].
    x = gammaincinv((a + prior)[..., None], 0.5 * (nodes + 1.0))
    below = gammainc((b + prior)[..., None], x)
    each = others / np.maximum(count, 1.0) + prior
    below = below * np.where(count[..., None] > 0, gammainc(each[..., None], x), 1.0) ** count[..., None]
    chance = (below * (0.5 * weights)).sum(axis=-1).clip(0.0, 1.0)
    return np.asarray(chance[inverse.ravel()].reshape(arrays[0].shape))


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)
