"""Mix the three ways to weigh reference prompts, and mix them anew without growing a forest again.

Shared leaves, nearest predicted rates and a wide kernel on them are each rows of weights; options say how
much each counts. What was grown and predicted out of fold is kept, so that other options cost a sum and no
fit; which options are worth it is left to `training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.rate_weights import RateReferences
from difficulty.belief.skill import equal_weights

__all__ = ["OutOfFold", "mixture"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]


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
    total = options.forest + options.nearest + options.kernel
    mixed = shared * np.float32(options.forest / total)
    if options.nearest:
        near = references.nearest(rates, n_nearest=options.n_nearest)
        mixed += near * np.float32(options.nearest / total)
    if options.kernel:
        near = references.kernel(rates, bandwidth=options.bandwidth, floor=options.floor)
        mixed += near * np.float32(options.kernel / total)
    if not share.all():
        mixed *= share.astype(np.float32)
        mixed[~mixed.any(axis=1)] = share
    mixed /= mixed.sum(axis=1, keepdims=True)
    return mixed


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
        asked = np.arange(len(self.folds)) if rows is None else rows
        result = equal_weights(self.folds)[asked]
        for fold in np.unique(self.folds[asked]):
            others = np.flatnonzero(self.folds != fold)
            ours = np.flatnonzero((self.folds[asked] == fold) & (self.share[asked] > 0))
            if not len(ours):
                continue
            known = asked[ours]
            mixed = mixture(
                options,
                self.shared[np.ix_(known, others)],
                self.rates[known],
                RateReferences(rates=self.rates[others]),
                self.share[others],
            )
            keep = self.familiarity[known, None].astype(np.float32)
            at = np.ix_(ours, others)
            result[at] = keep * mixed + (1 - keep) * result[at]
        return result
