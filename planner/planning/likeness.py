"""Which reference prompts new prompts are like, how familiar they are, and how hard they look.

It reads a prompt's text through the bundle's features. What follows from it is left to
`planner.planning.menu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import Belief
from difficulty.belief.text_belief import TextBelief, TextReading
from difficulty.belief.weighing import DenseWeights, ReferenceColumns
from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.menu import Likeness

if TYPE_CHECKING:
    from difficulty.features.own_features import PromptReader


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
    _last: dict[tuple[str | None, str] | None, TextReading] = field(
        init=False, repr=False, default_factory=dict
    )

    @classmethod
    def of(cls, bundle: PolicyBundle) -> Self:
        """Prepare to tell what prompts of a bundle are like."""
        success = bundle.references.success()
        known = ~np.isnan(success)
        mean = np.where(known, success, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return cls(bundle=bundle, success=ReferenceColumns(mean[:, None]), ranked=np.sort(mean))

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the text that was read last where it is: a prompt must not travel with a pickled planner."""
        return type(self).of, (self.bundle,)

    def of_prompts(self, prompts: Sequence[Prompt], hidden_states: PromptReader | None) -> Likeness:
        """Return what is believed of N prompts."""
        belief, read = self._belief, self.read(prompts, hidden_states)
        if belief is None or read is None:
            # Familiarity alone is not worth a model's reading.
            if belief is None or hidden_states is not None:
                return Likeness.unknown(prompts)
            known = belief.familiarity(self._features(prompts, hidden_states))
            return Likeness.unknown(prompts)._replace(familiarity=known)
        sharp = read.sharp()
        ease = np.searchsorted(self.ranked, read.mean(self.success)[:, 0]) / len(self.ranked)
        return Likeness(read, None if sharp is None else DenseWeights(sharp), read.familiarity, ease)

    def read(self, prompts: Sequence[Prompt], hidden_states: PromptReader | None) -> TextReading | None:
        """Return what N prompts are like by their text; None where plans have no use for it."""
        if self._belief is None or not self.bundle.policy.reads_text:
            return None
        # The plan of a single prompt is often cut next: its text is read once for both.
        one = (prompts[0].text, str(prompts[0].messages)) if len(prompts) == 1 else None
        read = self._last.get(one)
        if read is None:
            read = self._belief.read(self._features(prompts, hidden_states))
            self._last.clear()
            if one is not None:
                self._last[one] = read
        return read

    def belief(self, prompts: Sequence[Prompt], hidden_states: PromptReader | None) -> Belief:
        """Return weights over the T reference prompts; alike where text says nothing."""
        references = self.bundle.references
        if self._belief is None:
            alike = np.full((len(prompts), len(references)), 1 / len(references), dtype=np.float32)
            return Belief(weights=alike, references=references)
        read = self._belief.read(self._features(prompts, hidden_states))
        return Belief(weights=read.weights(), references=references, familiarity=read.familiarity)

    @property
    def _belief(self) -> TextBelief | None:
        return None if self.bundle.features is None else self.bundle.belief

    def _features(self, prompts: Sequence[Prompt], hidden_states: PromptReader | None) -> NDArray[np.float32]:
        features = self.bundle.features
        assert features is not None
        if hidden_states is None and features.needs_hidden_states:
            raise InvalidInputError(
                "this bundle chooses by hidden states of a language model, or by features of your own; load "
                "it in Python with Planner.load(folder, hidden_states=...), or train one without them"
            )
        hidden = None if hidden_states is None else hidden_states.transform(prompts)
        return features.transform(prompts, hidden)
