"""Samples in random orders, as a replay draws them one by one, and chains whose attempts become such samples.

It assumes that nothing beyond what a prompt has is looked at. How pools are put in order is left to
`policies.table.recorded` and `policies.table.deeper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray, Float32Array
from policies.course.allocation import ParameterValue
from policies.verifier.learned_verifier import LearnedScorer

TOKENS: Final = ("output_tokens", "resent_tokens", "cached_tokens", "verifier_tokens")
"""What is counted of each sample, by the names that a table has for it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedSamples:
    """Samples of one generator in R random orders, shapes (P, R, M); what lies beyond `n` means nothing.

    Parameters
    ----------
    n : ndarray of int64, shape (P,)
        Samples of each prompt whose value is known.
    correct : ndarray of float32
        1 where the sample is correct.
    worth : ndarray of float32
        What the sample is worth: whether it is correct, or its reward.
    answer : ndarray of int32
        Code of the answer within the prompt; -1 abstains.
    answered : bool
        Whether any sample has an answer: then one without an answer is never selected.
    right : ndarray of float32
        Mean worth of all samples with the same answer, of this generator alone where answers of several do
        not compare; 0 for abstentions.
    nothing : ndarray of float32, shape (P,)
        What selecting nothing is worth: 0, or the mean reward of the samples that abstain.
    output_tokens : ndarray of float32
        A missing count is the mean of the prompt's others; NaN where none is recorded.
    signals : mapping of str to ndarray of float32
        Those of `policies.menu.signals` that are recorded for every such sample, by name.
    judge : LearnedScorer, optional
        Says how likely each sample is correct, given those that were drawn with it; its rows are prompts.
    prompt_tokens : ndarray of float64, shape (P,)
        NaN where not recorded.
    resent_tokens : ndarray of float32, optional
        Prompt tokens of attempts beyond one prompt per step, or those that each sample sent of its own; None
        where samples share their prompt.
    cached_tokens : ndarray of float32, optional
        The part of `resent_tokens` that a cache spared; None where none is recorded.
    verifier_tokens : ndarray of float32, optional
        What a reward model read of each; NaN for prompts that record none, None where no prompt does.
    """

    n: NDArray[np.int64]
    correct: Float32Array
    worth: Float32Array
    answer: NDArray[np.int32]
    answered: bool
    right: Float32Array
    nothing: Float32Array
    output_tokens: Float32Array
    signals: Mapping[str, Float32Array]
    prompt_tokens: NDArray[np.float64]
    judge: LearnedScorer | None = None
    resent_tokens: Float32Array | None = None
    cached_tokens: Float32Array | None = None
    verifier_tokens: Float32Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedChains(OrderedSamples):
    """The same of the chains of one generator, with an axis of attempts behind that of chains: (P, R, C, S).

    `n` counts chains, and `signals` are known for every attempt; no judge reads them.

    Parameters
    ----------
    params : tuple of pairs
        Settings that the attempts were drawn with, as those of a step.
    n_steps : ndarray of int64, shape (P,)
        Attempts of each prompt's shortest chain.
    """

    params: tuple[tuple[str, ParameterValue], ...]
    n_steps: NDArray[np.int64]

    def side_by_side(self, width: int) -> OrderedSamples:
        """Return the attempts of `width` chains in the order of drawing, shapes (P, R, S × width)."""

        def drawn(values: NDArray[Any]) -> NDArray[Any]:
            p, r, c, s = values.shape
            return np.moveaxis(values[:, :, :width], 2, 3).reshape(p, r, s * min(width, c))

        names = ("correct", "worth", "answer", "right", *TOKENS)
        known = {name: values for name in names if (values := getattr(self, name)) is not None}
        arrays: dict[str, Any] = {name: drawn(values) for name, values in known.items()}
        return OrderedSamples(
            n=np.where(self.n >= width, width * self.n_steps, 0),
            **arrays,
            answered=self.answered,
            nothing=self.nothing,
            signals={name: drawn(values) for name, values in self.signals.items()},
            prompt_tokens=self.prompt_tokens,
        )


def complete(signals: Mapping[str, NDArray[np.floating]], known: BoolArray) -> dict[str, Float32Array]:
    """Return the signals that all of what is known has, 0 elsewhere."""
    return {
        name: np.nan_to_num(values).astype(np.float32)
        for name, values in sorted(signals.items())
        if bool(known.any()) and not bool(np.isnan(values[known]).any())
    }
