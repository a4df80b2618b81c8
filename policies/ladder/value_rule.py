"""The learned stop rule: go on while the expected gain of going on exceeds the price of its expected cost.

For each wave and each of a few prices, three linear functions of the evidence say how likely the leader is
correct, how much accuracy going on will add if the rule itself decides every later wave, and what that will
cost. Confidence, difficulty, futility and escalation are all in these two numbers. Fitting is left to
`training.adaptive.fit_rule`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from policies.ladder.evidence import Evidence

__all__ = [
    "FEATURE_SETS",
    "JUDGED",
    "Outlook",
    "ValueRule",
    "feature_matrix",
    "n_columns",
    "probably_wrong",
    "raw_coefficients",
]

FloatArray: TypeAlias = NDArray[np.float64]

# What the rule looks at. More features, distinct counts or the log-odds of the confidence did not help on
# recorded logs.
_AGREEMENT: Final = ("one", "confidence", "share", "confidence2", "duel", "share2")
_SAMPLES: Final = ("leader_logprob", "mean_logprob", "length", "cost")
_DIFFICULTY: Final = ("difficulty", "difficulty*confidence")
_CROSSED: Final = ("mean_logprob*confidence", "leader_logprob*difficulty")
_CHANCE: Final = ("chance", "chance2", "chance*confidence")
JUDGED: Final = "judged"
"""Name of the features for ladders that learned verifiers judge."""
FEATURE_SETS: Final = {
    "agreement": _AGREEMENT + _SAMPLES,
    "difficulty": _AGREEMENT + _SAMPLES + _DIFFICULTY,
    "full": _AGREEMENT + _SAMPLES + _DIFFICULTY + _CROSSED,
    JUDGED: _AGREEMENT + _SAMPLES + _DIFFICULTY + _CROSSED + _CHANCE,
}


class Outlook(NamedTuple):
    """What a rule expects, each of shape (N,).

    Attributes
    ----------
    accuracy : ndarray of float64
        Probability that the current selection is correct, in [0, 1].
    gain : ndarray of float64
        Accuracy that going on is expected to add.
    cost : ndarray of float64
        What going on is expected to cost, in the unit that the rule was fitted in.
    """

    accuracy: FloatArray
    gain: FloatArray
    cost: FloatArray


def feature_matrix(evidence: Evidence, features: str) -> FloatArray:
    """Return the features of N states, shape (N, F); column 0 is the constant 1.

    Parameters
    ----------
    evidence : Evidence
        N states with D coordinates of difficulty each.
    features : {"agreement", "difficulty", "full", "judged"}
        Which features. Those of difficulty come once for each coordinate, crossed ones for the first.
    """
    if features not in FEATURE_SETS:
        raise InvalidInputError(f"features must be one of {', '.join(FEATURE_SETS)}; got {features!r}")
    names = FEATURE_SETS[features]
    confidence = _confidence(evidence.leader, evidence.runner_up)
    share = evidence.leader / np.maximum(evidence.votes, 1e-12)
    duel = evidence.leader / np.maximum(evidence.leader + evidence.runner_up, 1e-12)
    columns = [
        np.ones(len(evidence)),
        confidence,
        share,
        confidence**2,
        duel,
        share**2,
        evidence.leader_logprob,
        evidence.mean_logprob,
        evidence.length,
        np.exp(evidence.length),
    ]
    coordinates = evidence.difficulty
    if "difficulty" in names:
        columns += list(coordinates.T)
        columns += [coordinates[:, 0] * confidence] if coordinates.shape[1] else []
    if "mean_logprob*confidence" in names:
        columns.append(evidence.mean_logprob * confidence)
        columns += [evidence.leader_logprob * coordinates[:, 0]] if coordinates.shape[1] else []
    if "chance" in names:
        chance = evidence.leader_chance
        columns += [chance, chance**2, chance * confidence]
    return np.stack(columns, axis=1)


def n_columns(features: str, n_coordinates: int) -> int:
    """Return the number of columns of `feature_matrix`, F.

    Parameters
    ----------
    features : {"agreement", "difficulty", "full", "judged"}
        Which features.
    n_coordinates : int
        Coordinates of difficulty, D.
    """
    names, one = FEATURE_SETS[features], int(n_coordinates > 0)
    return (
        len(_AGREEMENT + _SAMPLES)
        + ("difficulty" in names) * (n_coordinates + one)
        + ("mean_logprob*confidence" in names) * (1 + one)
        + ("chance" in names) * len(_CHANCE)
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ValueRule:
    """Linear functions of the evidence for T - 1 waves at L prices.

    Parameters
    ----------
    features : {"agreement", "difficulty", "full", "judged"}
        Which features; the last are for ladders that learned verifiers judge.
    prices : ndarray of float64, shape (L,)
        Prices at which the rule was fitted, falling, each above 0.
    accuracy : ndarray of float64, shape (T, F)
        Coefficients of the probability that the selection is correct after wave t + 1.
    gain, cost : ndarray of float64, shape (L, T - 1, F)
        Coefficients of gain and cost of going on.
    futility : bool
        Whether it may give up: stop while the selection is more likely wrong than right. Without, such a
        prompt climbs to the end of its ladder.

    Raises
    ------
    InvalidInputError
        When shapes do not fit.
    """

    features: str
    prices: FloatArray
    accuracy: FloatArray
    gain: FloatArray
    cost: FloatArray
    futility: bool = True

    def __post_init__(self) -> None:
        if self.features not in FEATURE_SETS or self.accuracy.ndim != 2 or not self.prices.size:
            raise InvalidInputError(
                f"features must be one of {', '.join(FEATURE_SETS)} and accuracy have shape (waves, "
                f"features), at one price or more; got {self.features!r}, {self.accuracy.shape} and "
                f"{self.prices.size} prices"
            )
        waves, width = self.accuracy.shape
        expected = (len(self.prices), waves - 1, width)
        if self.gain.shape != expected or self.cost.shape != expected:
            raise InvalidInputError(
                f"gain and cost must have shape (prices, waves - 1, features) = {expected}; "
                f"got {self.gain.shape} and {self.cost.shape}"
            )
        if not (np.all(self.prices > 0) and np.all(np.diff(self.prices) < 0)):
            raise InvalidInputError("prices of a rule must be above 0 and falling")

    def nearest(self, price: float) -> int:
        """Return the index of the fitted price that is nearest in ratio."""
        return int(np.abs(np.log(self.prices / max(price, 1e-300))).argmin())

    def outlook(self, evidence: Evidence, *, price: float) -> Outlook:
        """Return what is expected of stopping and of going on.

        Parameters
        ----------
        evidence : Evidence
            N states, each after 1 to T waves; nothing is left to expect after the last.
        price : float
            λ, value per unit of cost.
        """
        matrix = feature_matrix(evidence, self.features)
        at = self.nearest(price)
        last = len(self.accuracy) - 1
        row = np.clip(evidence.wave - 1, 0, last)
        inner = np.minimum(row, max(last - 1, 0))
        more = (row < last).astype(np.float64)
        accuracy = np.einsum("nf,nf->n", matrix, self.accuracy[row])
        if last == 0:
            return Outlook(accuracy.clip(0, 1), np.zeros(len(row)), np.zeros(len(row)))
        gain = np.einsum("nf,nf->n", matrix, self.gain[at, inner]) * more
        cost = np.einsum("nf,nf->n", matrix, self.cost[at, inner]) * more
        return Outlook(accuracy.clip(0, 1), gain, cost)

    def outlooks(self, evidence: Evidence) -> tuple[FloatArray, FloatArray]:
        """Return gain and cost of going on at every price, each of shape (N, L); 0 after the last wave.

        They know nothing of `futility`, which only `go_on` enforces.
        """
        matrix = feature_matrix(evidence, self.features)
        gain = np.zeros((len(matrix), len(self.prices)))
        cost = np.zeros_like(gain)
        waves = np.unique(evidence.wave)
        for wave in waves:
            if wave <= self.gain.shape[1]:
                at = slice(None) if len(waves) == 1 else np.flatnonzero(evidence.wave == wave)
                gain[at] = matrix[at] @ self.gain[:, wave - 1].T
                cost[at] = matrix[at] @ self.cost[:, wave - 1].T
        return gain, cost

    def go_on(self, evidence: Evidence, *, price: float) -> NDArray[np.bool_]:
        """Return whether the next wave is worth its price, shape (N,)."""
        outlook = self.outlook(evidence, price=price)
        worth = outlook.gain > price * outlook.cost
        return worth if self.futility else worth | probably_wrong(outlook.accuracy)


def probably_wrong(accuracy: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where a selection with this probability of being correct is more likely wrong than right."""
    return np.asarray(accuracy < 0.5)


def raw_coefficients(scaled: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Turn coefficients of standardised features (column 0 constant) into those of the features themselves.

    Parameters
    ----------
    scaled : ndarray of float64, shape (..., F)
    mean, deviation : ndarray of float64, shape (F,)
        With ``mean[0] = 0`` and ``deviation[0] = 1``.
    """
    raw = scaled / deviation
    raw[..., 0] -= (raw[..., 1:] * mean[1:]).sum(axis=-1)
    return raw


def _confidence(leader: FloatArray, runner_up: FloatArray) -> FloatArray:
    """Return roughly the probability that the leader leads, shape (N,).

    The arcsine transform of the Beta posterior of `difficulty.belief.posterior.leads`: within 0.03 of it and
    forty times faster, which is what counts for a feature that a regression calibrates.
    """
    from scipy.special import ndtr

    total = leader + runner_up + 2.0
    angle = np.arcsin(np.sqrt((leader + 1.0) / total)) - np.pi / 4
    return np.asarray(ndtr(2.0 * np.sqrt(total) * angle))
