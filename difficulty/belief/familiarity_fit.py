"""Find the kinds of training prompts, and where familiarity with them must begin to fall.

Prompts are held out twice, by the folds of training and by clusters of like features, which are strangers to
the rest; where what is told of strangers errs less when it is drawn to the population, familiarity falls. It
assumes prompts with features. What a familiarity is stands in `difficulty.belief.familiarity`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity import Familiarity, blocks_of, distances, standardised
from difficulty.belief.grown_forest import grow_trees
from difficulty.belief.skill import equal_weights
from difficulty.predictor.gaussian_process import compressed
from difficulty.predictor.success_rates import SuccessRates

Weights: TypeAlias = NDArray[np.float32]

# Kinds of training prompts that distances are measured to. Means of a kind tell strangers better than single
# prompts do: on 101 tasks, prompts of others lie 1.4 to 4 limits away instead of .4 to 1.3.
_LANDMARKS: Final = 512
_ROUNDS: Final = 3
# A feature that never varied in training is strange when it differs by as much (in logarithms).
_LEAST_SPREAD: Final = 0.05
_QUANTILE: Final = 0.99
# How many times further away than training prompts a stranger is in one block alone. New tasks often are by a
# little, and are told better by what they share with known ones.
_ALONE: Final = 2.0
# Where familiarity may begin to fall and how fast, in limits; the first is taken unless another one's error
# is clearly less. At 2.5 limits it is next to 0 with all of them.
_FALLS: Final = (
    (1.0, 0.25),
    *((knee, reach) for knee in (0.5, 0.75, 1.0, 1.25, 1.5) for reach in (0.125, 0.25, 0.5)),
)
_CLEARLY: Final = 0.99
# Up to the strangeness of so many held-out training prompts, nothing is strange: what a belief is wrong about
# in general is not familiarity's to mend.
_USUAL: Final = 0.9
# What holding out prompts by their wording says about strangers needs no exact forests.
_CLUSTERS: Final = 8
_CLUSTER_TREES: Final = 40
_MIN_PROMPTS: Final = 10


def fit_familiarity(
    table: NDArray[np.float32],
    counts: SuccessRates,
    folds: NDArray[np.integer],
    weights: Weights,
    options: BeliefOptions,
    *,
    blocks: NDArray[np.integer],
    seed: int,
) -> tuple[Familiarity, FloatArray]:
    """Return a familiarity that falls where the belief errs on strangers, and strangeness out of fold, (P,).

    Parameters
    ----------
    table : ndarray of float32, shape (P, F)
        Features of training prompts, none of them without any.
    counts : SuccessRates
        Their rates.
    folds : ndarray of int, shape (P,)
        Fold of each prompt.
    weights : ndarray of float32, shape (P, P)
        The belief's, out of fold.
    options : BeliefOptions
        How its forest grows.
    blocks : ndarray of int, shape (F,)
        Block of each feature, counted from 0.
    seed : int
        Seed of clusters, kinds and forests.
    """
    clusters = wording_clusters(table, n_clusters=_CLUSTERS, seed=seed)
    strangeness = fit_strangeness(table, folds, clusters, blocks=blocks, seed=seed)
    told = np.full(counts.rate.shape, np.nan)
    mean = np.full(counts.rate.shape, np.nan)
    rough = replace(options, n_trees=min(options.n_trees, _CLUSTER_TREES))
    for cluster in np.unique(clusters):
        held = clusters == cluster
        if (~held).sum() < _MIN_PROMPTS:
            continue
        trees = grow_trees(table[~held], counts.rate[~held], rough, seed).trees
        told[held] = trees.predict(table[held])
        mean[held] = counts.rate[~held].mean(axis=0)
    ways = []
    plain = equal_weights(folds) @ counts.rate
    mass = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    for strange, expected, average in (
        (strangeness.by_fold, weights @ counts.rate / mass, plain),
        (strangeness.by_cluster, told, mean),
    ):
        use = counts.known & np.isfinite(expected)
        rows = np.nonzero(use)[0]
        ways.append(HeldOut(strange[rows], expected[use], average[use], counts.rate[use]))
    usual = float(np.quantile(strangeness.by_fold, _USUAL))
    return fitted_fall(strangeness.familiarity, tuple(ways), least=usual), strangeness.by_fold


class Strangeness(NamedTuple):
    """What `fit_strangeness` leaves.

    Attributes
    ----------
    familiarity : Familiarity
        From all training prompts, with its fall where it usually is.
    by_fold, by_cluster : ndarray of float64, shape (P,)
        Strangeness of each training prompt when its fold, or its cluster, is held out.
    """

    familiarity: Familiarity
    by_fold: FloatArray
    by_cluster: FloatArray


class HeldOut(NamedTuple):
    """What was told of prompts that were held out, and what came; K values in all.

    Attributes
    ----------
    strangeness : ndarray of float64, shape (K,)
        Of the prompt.
    told, mean, came : ndarray of float64, shape (K,)
        The belief's expectation, the population's, and the outcome.
    """

    strangeness: FloatArray
    told: FloatArray
    mean: FloatArray
    came: FloatArray


def fitted_fall(familiarity: Familiarity, held_out: tuple[HeldOut, ...], *, least: float) -> Familiarity:
    """Return the familiarity that falls where beliefs drawn to the population err least.

    Parameters
    ----------
    familiarity : Familiarity
        With any fall.
    held_out : tuple of HeldOut
        Ways to hold prompts out, each of which counts the same.
    least : float
        Strangeness, in limits, up to which prompts are those of training, whatever the errors say.
    """

    def error(candidate: Familiarity) -> float:
        return sum(
            float(np.mean((way.mean + candidate.at(way.strangeness) * (way.told - way.mean) - way.came) ** 2))
            for way in held_out
            if len(way.came)
        )

    falls = (_FALLS[0], *((knee, reach) for knee, reach in _FALLS[1:] if knee >= least))
    candidates = [replace(familiarity, knee=knee, reach=reach) for knee, reach in falls]
    errors = [error(candidate) for candidate in candidates]
    best = int(np.argmin(errors))
    return candidates[best if errors[best] < _CLEARLY * errors[0] else 0]


def wording_clusters(features: NDArray[np.floating], *, n_clusters: int, seed: int) -> NDArray[np.intp]:
    """Return the cluster of each of P prompts, (P,): at most so many, of prompts with like features."""
    _, _, rows = _scaling(features)
    return _kinds(rows, n_clusters, np.random.default_rng(seed))


def fit_strangeness(
    features: NDArray[np.floating],
    folds: NDArray[np.integer],
    clusters: NDArray[np.integer],
    *,
    blocks: NDArray[np.integer],
    seed: int,
) -> Strangeness:
    """Return a familiarity, and the strangeness of P training prompts held out by fold and by cluster.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features of training prompts, none of them without any.
    folds, clusters : ndarray of int, shape (P,)
        Prompts of one fold, or one cluster, are held out together.
    blocks : ndarray of int, shape (F,)
        Block of each feature, counted from 0.
    seed : int
        Seed of the draw of landmarks.
    """
    centre, spread, rows = _scaling(features)
    member = _kinds(rows, _LANDMARKS, np.random.default_rng(seed))
    ids = np.asarray(blocks, dtype=np.int64)
    by_fold = _held_out(rows, member, folds, ids)
    limits = np.maximum(np.quantile(by_fold, _QUANTILE, axis=0), 1e-3 * np.sqrt(len(centre)))
    limits[1:] *= _ALONE
    by_cluster = _held_out(rows, member, clusters, ids)
    landmarks = _centres(rows, member, np.ones(len(rows), dtype=np.bool_)).astype(np.float32)
    fitted = Familiarity(centre=centre, spread=spread, landmarks=landmarks, blocks=ids, limits=limits)
    return Strangeness(fitted, (by_fold / limits).max(axis=1), (by_cluster / limits).max(axis=1))


def _scaling(features: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean and deviation of the features' logarithms, and the standardised rows."""
    table = compressed(features)
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, table, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, table - centre, 0) ** 2).sum(axis=0) / count)
    spread = np.where(spread > 1e-6, spread, _LEAST_SPREAD)
    return centre, spread, standardised(features, centre, spread)


def _held_out(
    rows: FloatArray, member: NDArray[np.intp], parts: NDArray[np.integer], blocks: NDArray[np.int64]
) -> FloatArray:
    """Return distances to landmarks that are made without the prompts of the same part, (N, 1 + B)."""
    result = np.empty((len(rows), int(blocks.max()) + 2))
    for part in np.unique(parts):
        held = parts == part
        rest = ~held if not held.all() else held
        result[held] = distances(
            rows[held], blocks_of(_centres(rows, member, rest).astype(np.float32), blocks)
        )
    return result


def _centres(rows: FloatArray, member: NDArray[np.intp], use: NDArray[np.bool_]) -> FloatArray:
    """Return the mean of the used rows of each kind that has any, shape (M, F)."""
    _, kind = np.unique(member[use], return_inverse=True)
    order = np.argsort(kind, kind="stable")
    count = np.bincount(kind)
    total = np.add.reduceat(rows[use][order], np.cumsum(count) - count, axis=0)
    return np.asarray(total / count[:, None])


def _kinds(rows: FloatArray, n_kinds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the kind of each row, (N,): at most so many, by k-means."""
    if len(rows) <= n_kinds:
        return np.arange(len(rows))
    chosen = [int(rng.integers(len(rows)))]
    lengths = np.square(rows).sum(axis=1)
    nearest = np.full(len(rows), np.inf)
    for _ in range(n_kinds - 1):
        last = rows[chosen[-1]]
        nearest = np.minimum(nearest, np.maximum(lengths - 2 * (rows @ last) + last @ last, 0.0))
        nearest[chosen[-1]] = 0.0
        total = np.cumsum(nearest**0.5)
        if not total[-1] > 0:
            break
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    centres = rows[chosen]
    for _ in range(_ROUNDS):
        member = np.argmin(np.square(centres).sum(axis=1) - 2 * (rows @ centres.T), axis=1)
        centres = _centres(rows, member, np.ones(len(rows), dtype=np.bool_))
    return np.unique(member, return_inverse=True)[1]
