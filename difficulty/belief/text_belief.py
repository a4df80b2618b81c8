"""What features of a prompt say about it: weights over the training prompts that behave alike.

A forest that predicts the pass rates of all generators at once says which training prompts share its leaves
with a prompt; on small logs it is mixed with neighbours in predicted success rates. The expectation of
whatever was measured on the training prompts is one product with these weights. It assumes folds that keep
near-duplicates together; whether to believe the weights is left to whoever compares policies out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.rate_weights import coordinate_scaling, kernel_weights, nearest_weights
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import SuccessPredictor, fit_success_predictor
from difficulty.predictor.success_rates import success_rates
from difficulty.trees.forest import trees_of_forest

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

__all__ = ["FittedBelief", "TextBelief", "fit_text_belief"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]

_MIN_PROMPTS: Final = 10
_MAX_REFERENCES: Final = 1_000_000
_LARGEST: Final = float(np.finfo(np.float32).max)


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

    def __post_init__(self) -> None:
        n_references = len(self.share) if self.share.ndim == 1 else 0
        if not 1 <= n_references <= _MAX_REFERENCES or not np.isin(self.share, (0.0, 1.0)).all():
            raise InvalidInputError(f"a belief needs 1 to {_MAX_REFERENCES:,} references, marked with 0 or 1")
        if (self.forest is None) != (self.success is None):
            raise InvalidInputError("a belief has a forest and a success predictor, or neither")
        n_generators = 0 if self.success is None else len(self.success.slope)
        if self.rates.dtype.kind != "f" or self.rates.shape != (n_references, n_generators):
            raise InvalidInputError(f"rates of a belief must be ({n_references}, {n_generators})")
        if not ((self.rates >= 0) & (self.rates <= 1)).all():
            raise InvalidInputError("rates of a belief must lie in [0, 1]")
        if self.forest is None or self.success is None:
            return
        if len(self.forest.leaves) != n_references or not self.share.any():
            raise InvalidInputError("forest and references of a belief must be of the same prompts")
        if self.forest.trees.n_features != len(self.success.process.centre):
            raise InvalidInputError("forest and success predictor must have the same features")

    def __len__(self) -> int:
        return len(self.share)

    @on_one_thread
    def weights(self, features: NDArray[np.floating]) -> Weights:
        """Return the weights of N prompts, shape (N, T), float32; rows sum to 1.

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
        if self.forest is None or self.success is None:
            return np.full((len(features), len(self)), 1 / len(self), dtype=np.float32)
        table = _finite(features)
        known = ~np.isnan(table).all(axis=1)
        asked = table if known.all() else table[known]
        rates = self.success.predict(asked) if self.options.needs_rates else np.zeros((len(asked), 0))
        mixed = _mixture(
            self.options, self.forest, self.forest.trees.leaves(asked), rates, self.rates, self.share
        )
        if known.all():
            return mixed
        result = np.full((len(features), len(self)), 1 / len(self), dtype=np.float32)
        result[known] = mixed
        return result

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
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, without pickle."""
        arrays: dict[str, NDArray[Any]] = {
            "options": self.options.to_array(),
            "share": self.share,
            "rates": self.rates,
        }
        for prefix, part in (("forest", self.forest), ("success", self.success)):
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
        parts: dict[str, dict[str, NDArray[Any]]] = {"forest": {}, "success": {}, "": {}}
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
    """

    out_of_fold: Weights
    belief: TextBelief
    skill: FloatArray


@on_one_thread
def fit_text_belief(
    features: NDArray[np.floating],
    n: NDArray[np.integer[Any]],
    n_correct: NDArray[np.integer[Any]],
    folds: NDArray[np.integer],
    *,
    seed: int,
    options: BeliefOptions | None = None,
) -> FittedBelief:
    """Fit weights on counts of P prompts and G generators.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features of the training prompts; NaN where unknown.
    n, n_correct : ndarray of int, shape (P, G)
        Samples and correct samples; 0 samples where a generator has no line.
    folds : ndarray of int, shape (P,)
        Fold of each prompt; at least two of them.
    seed : int
        Equal seeds give equal bytes.
    options : BeliefOptions, optional
        By default those that suit the number of prompts.

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
    table = _finite(features)
    told = ~np.isnan(table).all(axis=1)
    learn = told & counts.known.any(axis=1)
    n_prompts = len(n)
    out_of_fold = (folds[:, None] != folds).astype(np.float32)
    out_of_fold /= out_of_fold.sum(axis=1, keepdims=True)
    options = BeliefOptions.for_prompts(n_prompts) if options is None else options
    share = np.asarray(told, dtype=np.float64)
    if min(int((learn & (folds != fold)).sum()) for fold in names) < _MIN_PROMPTS or not table.shape[1]:
        belief = TextBelief(
            options=options, share=share, forest=None, success=None, rates=np.zeros((n_prompts, 0))
        )
        return FittedBelief(out_of_fold, belief, np.zeros(n.shape[1]))
    whole = _grown(table[learn], counts.rate[learn], options, seed)
    success = fit_success_predictor(
        table[learn],
        n[learn],
        n_correct[learn],
        folds[learn],
        seed=seed,
        relevance=np.asarray(whole.feature_importances_, dtype=np.float64),
    )
    predicted = success.predictor.predict(table)
    predicted[learn] = success.out_of_fold
    for fold in names:
        ours = (folds == fold) & told
        others = folds != fold
        trees = trees_of_forest(_grown(table[learn & others], counts.rate[learn & others], options, seed))
        forest = LeafWeights.of(trees, table[others])
        out_of_fold[np.ix_(ours, others)] = _mixture(
            options, forest, trees.leaves(table[ours]), predicted[ours], predicted[others], share[others]
        )
    belief = TextBelief(
        options=options,
        share=share,
        forest=LeafWeights.of(trees_of_forest(whole), table),
        success=success.predictor,
        rates=predicted,
    )
    return FittedBelief(out_of_fold, belief, _skill(out_of_fold, counts.rate, counts.known, folds))


def _grown(
    table: NDArray[np.float32], rates: FloatArray, options: BeliefOptions, seed: int
) -> ExtraTreesRegressor:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        n_estimators=options.n_trees,
        min_samples_leaf=options.min_leaf,
        max_features=options.max_features,
        random_state=seed,
    )
    forest.fit(table, rates[:, 0] if rates.shape[1] == 1 else rates)
    return forest


def _mixture(
    options: BeliefOptions,
    forest: LeafWeights,
    leaves: NDArray[np.int64],
    rates: FloatArray,
    references: FloatArray,
    share: FloatArray,
) -> Weights:
    """Return the mixture's weights over references in `forest`, shape (N, T)."""
    total = options.forest + options.nearest + options.kernel
    mixed = forest.spread(leaves) * np.float32(options.forest / total)
    if options.nearest:
        mixed += nearest_weights(rates, references, n_nearest=options.n_nearest) * np.float32(
            options.nearest / total
        )
    if options.kernel:
        near = kernel_weights(
            rates,
            references,
            scaling=coordinate_scaling(references),
            bandwidth=options.bandwidth,
            floor=options.floor,
        )
        mixed += near * np.float32(options.kernel / total)
    if not share.all():
        mixed *= share.astype(np.float32)
        mixed[~mixed.any(axis=1)] = share
    mixed /= mixed.sum(axis=1, keepdims=True)
    return mixed


def _skill(
    weights: Weights, rates: FloatArray, known: NDArray[np.bool_], folds: NDArray[np.integer]
) -> FloatArray:
    """Return 1 - squared error / squared error of the mean of other folds, (G,); 0 where rates are one."""
    plain = (folds[:, None] != folds).astype(np.float64)

    def error(by: NDArray[np.floating]) -> FloatArray:
        mass = by @ known
        mean = (by @ np.where(known, rates, 0)) / np.where(mass > 0, mass, 1)
        return np.asarray(np.where(known & (mass > 0), (mean - rates) ** 2, 0).sum(axis=0))

    variance = error(plain)
    return np.where(variance > 1e-12, 1 - error(weights) / np.maximum(variance, 1e-12), 0.0)


def _finite(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features in float32, infinite ones as the largest number."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(features, -_LARGEST, _LARGEST), dtype=np.float32)
