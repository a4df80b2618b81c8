"""Say what an allocation is expected to use: width × depth, shared prompts, growing contexts, verifier
passes.

It assumes that every completion has the same expected length, which is what a belief gives. What the usage
costs is left to `policies.cost`, and how long it takes to the decode model that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError
from policies.allocation import Allocation
from policies.cost import CostModel
from policies.cost_latency import DecodeModel
from policies.usage import Usage

__all__ = ["UsageModel"]

# Strategies that ask a verifier to read what was generated.
_SCORED: Final = frozenset(
    {"best_of_n", "weighted_best_of_n", "beam_search", "dvts", "lookahead", "rebase", "sequential_revision"}
)
_FIELDS: Final = (
    "samples",
    "prompt_tokens",
    "cached_prompt_tokens",
    "output_tokens",
    "verifier_tokens",
    "requests",
    "seconds",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageModel:
    """How allocations turn into tokens on a given stack.

    Parameters
    ----------
    shared_prefill : bool
        Parallel samples of one prompt go in one request, which reads (and bills) the prompt once, as n > 1
        does on OpenAI-compatible servers. False: one request and one prompt per sample.
    prefix_cache : bool
        Prompt tokens that were read before come from a cache; they still count as prompt tokens.
    reward_model : bool
        The verifier is a language model that reads prompt and completion once per sample. False: scores are
        free, as for checkers and log-probabilities.
    revision_window : int
        Earlier answers of a chain that are in the prompt of the next revision.
    decode : DecodeModel, optional
        Predicts seconds; without it they stay 0.

    Raises
    ------
    InvalidInputError
        When `revision_window` is below 1.

    Notes
    -----
    A revision step s has the question and the last min(s, window) answers in its prompt, per chain;
    with a prefix cache, only what the window shifts is read anew. Lookahead of k steps generates k + 1 times
    as much per kept sample. Tree searches keep the cache of a path, so that a step is not a new prompt.

    References
    ----------
    Snell et al. 2024, arXiv:2408.03314 (window of 4 answers; lookahead costs N (k + 1)).

    Examples
    --------
    >>> four = Allocation(generator="small", strategy="majority_vote", width=4)
    >>> usage = UsageModel().expect(four, prompt_tokens=100, output_tokens_per_sample=50)
    >>> usage.prompt_tokens, usage.output_tokens, usage.requests
    (100.0, 200.0, 1.0)
    """

    shared_prefill: bool = True
    prefix_cache: bool = False
    reward_model: bool = False
    revision_window: int = 4
    decode: DecodeModel | None = None

    def __post_init__(self) -> None:
        if self.revision_window < 1:
            raise InvalidInputError(f"revision_window must be at least 1, got {self.revision_window!r}")

    def expect(
        self, allocation: Allocation, *, prompt_tokens: float, output_tokens_per_sample: float
    ) -> Usage:
        """Return the expected usage of one allocation for one prompt.

        Parameters
        ----------
        allocation : Allocation
            What is bought.
        prompt_tokens : float
            Length of the prompt; NaN where unknown.
        output_tokens_per_sample : float
            Expected length of one completion; NaN where unknown.
        """
        parts = self._parts(allocation, np.asarray(prompt_tokens), np.asarray(output_tokens_per_sample))
        return Usage(**{name: float(parts[name]) for name in _FIELDS})

    def cost(
        self,
        allocation: Allocation,
        model: CostModel,
        *,
        prompt_tokens: ArrayLike,
        output_tokens_per_sample: ArrayLike,
    ) -> NDArray[np.float64]:
        """Return the expected cost of one allocation for many prompts.

        Parameters
        ----------
        allocation : Allocation
            What is bought.
        model : CostModel
            Prices the usage.
        prompt_tokens, output_tokens_per_sample : (P,) array_like
            Lengths per prompt; NaN where unknown.

        Returns
        -------
        (P,) float64
            Costs in the unit of `model`.

        Raises
        ------
        UnknownUnitError, UnknownGeneratorError
            When the model cannot price it.

        Examples
        --------
        >>> four = Allocation(generator="small", strategy="majority_vote", width=4)
        >>> UsageModel().cost(
        ...     four, CostModel(unit="total_tokens"), prompt_tokens=[10, 20], output_tokens_per_sample=[5, 6]
        ... )
        array([30., 44.])
        """
        prompt, output = np.broadcast_arrays(
            np.asarray(prompt_tokens, dtype=np.float64),
            np.asarray(output_tokens_per_sample, dtype=np.float64),
        )
        return model.price_arrays(allocation.generator, **self._parts(allocation, prompt, output))

    def _parts(
        self, allocation: Allocation, prompt: NDArray[np.float64], output: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the fields of the expected usage; the one place where they are written down."""
        width, depth = allocation.width, allocation.depth
        requests = 1 if self.shared_prefill else width
        read, cached = requests * prompt, (requests - 1) * prompt
        for step in range(1, depth):
            earlier = min(step, self.revision_window) * output
            read = read + width * (prompt + earlier)
            cached = cached + width * (prompt + (earlier if step <= self.revision_window else 0.0 * output))
        tries = 1
        if allocation.strategy == "lookahead":
            tries += int(allocation.parameters.get("lookahead", 1))
        scored = self.reward_model and allocation.strategy in _SCORED
        samples = width * depth
        zero = np.zeros(np.broadcast_shapes(prompt.shape, output.shape))
        seconds = zero
        if self.decode is not None:
            seconds = self.decode.seconds(
                width=width * tries,
                output_tokens=output,
                prompt_tokens=prompt,
                depth=depth,
                revision_window=self.revision_window,
            )
        return {
            "samples": zero + samples,
            "prompt_tokens": zero + read,
            "cached_prompt_tokens": zero + cached if self.prefix_cache else zero,
            "output_tokens": zero + samples * tries * output,
            "verifier_tokens": zero + samples * (prompt + output) if scored else zero,
            "requests": zero + requests + width * (depth - 1),
            "seconds": zero + seconds,
        }
