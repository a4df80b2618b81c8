"""How costs grow with the length of a question, beyond what sending it once costs.

Longer questions are mostly answered at greater length. A line per course through the logarithm of length is
fitted on the reference prompts and shrunk by its doubt, for prompts of which nothing else is believed; what
weights over reference prompts tell of lengths needs none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from difficulty.arithmetic.arrays import FloatArray

# Lines through fewer prompts are not believed, however well they fit.
_FEWEST: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Growth:
    """Lines from the length of a question to the cost of C courses.

    Parameters
    ----------
    slope : ndarray of float64, shape (C,)
        Change of cost per change of the logarithm of length; 0 where none was shown.
    least : ndarray of float64, shape (C,)
        The least that each course cost on a reference prompt; lines do not go below.
    usual, shortest, longest : float
        Logarithms of length of reference prompts: their mean, and the ends between which lines are believed.
    """

    slope: FloatArray
    least: FloatArray
    usual: float = 0.0
    shortest: float = 0.0
    longest: float = 0.0

    @classmethod
    def of(cls, cost: FloatArray, length: FloatArray) -> Self:
        """Fit lines.

        Parameters
        ----------
        cost : ndarray of float64, shape (T, C)
            Of reference prompts.
        length : ndarray of float64, shape (T,)
            Of their questions, above 0.

        Notes
        -----
        A slope is shrunk by its squared error over its square (James-Stein, positive part), with errors that
        hold however costs spread at each length (White). Lines through length itself leave short questions
        told too much where a few are very long (`notebooks/LOG.md`, 2026-11-30).

        References
        ----------
        .. [1] White (1980), Econometrica 48(4), doi:10.2307/1912934, equation 1.

        Examples
        --------
        >>> length = np.array([0.5, 1.0, 2.0] * 7)
        >>> growth = Growth.of(np.stack([np.log2(length) + 5, np.full(21, 5.0)], axis=1), length)
        >>> growth.at(np.array([[5.0, 5.0]]), np.array([2.0])).round(6).tolist()
        [[6.0, 5.0]]
        """
        logarithm = np.log(length)
        away = logarithm - logarithm.mean()
        total, least = float(away @ away), cost.min(axis=0)
        if len(length) < _FEWEST or total <= 1e-12 * len(length):
            return cls(slope=np.zeros(cost.shape[1]), least=least)
        centred = cost - cost.mean(axis=0)
        slope = away @ centred / total
        squared_error = away**2 @ (centred - away[:, None] * slope) ** 2 / total**2
        kept = np.maximum(1 - squared_error / np.maximum(slope**2, 1e-300), 0.0)
        return cls(
            slope=kept * slope,
            least=least,
            usual=float(logarithm.mean()),
            shortest=float(logarithm.min()),
            longest=float(logarithm.max()),
        )

    def at(self, cost: FloatArray, length: FloatArray) -> FloatArray:
        """Return the costs of N prompts by their lengths, shape (N, C); `cost` is the mean, shape (1, C)."""
        away = np.log(length).clip(self.shortest, self.longest) - self.usual
        return np.asarray(np.maximum(cost + away[:, None] * self.slope, np.minimum(cost, self.least)))
