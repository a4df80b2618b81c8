"""Which reference prompts new prompts are like, how familiar they are, and how hard they look.

It reads a prompt's text through the bundle's features. What follows from it is left to
`planner.planning.menu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weighing import DenseWeights, ReferenceColumns
from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.menu import Likeness

if TYPE_CHECKING:
    from difficulty.features.hidden_states import HiddenStates


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likenesses:
    """Tells what prompts are like; make it with `of`.

    Parameters
    ----------
    bundle : PolicyBundle
        Features and belief.
    success : ReferenceColumns
        Mean success of each reference prompt over its generators.
    ranked : ndarray of float64, shape (T,)
        What is expected of each reference prompt out of fold, rising.
    """

    bundle: PolicyBundle
    success: ReferenceColumns
    ranked: NDArray[np.float64]

    @classmethod
    def of(cls, bundle: PolicyBundle) -> Self:
        """Prepare to tell what prompts of a bundle are like."""
        success = bundle.references.success()
        known = ~np.isnan(success)
        mean = np.where(known, success, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return cls(bundle=bundle, success=ReferenceColumns(mean[:, None]), ranked=np.sort(mean))

    def of_prompts(self, prompts: Sequence[Prompt], hidden_states: HiddenStates | None) -> Likeness:
        """Return what is believed of N prompts."""
        bundle = self.bundle
        if bundle.features is None or bundle.belief is None:
            return Likeness.unknown(prompts)
        useful = bundle.policy.reads_text
        if hidden_states is not None and not useful:  # familiarity alone is not worth a model's reading
            return Likeness.unknown(prompts)
        features = self._features(prompts, hidden_states)
        if not useful:
            return Likeness(None, None, bundle.belief.familiarity(features), np.full(len(prompts), 0.5))
        read = bundle.belief.read(features)
        sharp = read.sharp()
        ease = np.searchsorted(self.ranked, read.mean(self.success)[:, 0]) / len(self.ranked)
        return Likeness(read, None if sharp is None else DenseWeights(sharp), read.familiarity, ease)

    def weights(self, prompts: Sequence[Prompt], hidden_states: HiddenStates | None) -> NDArray[np.float32]:
        """Return weights over the T reference prompts, shape (N, T); alike where text says nothing."""
        bundle = self.bundle
        if bundle.features is None or bundle.belief is None:
            n_references = len(bundle.references)
            return np.full((len(prompts), n_references), 1 / n_references, dtype=np.float32)
        return bundle.belief.weights(self._features(prompts, hidden_states))

    def _features(self, prompts: Sequence[Prompt], hidden_states: HiddenStates | None) -> NDArray[np.float32]:
        features = self.bundle.features
        if features is None:
            raise InvalidInputError("this bundle has no features of prompts")
        if hidden_states is None and features.needs_hidden_states:
            raise InvalidInputError(
                "this bundle chooses by hidden states of a language model; load it in Python with "
                "Planner.load(folder, hidden_states=...), or train one without them"
            )
        hidden = None if hidden_states is None else hidden_states.transform(prompts)
        return features.transform(prompts, hidden)
