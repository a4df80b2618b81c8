"""What features of a prompt say about it: weights over the training prompts that behave alike.

A forest that predicts the pass rates of all generators at once says which training prompts share its leaves
with a prompt; on small logs it is mixed with neighbours in predicted success rates. The expectation of
whatever was measured on the training prompts is one product with these weights. It assumes folds that keep
near-duplicates together; whether to believe the weights is left to whoever compares policies out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity import Familiarity
from difficulty.belief.familiarity_fit import fit_familiarity
from difficulty.belief.grown_forest import grow_trees
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.mixture import OutOfFold, draw_to_equal, mixture, placed, sharp_weights
from difficulty.belief.rate_weights import RateReferences
from difficulty.belief.skill import equal_weights, pooled_skill, skill_of
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import SuccessPredictor, fit_success_predictor
from difficulty.predictor.success_rates import SuccessRates, success_rates

__all__ = ["FittedBelief", "TextBelief", "TextReading", "fit_text_belief"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]

_MIN_PROMPTS: Final = 10
_MAX_REFERENCES: Final = 1_000_000
_LARGEST: Final = float(np.finfo(np.float32).max)


class TextReading(NamedTuple):
    """What a belief makes of N prompts.

    Attributes
    ----------
    weights : ndarray of float32, shape (N, T)
        Rows sum to 1; drawn to equal weights as familiarity falls.
    familiarity : ndarray of float64, shape (N,)
        In [0, 1]: about 1 for prompts like those of training, near 0 for strangers, 0 without features.
    sharp : ndarray of float32, shape (N, T), or None
        Narrower weights, likewise, which tell better and choose worse; None where no success rates are
        predicted.
    """

    weights: Weights
    familiarity: FloatArray
    sharp: Weights | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TextBelief:
    """Weights of any prompt over T reference prompts, from its features.

    Parameters
    ----------
    options : BeliefOptions
        How the weights are formed.
    share : ndarray of float64, shape (T,)
        1 for references with features, 0 for those without, which no prompt with features resembles.
    forest : LeafWeights or None
        Shared leaves; None where too few prompts have features, and all prompts get equal weights.
    success : SuccessPredictor or None
        Success rates of G generators, which reasons and reports speak of; None likewise.
    known : Familiarity or None
        How much a prompt resembles those of training; None likewise.
    rates : ndarray of float64, shape (T, G)
        Rates that were predicted for the references without themselves; G is 0 without a predictor.

    Raises
    ------
    InvalidInputError
        When the parts do not fit together.
    """

    options: BeliefOptions
    share: FloatArray
    forest: LeafWeights | None
    success: SuccessPredictor | None
    rates: FloatArray
    known: Familiarity | None = None

    def __post_init__(self) -> None:
        n_references = len(self.share) if self.share.ndim == 1 else 0
        if not 1 <= n_references <= _MAX_REFERENCES or not np.isin(self.share, (0.0, 1.0)).all():
            raise InvalidInputError(f"a belief needs 1 to {_MAX_REFERENCES:,} references, marked with 0 or 1")
        if not (self.forest is None) == (self.success is None) == (self.known is None):
            raise InvalidInputError("a belief has a forest, a success predictor and a familiarity, or none")
        n_generators = 0 if self.success is None else len(self.success.slope)
        if self.rates.dtype.kind != "f" or self.rates.shape != (n_references, n_generators):
            raise InvalidInputError(f"rates of a belief must be ({n_references}, {n_generators})")
        if not ((self.rates >= 0) & (self.rates <= 1)).all():
            raise InvalidInputError("rates of a belief must lie in [0, 1]")
        if self.forest is None or self.success is None or self.known is None:
            return
        if len(self.forest.leaves) != n_references or not self.share.any():
            raise InvalidInputError("forest and references of a belief must be of the same prompts")
        if not self.forest.trees.n_features == len(self.success.process.centre) == len(self.known.centre):
            raise InvalidInputError("forest, success predictor and familiarity must have the same features")

    def __len__(self) -> int:
        return len(self.share)

    def weights(self, features: NDArray[np.floating]) -> Weights:
        """Return the weights of N prompts, shape (N, T), float32; parameters as in `read`."""
        return self.read(features).weights

    @on_one_thread
    def read(self, features: NDArray[np.floating]) -> TextReading:
        """Return the weights of N prompts, and how familiar they are.

        Parameters
        ----------
        features : ndarray, shape (N, F)
            Features; NaN where unknown. A prompt without any gets equal weights.

        Raises
        ------
        InvalidInputError
            When the number of features is another.
        """
        if features.ndim != 2:
            raise InvalidInputError(f"features must have shape (N, F), got {features.shape}")
        if self.forest is None or self.success is None or self.known is None:
            equal = np.full((len(features), len(self)), 1 / len(self), dtype=np.float32)
            return TextReading(equal, np.zeros(len(features)))
        table = _finite(features)
        told = np.asarray(~np.isnan(table).all(axis=1))
        asked = table if told.all() else table[told]
        rates = self.success.predict(asked) if self.options.needs_rates else np.zeros((len(asked), 0))
        leaves = self.forest.trees.leaves(asked)
        mixed = mixture(self.options, self.forest.spread(leaves), rates, self._by_rate, self.share)
        sharp = sharp_weights(rates, self._by_rate, self.share) if self.options.needs_rates else None
        known = self.known.of(asked)
        draw_to_equal(mixed, known)
        if sharp is not None:
            draw_to_equal(sharp, known)
        if told.all():
            return TextReading(mixed, known, sharp)
        familiarity = np.zeros(len(features))
        familiarity[told] = known
        return TextReading(placed(mixed, told), familiarity, None if sharp is None else placed(sharp, told))

    @on_one_thread
    def familiarity(self, features: NDArray[np.floating]) -> FloatArray:
        """Return how familiar N prompts are, shape (N,), as in `read`."""
        familiarity = np.zeros(len(features))
        if self.known is not None:
            table = _finite(features)
            told = ~np.isnan(table).all(axis=1)
            familiarity[told] = self.known.of(table[told])
        return familiarity

    @on_one_thread
    def success_rates(self, features: NDArray[np.floating]) -> FloatArray:
        """Return predicted success rates, (N, G), drawn to the means as familiarity falls.

        G is 0 where too few prompts have features.
        """
        if self.success is None or self.known is None:
            return np.zeros((len(features), 0))
        table = _finite(features)
        mean = self.success.process.offset
        return np.asarray(mean + self.known.of(table)[:, None] * (self.success.predict(table) - mean))

    @cached_property
    def _by_rate(self) -> RateReferences:
        return RateReferences(rates=self.rates)

    def take(self, rows: NDArray[np.intp]) -> TextBelief:
        """Return the belief over some of the references, in the order of `rows`."""
        share = self.share[rows]
        if self.forest is None or not share.any():
            none = np.zeros((len(rows), 0))
            return TextBelief(options=self.options, share=share, forest=None, success=None, rates=none)
        return TextBelief(
            options=self.options,
            share=share,
            forest=self.forest.take(rows),
            success=self.success,
            rates=self.rates[rows],
            known=self.known,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, without pickle."""
        arrays: dict[str, NDArray[Any]] = {
            "options": self.options.to_array(),
            "share": self.share,
            "rates": self.rates,
        }
        for prefix, part in (("forest", self.forest), ("success", self.success), ("known", self.known)):
            if part is not None:
                arrays |= {f"{prefix}.{name}": array for name, array in part.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TextBelief:
        """Restore a belief from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing or foreign, or they do not fit together.
        """
        parts: dict[str, dict[str, NDArray[Any]]] = {"forest": {}, "success": {}, "known": {}, "": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            if part in parts and rest:
                parts[part][rest] = array
            else:
                parts[""][name] = array
        own = {"options", "share", "rates"}
        if set(parts[""]) != own:
            raise InvalidInputError(
                f"arrays of a belief are {sorted(own)} and parts, got {sorted(parts[''])}"
            )
        return cls(
            options=BeliefOptions.from_array(arrays["options"]),
            share=arrays["share"],
            rates=arrays["rates"],
            forest=LeafWeights.from_arrays(parts["forest"]) if parts["forest"] else None,
            success=SuccessPredictor.from_arrays(parts["success"]) if parts["success"] else None,
            known=Familiarity.from_arrays(parts["known"]) if parts["known"] else None,
        )


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
    table = _finite(features)
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


def _finite(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features in float32, infinite ones as the largest number."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(features, -_LARGEST, _LARGEST), dtype=np.float32)
