"""Fit a belief from text out of fold, and all of it on all prompts.

It assumes folds that keep near-duplicates together. What a belief tells is in
`difficulty.belief.text_belief`; whether to believe it is left to whoever compares policies out of fold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity_fit import fit_familiarity
from difficulty.belief.grown_forest import grow_trees
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.mixture import OutOfFold
from difficulty.belief.skill import equal_weights, pooled_skill, skill_of
from difficulty.belief.text_belief import TextBelief, finite
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import fit_success_predictor
from difficulty.predictor.success_rates import SuccessRates, success_rates

Weights: TypeAlias = NDArray[np.float32]

_MIN_PROMPTS: Final = 10


class FittedBelief(NamedTuple):
    """What a fit leaves.

    Attributes
    ----------
    out_of_fold : ndarray of float32, shape (P, P)
        Weights of each training prompt over those of other folds; rows sum to 1.
    belief : TextBelief
        Fitted on all training prompts, which are its references.
    skill : ndarray of float64, shape (G,)
        Share of the variance of each generator's rates that `out_of_fold` explains, sampling noise included;
        at most 0 where the weights tell nothing.
    parts : OutOfFold or None
        What `out_of_fold` was mixed from; None where nothing was grown.
    spread_skill : ndarray of float64, shape (G,), or None
        The same share of how far samples of one prompt lie apart; None where that was not given.
    aims : SuccessRates or None
        What skill is measured by; None where nothing was grown.
    """

    out_of_fold: Weights
    belief: TextBelief
    skill: FloatArray
    parts: OutOfFold | None = None
    spread_skill: FloatArray | None = None
    aims: SuccessRates | None = None

    @property
    def tells(self) -> bool:
        """Whether text tells anything of any generator out of fold."""
        spread = np.zeros(1) if self.spread_skill is None else self.spread_skill
        return bool((np.nan_to_num(self.skill) > 0).any() or (np.nan_to_num(spread) > 0).any())

    @property
    def sharp(self) -> Weights | None:
        """Narrower weights out of fold, as `TextReading.sharp`, shape (P, P)."""
        return None if self.parts is None or not self.belief.options.needs_rates else self.parts.sharp()

    def mixed(self, options: BeliefOptions) -> FittedBelief:
        """Return the same fit under another mixture; options of the forest itself stay as they are.

        Raises
        ------
        InvalidInputError
            When there is nothing to mix.
        """
        if self.parts is None or self.aims is None:
            raise InvalidInputError("a belief that tells nothing has no mixture")
        grown = self.belief.options
        same = replace(
            options, n_trees=grown.n_trees, min_leaf=grown.min_leaf, max_features=grown.max_features
        )
        out_of_fold = self.parts.weights(same)
        skill, n_generators = skill_of(out_of_fold, self.aims, self.parts.folds), len(self.skill)
        return self._replace(
            out_of_fold=out_of_fold,
            belief=replace(self.belief, options=same),
            skill=skill[:n_generators],
            spread_skill=None if self.spread_skill is None else skill[n_generators:],
        )


@on_one_thread
def fit_text_belief(
    features: NDArray[np.floating],
    n: NDArray[np.integer[Any]],
    n_correct: NDArray[Any],
    folds: NDArray[np.integer],
    *,
    seed: int,
    options: BeliefOptions | None = None,
    blocks: NDArray[np.integer] | None = None,
    spread: FloatArray | None = None,
) -> FittedBelief:
    """Fit weights on counts of P prompts and G generators.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features of the training prompts; NaN where unknown.
    n, n_correct : ndarray, shape (P, G)
        Samples and correct samples, or the sum of their shares of a scale; 0 samples where a generator has no
        line.
    folds : ndarray of int, shape (P,)
        Fold of each prompt; at least two of them.
    seed : int
        Equal seeds give equal bytes.
    options : BeliefOptions, optional
        By default those that suit the number of prompts.
    blocks : ndarray of int, shape (F,), optional
        Features that belong together, counted from 0, as `PromptFeatures.blocks_` gives them: a prompt may be
        a stranger in one block alone. By default all are one block.
    spread : ndarray of float64, shape (P, G), optional
        How far samples of one prompt lie apart, in [0, 1], NaN where not known: for rewards, whose mean does
        not tell what the best of several is worth. Prompts are then alike where both are.

    Raises
    ------
    InvalidInputError
        When shapes disagree, there is a single fold, or no sample at all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((60, 1))
    >>> n = np.full((60, 1), 8)
    >>> fitted = fit_text_belief(x, n, rng.binomial(n, x), np.arange(60) % 5, seed=0)
    >>> bool((fitted.belief.weights(x) @ x[:, 0])[x[:, 0].argmax()] > 0.5)
    True
    """
    if features.ndim != 2 or len(features) != len(n) or folds.shape != (len(n),):
        raise InvalidInputError(
            f"features must be (P, F) and folds (P,) with P = {len(n)}; got {features.shape}, {folds.shape}"
        )
    names = np.unique(folds)
    if len(names) < 2:
        raise InvalidInputError("weights out of fold need at least two folds")
    counts = success_rates(n, n_correct)
    aims = counts if spread is None else _joined(counts, spread)
    table = finite(features)
    told = ~np.isnan(table).all(axis=1)
    learn = told & counts.known.any(axis=1)
    n_prompts = len(n)
    out_of_fold = equal_weights(folds)
    options = BeliefOptions.for_prompts(n_prompts) if options is None else options
    share = np.asarray(told, dtype=np.float64)
    if min(int((learn & (folds != fold)).sum()) for fold in names) < _MIN_PROMPTS or not table.shape[1]:
        return _mute(options, share, out_of_fold, n.shape[1])
    whole = grow_trees(table[learn], aims.rate[learn], options, seed)
    success = fit_success_predictor(
        table[learn],
        n[learn],
        n_correct[learn],
        folds[learn],
        seed=seed,
        relevance=whole.relevance,
    )
    predicted = success.predictor.predict(table)
    predicted[learn] = success.out_of_fold
    shared = np.zeros((n_prompts, n_prompts), dtype=np.float32)
    for fold in names:
        ours = (folds == fold) & told
        others = folds != fold
        trees = grow_trees(table[learn & others], aims.rate[learn & others], options, seed).trees
        shared[np.ix_(ours, others)] = LeafWeights.of(trees, table[others]).spread(trees.leaves(table[ours]))
    parts = OutOfFold(
        shared=shared, rates=predicted, share=share, folds=folds, familiarity=np.ones(n_prompts)
    )
    out_of_fold = parts.weights(options)
    if pooled_skill(out_of_fold, aims, folds) <= 0:
        return _mute(options, share, equal_weights(folds), n.shape[1])
    known, strangeness = fit_familiarity(
        table[learn],
        SuccessRates(aims.rate[learn], aims.known[learn], aims.mean),
        folds[learn],
        out_of_fold[np.ix_(learn, learn)],
        options,
        blocks=np.zeros(table.shape[1], dtype=np.int64) if blocks is None else blocks,
        seed=seed,
    )
    parts.familiarity[learn] = known.at(strangeness)
    out_of_fold = parts.weights(options)
    belief = TextBelief(
        options=options,
        share=share,
        forest=LeafWeights.of(whole.trees, table),
        success=success.predictor,
        rates=predicted,
        known=known,
    )
    skill = skill_of(out_of_fold, aims, folds)
    n_generators = n.shape[1]
    return FittedBelief(
        out_of_fold,
        belief,
        skill[:n_generators],
        parts,
        None if spread is None else skill[n_generators:],
        aims,
    )


def _joined(counts: SuccessRates, spread: FloatArray) -> SuccessRates:
    """Return rates followed by spreads, as one table; unknown spreads are the mean of their generator."""
    known = ~np.isnan(spread)
    n_known = known.sum(axis=0)
    mean = np.where(known, spread, 0.0).sum(axis=0) / np.maximum(n_known, 1)
    return SuccessRates(
        np.concatenate([counts.rate, np.where(known, spread, mean)], axis=1),
        np.concatenate([counts.known, known], axis=1),
        np.concatenate([counts.mean, mean]),
    )


def _mute(options: BeliefOptions, share: FloatArray, out_of_fold: Weights, n_generators: int) -> FittedBelief:
    """Return the belief that tells no prompts apart."""
    belief = TextBelief(
        options=options, share=share, forest=None, success=None, rates=np.zeros((len(share), 0))
    )
    return FittedBelief(out_of_fold, belief, np.zeros(n_generators))
