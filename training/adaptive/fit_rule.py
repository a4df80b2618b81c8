"""Fit the learned stop rule by backward induction over the waves of replayed ladders.

From the last wave backwards, the value of going on minus the value of stopping is regressed (ridge) on about
a dozen features of the evidence, for several prices at once; the rule goes on where the prediction is
positive, and what it earns is what the wave before regresses on. Few features keep a few hundred prompts
enough. Choosing ladders is left to `training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from policies.ladder.value_rule import ValueRule, feature_matrix, probably_wrong, raw_coefficients
from policies.replay.trajectories import Trajectories

__all__ = ["fit_value_rule"]

FloatArray: TypeAlias = NDArray[np.float64]


def fit_value_rule(
    trajectories: Trajectories,
    prices: FloatArray,
    *,
    features: str = "full",
    ridge: float = 0.05,
    futility: bool = True,
    draws: NDArray[np.bool_] | None = None,
    matrices: Sequence[FloatArray] | None = None,
) -> ValueRule:
    """Fit a rule on replayed draws.

    Parameters
    ----------
    trajectories : Trajectories
        A replayed ladder of T waves.
    prices : ndarray of float64, shape (L,)
        Falling prices, value per unit of cost, each above 0.
    features : {"agreement", "difficulty", "full"}
        Which features; see `policies.ladder.value_rule`.
    ridge : float
        Penalty per draw on standardised coefficients (the constant is free), above 0.
    futility : bool
        Whether the rule may stop while its selection is probably wrong.
    draws : ndarray of bool, shape (N,), optional
        Draws to fit on; all by default.
    matrices : sequence of ndarray, optional
        `feature_matrix` of each wave, where several fits share them.

    Raises
    ------
    InvalidInputError
        When `ridge` is not above 0 or no draw is left.

    Notes
    -----
    Gain and cost of going on are regressed separately under the policy of each price, so that at a price
    between two fitted ones the nearest rule still weighs its expected cost at the price asked for.

    References
    ----------
    Longstaff and Schwartz 2001, doi 10.1093/rfs/14.1.113: least-squares backward induction. Deviation: the
    regressand is the *difference* between going on and stopping, which is 0 on most draws and therefore far
    less noisy.
    """
    keep = np.ones(trajectories.value.shape[1], dtype=bool) if draws is None else draws
    if not ridge > 0 or not keep.any():
        raise InvalidInputError(f"ridge must be above 0 and at least one draw is needed, got ridge={ridge}")
    # Single precision halves the time; sums are over standardised features, and what is small is the
    # regressand.
    value = trajectories.value[:, keep].astype(np.float32)
    cost = trajectories.cost[:, keep].astype(np.float32)
    n_waves = len(value)
    if matrices is None:
        matrices = [feature_matrix(state, features) for state in trajectories.evidence]
    width = matrices[0].shape[1]
    accuracy = np.zeros((n_waves, width))
    gain = np.zeros((len(prices), n_waves - 1, width))
    spend = np.zeros_like(gain)
    final_value = np.repeat(value[-1][:, None], len(prices), axis=1)
    final_cost = np.repeat(cost[-1][:, None], len(prices), axis=1)
    for wave in range(n_waves - 1, -1, -1):
        matrix = matrices[wave][keep].astype(np.float32)
        # With a checker a draw that has succeeded is over: it neither goes on nor teaches anything.
        solved = trajectories.evidence[wave].n_correct[keep] > 0
        rows = np.flatnonzero(~solved) if 0 < solved.sum() < len(solved) else slice(None)
        regression = _Ridge(matrix[rows], ridge)
        accuracy[wave] = regression.solve(value[wave][rows, None])[:, 0]
        if wave == n_waves - 1:
            continue
        now_value, now_cost = value[wave][:, None], cost[wave][:, None]
        target = np.concatenate(
            [final_value[rows] - now_value[rows], final_cost[rows] - now_cost[rows]], axis=1
        )
        both = regression.solve(target)
        gain[:, wave], spend[:, wave] = both[:, : len(prices)].T, both[:, len(prices) :].T
        net = (gain[:, wave] - prices[:, None] * spend[:, wave]).T.astype(np.float32)
        off = matrix @ net <= 0
        if not futility:
            off &= ~probably_wrong(matrix @ accuracy[wave])[:, None]
        off |= solved[:, None]
        np.copyto(final_value, now_value, where=off)
        np.copyto(final_cost, now_cost, where=off)
    return ValueRule(
        features=features, prices=prices, accuracy=accuracy, gain=gain, cost=spend, futility=futility
    )


class _Ridge:
    """Ridge regression on standardised features, factored once for many regressands."""

    def __init__(self, matrix: NDArray[np.float32], ridge: float) -> None:
        mean = matrix.mean(axis=0, dtype=np.float64)
        deviation = matrix.std(axis=0, dtype=np.float64)
        # A constant feature carries nothing: it is left as it is, and the penalty keeps its coefficient at 0.
        deviation[deviation < 1e-6] = np.inf
        mean[0], deviation[0] = 0.0, 1.0
        self._mean, self._deviation = mean, deviation
        self._scaled = (matrix - mean.astype(np.float32)) / deviation.astype(np.float32)
        gram = (self._scaled.T @ self._scaled).astype(np.float64) / len(matrix)
        penalty = np.full(len(gram), ridge)
        penalty[0] = 0.0
        self._inverse = np.linalg.inv(gram + np.diag(penalty))

    def solve(self, target: NDArray[np.float32]) -> FloatArray:
        """Return coefficients of the features themselves, shape (F, L), for regressands of shape (n, L)."""
        scaled = self._inverse @ (self._scaled.T @ target) / len(self._scaled)
        return raw_coefficients(scaled.T, self._mean, self._deviation).T
