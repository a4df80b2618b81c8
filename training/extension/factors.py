"""What a new generator shares with those of a bundle: rates that text and records of the others foretell.

A Gaussian process whose kernel adds a linear one in the other generators' success rates (the shared factors)
and one of shared leaves of the belief's forest (what the new one has of its own). It assumes a bundle whose
text tells something; what is made of the predictions is left to `training.extension.extend`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_shares
from difficulty.belief.leaf_weights import LeafWeights
from difficulty.belief.text_belief import TextBelief
from difficulty.errors import InvalidInputError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.log.known_texts import KnownTexts
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle

# Weights of the shared factors and of the residual against noise of 1; chosen on reasoning-gym, where any
# within a factor of 2 explain as much within .01 (notebooks/LOG.md, 2026-11-29).
_SHARED: Final = 3.0
_OWN: Final = 1.0
# Likewise of how far its samples agree, and of what agreement means where the others are often right.
_AGREEING: Final = 3.0
_TOGETHER: Final = 10.0
_TINY: Final = 1e-12


class Places(NamedTuple):
    """N prompts among the factors.

    Attributes
    ----------
    rates : ndarray of float64, shape (N, G)
        Success rates of the other generators: recorded for references, expected for others.
    told : ndarray of float64, shape (N, H)
        Those that the success predictor tells, without the prompt itself.
    leaves : ndarray of float64, shape (N, T)
        Square roots of weights over the references.
    matched : ndarray of intp, shape (N,)
        The reference that a prompt is; -1 where it is none.
    agreement : ndarray of float64, shape (N,)
        How far samples of the new generator agree, more or less than usual; 0 where nobody knows.
    """

    rates: FloatArray
    told: FloatArray
    leaves: FloatArray
    matched: NDArray[np.intp]
    agreement: FloatArray

    def take(self, rows: NDArray[np.intp]) -> Places:
        """Return some of the prompts."""
        return Places._make(column[rows] for column in self)


def likeness(first: Places, second: Places) -> FloatArray:
    """Return how alike prompts (N,) and (M,) are by their leaves, shape (N, M): 1 for one and itself."""
    one, other = (
        places.leaves / np.sqrt(np.square(places.leaves).sum(axis=1, keepdims=True).clip(_TINY))
        for places in (first, second)
    )
    return np.asarray(np.square(one @ other.T))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Factors:
    """The factors of a bundle; make them with `of`.

    Parameters
    ----------
    features : PromptFeatures
        Of prompts.
    belief : TextBelief
        Over the T references.
    forest : LeafWeights
        The belief's own.
    success : ndarray of float64, shape (T, G)
        Recorded rates of the references, without gaps.
    references : Places
        The references themselves.
    texts : KnownTexts
        Of the references, in their order, which tell apart those of equal leaves.
    """

    features: PromptFeatures
    belief: TextBelief
    forest: LeafWeights
    success: FloatArray
    references: Places
    texts: KnownTexts

    @classmethod
    def of(cls, bundle: PolicyBundle) -> Self:
        """Return the factors of a bundle.

        Raises
        ------
        InvalidInputError
            When its text tells nothing.
        """
        belief, features = bundle.belief, bundle.features
        if belief is None or features is None or belief.forest is None:
            raise InvalidInputError(
                "the text of prompts tells this bundle nothing, so that a new generator shares nothing with "
                "the others: record it on the prompts of the old log, and train on both"
            )
        success = bundle.references.success()
        known = ~np.isnan(success)
        mean = np.where(known, success, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        success = np.where(known, success, mean)
        weights = belief.forest.spread(belief.forest.leaves).astype(np.float64)
        np.fill_diagonal(weights, 0.0)
        size = len(success)
        return cls(
            features=features,
            belief=belief,
            forest=belief.forest,
            success=success,
            references=Places(
                success, belief.rates, np.sqrt(row_shares(weights)), np.arange(size), np.zeros(size)
            ),
            texts=bundle.texts,
        )

    def place(self, prompts: Sequence[Prompt]) -> Places:
        """Return where prompts stand; one that is a reference is foretold without itself."""
        table = self.features.transform(prompts, None)
        leaves = self.forest.trees.leaves(table)
        weights = self.forest.spread(leaves).astype(np.float64)
        told = self.belief.success_rates(table)
        matched = np.full(len(prompts), -1, dtype=np.intp)
        of_text = self.texts.find([prompt.content for prompt in prompts]).same
        for row, own in enumerate(leaves):
            same = np.flatnonzero((self.forest.leaves == own).all(axis=1))
            weights[row, same] = 0.0
            itself = same if len(same) == 1 else same[same == of_text[row]]
            if len(itself):
                matched[row] = itself[0]
                told[row] = self.belief.rates[itself[0]]
        weights = row_shares(weights)
        return Places(weights @ self.success, told, np.sqrt(weights), matched, np.zeros(len(weights)))

    def kernel(self, first: Places, second: Places) -> FloatArray:
        """Return how alike a new generator is on prompts (N,) and (M,), shape (N, M)."""
        one, other = self._linear(first), self._linear(second)
        return np.asarray(1.0 + one @ other.T + _OWN * np.square(first.leaves @ second.leaves.T))

    def own(self, places: Places) -> FloatArray:
        """Return the kernel of each prompt with itself, shape (N,)."""
        linear = np.square(self._linear(places)).sum(axis=1)
        return np.asarray(1.0 + linear + _OWN * np.square(np.square(places.leaves).sum(axis=1)))

    def _linear(self, places: Places) -> FloatArray:
        """Return what counts in proportion, weighted, shape (N, F)."""
        rates = places.rates - self.success.mean(axis=0)
        told = places.told - self.belief.rates.mean(axis=0)
        shared = np.concatenate([rates, told], axis=1) * np.sqrt(_SHARED / 2)
        together = np.sqrt(_TOGETHER) * rates.mean(axis=1) * places.agreement
        return np.column_stack([shared, np.sqrt(_AGREEING) * places.agreement, together])


class Fit(NamedTuple):
    """A process on L labelled prompts.

    Attributes
    ----------
    factors : Factors
        What it rests on.
    places : Places
        Of the labelled prompts.
    unseen : Places
        The same as if nothing had been drawn for them.
    inverse : ndarray of float64, shape (L, L)
        Of kernel plus noise.
    """

    factors: Factors
    places: Places
    unseen: Places
    inverse: FloatArray

    def predict(self, places: Places, target: FloatArray) -> FloatArray:
        """Return the mean of targets (L, C) at N prompts, shape (N, C)."""
        mean = target.mean(axis=0)
        return np.asarray(mean + self.factors.kernel(places, self.places) @ (self.inverse @ (target - mean)))

    def spread(self, target: FloatArray) -> FloatArray:
        """Return targets (L, C) at the references, shape (T, C): their own where labelled, else foretold."""
        told = self.predict(self.factors.references, target).clip(target.min(axis=0), target.max(axis=0))
        own = self.places.matched >= 0
        told[self.places.matched[own]] = target[own]
        return told

    def left_out(self, target: FloatArray) -> FloatArray:
        """Return what each labelled prompt is foretold without its label and its samples, shape (L, C)."""
        residual = self.inverse @ (target - target.mean(axis=0))
        cross = self.factors.kernel(self.unseen, self.places)
        own = np.einsum("ij,ji->i", cross, self.inverse) / np.diag(self.inverse)
        return np.asarray(target.mean(axis=0) + cross @ residual - own[:, None] * residual)

    def deviation(self, places: Places, target: FloatArray) -> FloatArray:
        """Return how far N prompts may lie from what is foretold of a target (L,), shape (N,)."""
        centred = target - target.mean()
        scale = max(float(centred @ self.inverse @ centred) / len(target), 1e-9)
        cross = self.factors.kernel(places, self.places)
        left = self.factors.own(places) - np.einsum("nl,lm,nm->n", cross, self.inverse, cross)
        return np.asarray(np.sqrt(scale * np.maximum(left, 0.0)))


def fit_process(factors: Factors, places: Places, *, unseen: Places | None = None) -> Fit:
    """Fit the process on labelled prompts, which may stand elsewhere before anything is drawn for them."""
    kernel = factors.kernel(places, places)
    kernel[np.diag_indices(len(kernel))] += 1.0
    inverse = np.asarray(np.linalg.inv(kernel), dtype=np.float64)
    return Fit(factors, places, places if unseen is None else unseen, inverse)
