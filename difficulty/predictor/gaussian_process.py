"""Predict success rates of all generators from prompt features with one Gaussian process.

Generators share the kernel, so that one factorisation serves them all, and predictions for each fold follow
from the fit on all prompts in closed form. It assumes some hundred to some thousand training prompts, and
features of which many matter a little. Boosted trees, whose errors are other ones, are left to
`difficulty.predictor.boosted_rates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from difficulty.array_record import ArrayRecord
from difficulty.errors import InvalidInputError

# Length scales, in medians of the distance between prompts, and ratios of noise to signal that are tried.
_SCALES: Final = (0.5, 1.0, 2.0)
_NOISES: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# They are chosen by the leave-one-out error on so many prompts: more say the same and take much longer.
_TUNING_ROWS: Final = 800
_MAX_ROWS: Final = 2000
# Standardised features are clipped here, so that one odd prompt is not far from everything.
_CLIP: Final = 4.0
# A feature that the forest never splits on still counts a little.
_LEAST_RELEVANCE: Final = 0.1
_CHUNK_ROWS: Final = 128
_MAX_ENTRIES: Final = 1 << 26
# A length below this is no length: distances divided by it would be infinite.
_LEAST: Final = 1e-100


@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianProcess(ArrayRecord):
    """The process's mean: a kernel between a prompt and T training prompts, times weights.

    Parameters
    ----------
    centre, spread : ndarray of float64, shape (F,)
        Mean and standard deviation of the features' logarithms; finite, the spread above 0.
    bend : ndarray of float64, shape (F,)
        How much each standardised feature counts; 0 for constant ones.
    rows : ndarray of float32, shape (T, F)
        Scaled features of the training prompts.
    weights : ndarray of float64, shape (T, G)
        Weight of each training prompt for each generator.
    offset : ndarray of float64, shape (G,)
        Mean rates, which prompts without features get.
    reach : float
        Squared length of the kernel, above 0.

    Raises
    ------
    InvalidInputError
        When the arrays do not fit together or are not finite.
    """

    centre: FloatArray
    spread: FloatArray
    bend: FloatArray
    rows: NDArray[np.float32]
    weights: FloatArray
    offset: FloatArray
    reach: float

    def __post_init__(self) -> None:
        n_features, n_generators = self.centre.shape[-1:], self.offset.shape[-1:]
        shapes = {
            "centre": n_features,
            "spread": n_features,
            "bend": n_features,
            "rows": (*self.rows.shape[:1], *n_features),
            "weights": (*self.rows.shape[:1], *n_generators),
            "offset": n_generators,
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.dtype.kind != "f" or array.shape != shape or not np.isfinite(array).all():
                raise InvalidInputError(f"{name} of a Gaussian process must be finite and {shape}")
            if array.size > _MAX_ENTRIES:
                raise InvalidInputError(f"{name} of a Gaussian process has over {_MAX_ENTRIES:,} entries")
        if not (np.isfinite(self.reach) and self.reach > _LEAST and (self.spread > _LEAST).all()):
            raise InvalidInputError(
                f"reach and spread of a Gaussian process must be above {_LEAST}: {self.reach}"
            )

    def predict(self, features: NDArray[np.floating]) -> FloatArray:
        """Return predicted rates of N prompts with features (N, F), shape (N, G); not clipped to [0, 1]."""
        if features.ndim != 2 or features.shape[1] != len(self.centre):
            raise InvalidInputError(f"features must be (N, {len(self.centre)}), got {features.shape}")
        result = self.offset[None].repeat(len(features), axis=0)
        transposed, lengths = self._prepared
        for start in range(0, len(features), _CHUNK_ROWS):
            part = compressed(features[start : start + _CHUNK_ROWS])
            some = np.isfinite(part).any(axis=1)
            rows = _scaled(part[some], self.centre, self.spread, self.bend)
            squared = np.square(rows).sum(axis=1)[:, None] + lengths - 2 * row_product(rows, transposed)
            kernel = _matern(np.maximum(squared, 0) / self.reach)
            result[start : start + _CHUNK_ROWS][some] += row_product(kernel, self.weights)
        return result

    @cached_property
    def _prepared(self) -> tuple[FloatArray, FloatArray]:
        """Rows in float64, one per column, and their squared lengths."""
        rows = self.rows.astype(np.float64)
        return np.ascontiguousarray(rows.T), np.square(rows).sum(axis=1)


class FittedProcess(NamedTuple):
    """What a fit leaves.

    Attributes
    ----------
    process : GaussianProcess
        Fitted on all prompts.
    out_of_fold : ndarray of float64, shape (P, G)
        Rates that a process without the prompt's fold predicts.
    """

    process: GaussianProcess
    out_of_fold: FloatArray


def fit_gaussian_process(
    features: NDArray[np.floating],
    rates: FloatArray,
    folds: NDArray[np.integer],
    *,
    relevance: FloatArray,
    seed: int,
) -> FittedProcess:
    """Fit a process on P prompts; at most 2,000 of them, drawn with the seed, carry it.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features; NaN where unknown, and a row of NaN for a prompt without any, which teaches nothing.
    rates : ndarray of float64, shape (P, G)
        Rates in [0, 1], finite.
    folds : ndarray of int, shape (P,)
        Fold of each prompt.
    relevance : ndarray of float64, shape (F,)
        How much each feature matters, at least 0: distances are bent by its square root.
    seed : int
        Seed of the draw of prompts.

    Notes
    -----
    With ``A`` the inverse of kernel plus noise and ``a = A y``, leaving out a fold k changes the weights of
    the others to ``a - A[:, k] inv(A[k, k]) a[k]``: no second factorisation. Scale, noise, relevance and the
    mean are those of all prompts, and out-of-fold predictions are optimistic by these few numbers.

    References
    ----------
    Rasmussen, Williams 2006, Gaussian Processes for Machine Learning, eq. 2.25, 4.17 and 5.12.
    """
    from scipy.linalg import lapack

    rng = np.random.default_rng(seed)
    table = compressed(features)
    usable = np.flatnonzero(np.isfinite(table).any(axis=1))
    offset = rates[usable].mean(axis=0) if len(usable) else rates.mean(axis=0)
    out_of_fold = np.broadcast_to(offset, rates.shape).copy()
    scaling = _scaling(table[usable], relevance)
    chosen = usable
    if len(usable) > _MAX_ROWS:
        chosen = np.sort(rng.choice(usable, _MAX_ROWS, replace=False))
    rows = _scaled(table[chosen], *scaling)
    target = rates[chosen] - offset
    reach, noise = _tuned(rows, target, rng)
    inverse = _matern(_squared_distance(rows, rows) / reach)
    inverse[np.diag_indices(len(rows))] += noise
    # The lower half of the factor is overwritten by that of the inverse.
    factor, _ = lapack.dpotrf(inverse.T, lower=1, overwrite_a=1)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse @ target
    for fold in np.unique(folds[usable]):
        inside = folds[chosen] == fold
        rest = weights
        if inside.any():
            gone = np.linalg.solve(inverse[np.ix_(inside, inside)], weights[inside])
            rest = weights - inverse[:, inside] @ gone
            rest[inside] = 0
        asked = usable[folds[usable] == fold]
        kernel = _matern(_squared_distance(_scaled(table[asked], *scaling), rows) / reach)
        out_of_fold[asked] += kernel @ rest
    process = GaussianProcess(
        centre=scaling[0],
        spread=scaling[1],
        bend=scaling[2],
        rows=rows.astype(np.float32),
        weights=weights,
        offset=offset,
        reach=reach,
    )
    return FittedProcess(process, out_of_fold)


def _tuned(rows: FloatArray, target: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the squared length of the kernel and the noise with the least leave-one-out error."""
    if len(rows) > _TUNING_ROWS:
        some = np.sort(rng.choice(len(rows), _TUNING_ROWS, replace=False))
        rows, target = rows[some], target[some]
    squared = _squared_distance(rows, rows)
    median = float(np.median(squared)) or 1.0
    best, found = np.inf, (median, _NOISES[-1])
    for length in _SCALES:
        values, vectors = np.linalg.eigh(_matern(squared / (median * length**2)))
        turned = vectors.T @ target
        for noise in _NOISES:
            inverse = 1.0 / (np.maximum(values, 0.0) + noise)
            left = (vectors @ (inverse[:, None] * turned)) / (np.square(vectors) @ inverse)[:, None]
            error = float(np.mean(left**2))
            if error < best:
                best, found = error, (median * length**2, noise)
    return found


def _scaling(table: FloatArray, relevance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean and deviation of each column, and how much it counts: 0 where it is constant."""
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, table, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, table - centre, 0.0) ** 2).sum(axis=0) / count)
    varies = spread > 1e-9
    mean = float(relevance.mean()) if relevance.size else 0.0
    relative = relevance / mean if mean > 0 else np.ones_like(relevance)
    bend = np.sqrt((_LEAST_RELEVANCE + relative) / (_LEAST_RELEVANCE + 1))
    return centre, np.where(varies, spread, 1.0), np.where(varies, bend, 0.0)


def compressed(features: NDArray[np.floating]) -> FloatArray:
    """Return sign(x) log(1 + abs(x)): counts and lengths have long tails."""
    table = np.asarray(features, dtype=np.float64)
    return np.asarray(np.sign(table) * np.log1p(np.abs(table)))


def _scaled(table: FloatArray, centre: FloatArray, spread: FloatArray, bend: FloatArray) -> FloatArray:
    """Return standardised columns, each as much as it counts, the mean in place of what is missing."""
    standard = ((table - centre) / spread).clip(-_CLIP, _CLIP)
    return np.asarray(np.where(np.isnan(standard), 0.0, standard) * bend)


def _squared_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances between rows, shape (len(a), len(b))."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0.0))


def _matern(squared: FloatArray) -> FloatArray:
    """Return the Matérn 3/2 kernel of squared scaled distances."""
    distance = np.sqrt(3 * squared)
    return np.asarray((1 + distance) * np.exp(-distance))
