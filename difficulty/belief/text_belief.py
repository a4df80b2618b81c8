"""What features of a prompt say about it: weights over the training prompts that behave alike.

A forest that predicts the pass rates of all generators at once says which training prompts share its leaves
with a prompt; on small logs it is mixed with neighbours in predicted success rates. The expectation of
whatever was measured on the training prompts is one product with these weights. Fitting is left to
`difficulty.belief.text_belief_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity import Familiarity
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.mixture import draw_to_equal, mixture, placed, sharp_weights
from difficulty.belief.rate_weights import RateReferences
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_predictor import SuccessPredictor

__all__ = ["TextBelief", "TextReading", "finite"]

FloatArray: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]

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
        table = finite(features)
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
            table = finite(features)
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
        table = finite(features)
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


def finite(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features in float32, infinite ones as the largest number."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(features, -_LARGEST, _LARGEST), dtype=np.float32)
