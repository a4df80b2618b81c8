"""What features of a prompt say about it: weights over the training prompts that behave alike.

A forest that predicts the pass rates of all generators at once says which training prompts share its leaves
with a prompt; on small logs it is mixed with neighbours in predicted success rates. The expectation of
whatever was measured on the training prompts is its weighted mean, which sums over leaves give without
spreading weights out. Fitting is left to `difficulty.belief.text_belief_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.nested import apart, nested
from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity import Familiarity
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.mixture import add_by_rates, drawn_to_equal, mixture, sharp_weights
from difficulty.belief.rate_weights import RateReferences
from difficulty.belief.weighing import DenseWeights, ReferenceColumns
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import SuccessPredictor
from difficulty.trees.descent import Descent
from difficulty.trees.trees import Trees

Weights: TypeAlias = NDArray[np.float32]

_MAX_REFERENCES: Final = 1_000_000
# Leaves × columns that are added up at most, 256 MB; beyond, weights are spread out.
_MOST_SUMS: Final = 1 << 26
_LARGEST: Final = float(np.finfo(np.float32).max)
# Prompts that walk the forest and the boosted trees in one go.
_FEW: Final = 4


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
        """Return the weights of N prompts as a matrix, shape (N, T), float32; parameters as in `read`."""
        return self.read(features).weights()

    @on_one_thread
    def read(self, features: NDArray[np.floating]) -> TextReading:
        """Return what features say of N prompts.

        Parameters
        ----------
        features : ndarray, shape (N, F)
            Features; NaN where unknown. A prompt without any is like all references alike.

        Raises
        ------
        InvalidInputError
            When the number of features is another.
        """
        if features.ndim != 2:
            raise InvalidInputError(f"features must have shape (N, F), got {features.shape}")
        n_prompts = len(features)
        rates, leaves = np.zeros((n_prompts, 0)), np.zeros((n_prompts, 0), dtype=np.int64)
        if self.forest is None or self.success is None or self.known is None:
            return TextReading(belief=self, familiarity=np.zeros(n_prompts), leaves=leaves, rates=rates)
        table = finite(features)
        leaves, boosted = self._walked(self.forest.trees, table)
        if self.options.needs_rates:
            rates = self.success.predict(table, boosted)
        return TextReading(belief=self, familiarity=self.known.of(table), leaves=leaves, rates=rates)

    def _walked(
        self, forest: Trees, table: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Return the leaves of N prompts in the forest, and in the boosted trees where both are asked.

        Of few prompts, both in one go take little longer than one; of many, both together leave the cache.
        """
        if len(table) > _FEW or self._both is None:
            return forest.leaves(table), None
        leaves = self._both.find(table.astype(np.float64))
        return leaves[:, : forest.n_trees], leaves[:, forest.n_trees :] - forest.n_leaves

    @cached_property
    def _both(self) -> Descent | None:
        boosted = None if self.success is None else self.success.boosted.trees
        if self.forest is None or boosted is None or not self.options.needs_rates:
            return None
        return Descent.joined(self.forest.trees, boosted)

    @on_one_thread
    def familiarity(self, features: NDArray[np.floating]) -> FloatArray:
        """Return how familiar N prompts are, shape (N,), as in `read`."""
        return np.zeros(len(features)) if self.known is None else self.known.of(finite(features))

    @on_one_thread
    def success_rates(self, features: NDArray[np.floating]) -> FloatArray:
        """Return predicted success rates, (N, G), drawn to the means as familiarity falls.

        G is 0 where too few prompts have features.
        """
        if self.success is None or self.known is None:
            return np.zeros((len(features), 0))
        table = finite(features)
        mean = self.success.process.offset
        return np.asarray(mean + self.known.of(table)[:, None] * (self.success.predict(table) - mean))

    @cached_property
    def by_rate(self) -> RateReferences:
        """The references by their predicted rates."""
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
        for name, part in (("forest", self.forest), ("success", self.success), ("known", self.known)):
            if part is not None:
                arrays |= nested(name, part.to_arrays())
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TextBelief:
        """Restore a belief from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing or foreign, or they do not fit together.
        """
        own, forest, success, known = apart(arrays, "forest", "success", "known")
        if set(own) != {"options", "share", "rates"}:
            raise InvalidInputError(f"a belief is of options, share, rates and parts; got {sorted(own)}")
        return cls(
            options=BeliefOptions.from_array(own.pop("options")),
            forest=LeafWeights.from_arrays(forest) if forest else None,
            success=SuccessPredictor.from_arrays(success) if success else None,
            known=Familiarity.from_arrays(known) if known else None,
            **own,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TextReading:
    """What a belief makes of N prompts: weights over T references that are hardly ever spread out.

    Parameters
    ----------
    belief : TextBelief
        What read the prompts.
    familiarity : ndarray of float64, shape (N,)
        In [0, 1]: about 1 for prompts like those of training, near 0 for strangers, 0 without features.
        Weights are drawn to equal ones as it falls.
    leaves : ndarray of int64, shape (N, B)
        Leaf of each prompt in each tree.
    rates : ndarray of float64, shape (N, G)
        Predicted success rates; G is 0 where they are not needed.
    """

    belief: TextBelief
    familiarity: FloatArray
    leaves: NDArray[np.int64]
    rates: FloatArray

    def mean(self, of: ReferenceColumns, columns: NDArray[np.intp] | None = None) -> FloatArray:
        """Return what is expected of some columns of the references, or of all, shape (N, A)."""
        belief, asked = self.belief, slice(None) if columns is None else columns
        forest, share, options = belief.forest, belief.share, belief.options
        usual = of.usual[asked]
        if forest is None:
            return np.tile(usual, (len(self.familiarity), 1))
        if forest.trees.n_leaves * of.values.shape[1] > _MOST_SUMS:
            return DenseWeights(self.weights()).mean(of, columns)
        sums = of.by_leaf(forest, share)
        total, lent = sums.mean(self.leaves)
        total = total[:, asked]
        if options.needs_rates:
            near, part = self._near.astype(np.float64), options.forest / options.total
            total = part * total + near @ of.values[:, asked]
            lent = part * lent + near.sum(axis=1, keepdims=True)
        alone = lent[:, 0] == 0
        total[alone], lent[alone] = sums.alike[2:][asked], sums.alike[1]
        mean = total / lent
        if options.needs_rates:  # as in `difficulty.arithmetic.row_product`
            mean = mean.astype(np.float32).astype(np.float64)
        return np.asarray(mean + (1 - self.familiarity[:, None]) * (usual - mean))

    def weights(self) -> Weights:
        """Return the weights as a matrix, shape (N, T), float32; rows sum to 1."""
        belief = self.belief
        if belief.forest is None:
            return np.full((len(self.familiarity), len(belief)), 1 / len(belief), dtype=np.float32)
        shared = belief.forest.spread(self.leaves)
        mixed = mixture(belief.options, shared, self.rates, belief.by_rate, belief.share)
        return drawn_to_equal(mixed, self.familiarity)

    def sharp(self) -> Weights | None:
        """Return narrower weights likewise, which tell better and choose worse.

        None where no success rates are predicted.
        """
        belief = self.belief
        if belief.forest is None or not belief.options.needs_rates:
            return None
        narrow = sharp_weights(self.rates, belief.by_rate, belief.share)
        return drawn_to_equal(narrow, self.familiarity)

    @cached_property
    def _near(self) -> Weights:
        """The part of the mixture by predicted rates, without references that lend no weight, (N, T)."""
        belief = self.belief
        near = np.zeros((len(self.rates), len(belief)), dtype=np.float32)
        add_by_rates(near, belief.options, self.rates, belief.by_rate)
        return near if belief.share.all() else near * belief.share.astype(np.float32)


def finite(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features in float32, infinite ones as the largest number."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(features, -_LARGEST, _LARGEST), dtype=np.float32)
