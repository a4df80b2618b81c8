"""Mix the three ways to weigh reference prompts, and mix them anew without growing a forest again.

Shared leaves, nearest predicted rates and a wide kernel on them are each rows of weights; options say how
much each counts, and a narrow kernel stands beside them for what is told. What was grown and predicted out of
fold is kept, so that other options cost a sum and no fit; which options are worth it is left to `training`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.rate_weights import RateReferences
from difficulty.belief.skill import equal_weights

Weights: TypeAlias = NDArray[np.float32]

# Deviations of predicted rates: choosing wants wide weights, telling narrow ones (`notebooks/LOG.md`,
# 2026-11-29).
_SHARP: Final = 0.3


def mixture(
    options: BeliefOptions,
    shared: Weights,
    rates: FloatArray,
    references: RateReferences,
    share: FloatArray,
) -> Weights:
    """Return the mixture's weights over T references, shape (N, T); rows sum to 1.

    Parameters
    ----------
    options : BeliefOptions
        How much each part counts.
    shared : ndarray of float32, shape (N, T)
        Weights by shared leaves.
    rates : ndarray of float64, shape (N, G)
        Predicted rates of the prompts.
    references : RateReferences
        Predicted rates of the references.
    share : ndarray of float64, shape (T,)
        0 for references that no prompt resembles.
    """
    mixed = shared * np.float32(options.forest / options.total)
    add_by_rates(mixed, options, rates, references)
    return _shared_out(mixed, share)


def add_by_rates(
    weights: Weights, options: BeliefOptions, rates: FloatArray, references: RateReferences
) -> None:
    """Add the two parts of a mixture that predicted rates decide to weights, shape (N, T), in place.

    Parameters as in `mixture`.
    """
    if options.nearest:
        near = references.nearest(rates, n_nearest=options.n_nearest)
        weights += near * np.float32(options.nearest / options.total)
    if options.kernel:
        near = references.kernel(rates, bandwidth=options.bandwidth, floor=options.floor)
        weights += near * np.float32(options.kernel / options.total)


def sharp_weights(rates: FloatArray, references: RateReferences, share: FloatArray) -> Weights:
    """Return the weights of the references whose predicted rates are nearly those of a prompt, shape (N, T).

    They are too narrow to choose by, and tell better what chosen courses bring. Parameters as in `mixture`.
    """
    return _shared_out(references.kernel(rates, bandwidth=_SHARP, floor=0.0), share)


def _shared_out(weights: Weights, share: FloatArray) -> Weights:
    """Return weights without those of references that no prompt resembles, in place; rows sum to 1."""
    if not share.all():
        weights *= share.astype(np.float32)
        weights[~weights.any(axis=1)] = share
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def drawn_to_equal(weights: Weights, familiarity: FloatArray) -> Weights:
    """Return weights (N, T) drawn to equal ones as familiarity, shape (N,), falls; in place."""
    (strange,) = (familiarity < 1).nonzero()
    if len(strange):
        keep = familiarity[strange].astype(np.float32)[:, None]
        weights[strange] = keep * weights[strange] + (1 - keep) / np.float32(weights.shape[1])
    return weights


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OutOfFold:
    """What weights of P training prompts over those of other folds are mixed from.

    Parameters
    ----------
    shared : ndarray of float32, shape (P, P)
        Weights by shared leaves, nothing on the own fold.
    rates : ndarray of float64, shape (P, G)
        Rates predicted out of fold.
    share : ndarray of float64, shape (P,)
        1 for prompts with features, else 0.
    folds : ndarray of int, shape (P,)
    familiarity : ndarray of float64, shape (P,)
        In [0, 1]: rows are drawn to equal weights as it falls.
    """

    shared: Weights
    rates: FloatArray
    share: FloatArray
    folds: NDArray[np.integer]
    familiarity: FloatArray

    def weights(self, options: BeliefOptions, rows: NDArray[np.intp] | None = None) -> Weights:
        """Return the weights of all prompts, or of some, shape (N, P); rows sum to 1."""

        def mixed(known: NDArray[np.intp], others: NDArray[np.intp]) -> Weights:
            references = RateReferences(rates=self.rates[others])
            shared = self.shared[np.ix_(known, others)]
            return mixture(options, shared, self.rates[known], references, self.share[others])

        return self._by_fold(mixed, np.arange(len(self.folds)) if rows is None else rows)

    def sharp(self) -> Weights:
        """Return the weights of all prompts by `sharp_weights`, shape (P, P); rows sum to 1."""

        def narrow(known: NDArray[np.intp], others: NDArray[np.intp]) -> Weights:
            references = RateReferences(rates=self.rates[others])
            return sharp_weights(self.rates[known], references, self.share[others])

        return self._by_fold(narrow, np.arange(len(self.folds)))

    def _by_fold(
        self, weigh: Callable[[NDArray[np.intp], NDArray[np.intp]], Weights], asked: NDArray[np.intp]
    ) -> Weights:
        """Weigh the prompts of other folds for the asked ones of each, and draw to equal weights."""
        result = equal_weights(self.folds, asked)
        for fold in np.unique(self.folds[asked]):
            others = np.flatnonzero(self.folds != fold)
            ours = np.flatnonzero((self.folds[asked] == fold) & (self.share[asked] > 0))
            if not len(ours):
                continue
            known = asked[ours]
            keep = self.familiarity[known, None].astype(np.float32)
            at = np.ix_(ours, others)
            result[at] = keep * weigh(known, others) + (1 - keep) * result[at]
        return result
