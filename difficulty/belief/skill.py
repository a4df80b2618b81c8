"""How much weights over prompts of other folds explain of what came, against equal weights.

Sampling noise is included, so that skill stays below 1 however well rates are told; its sign is what counts.
It assumes weights that give a prompt's own fold nothing.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.predictor.success_rates import SuccessRates

Weights: TypeAlias = NDArray[np.float32]
# Squared errors of equal rates that single precision makes are below this, those of one odd sample far above.
_ROUNDING: Final = 1e-11


def equal_weights(folds: NDArray[np.integer], rows: NDArray[np.intp] | None = None) -> Weights:
    """Return equal weights over the prompts of other folds, (P, P), or those of some rows, (N, P)."""
    asked = folds if rows is None else folds[rows]
    apart = (asked[:, None] != folds).astype(np.float32)
    apart /= apart.sum(axis=1, keepdims=True)
    return np.asarray(apart)


def _errors(
    weights: Weights, counts: SuccessRates, folds: NDArray[np.integer]
) -> tuple[FloatArray, FloatArray]:
    """Return summed squared errors per generator, of weights and of equal ones, (G,) each."""

    def error(by: Weights) -> FloatArray:
        mass = by @ counts.known
        mean = (by @ np.where(counts.known, counts.rate, 0)) / np.where(mass > 0, mass, 1)
        wrong = np.where(counts.known & (mass > 0), (mean - counts.rate) ** 2, 0)
        return np.asarray(wrong.sum(axis=0), dtype=np.float64)

    return error(weights), error(equal_weights(folds))


def skill_of(weights: Weights, counts: SuccessRates, folds: NDArray[np.integer]) -> FloatArray:
    """Return 1 - squared error / squared error of the mean of other folds, (G,); 0 where rates are one."""
    error, plain = _errors(weights, counts, folds)
    return np.where(plain > _ROUNDING * len(folds), 1 - error / np.maximum(plain, _ROUNDING), 0.0)


def pooled_skill(weights: Weights, counts: SuccessRates, folds: NDArray[np.integer]) -> float:
    """Return the skill over all generators together."""
    error, plain = _errors(weights, counts, folds)
    return float(1 - error.sum() / plain.sum()) if plain.sum() > _ROUNDING * len(folds) else 0.0
