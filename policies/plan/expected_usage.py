"""Say what an allocation is expected to use: width × depth, shared prompts, growing contexts, verifier
passes.

It assumes that every completion has the same expected length, which is what a belief gives. What the usage
costs is left to `policies.cost.cost_model`, and how long it takes to the decode model that is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.cost.usage import Usage
from policies.plan.allocation import Allocation

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
        sizes = _Sizes.of([allocation])
        prompt, output = np.float64(prompt_tokens), np.float64(output_tokens_per_sample)
        return Usage(**{name: float(self._field(name, sizes, prompt, output)[0]) for name in _FIELDS})

    def costs(
        self,
        allocations: Sequence[Allocation],
        model: CostModel,
        *,
        prompt_tokens: ArrayLike,
        output_tokens_per_sample: Mapping[str, ArrayLike],
    ) -> NDArray[np.float64]:
        """Return the expected cost of many allocations for many prompts.

        Parameters
        ----------
        allocations : sequence of Allocation
            The A columns.
        model : CostModel
            Prices the usage.
        prompt_tokens : (P,) array_like
            Lengths of the prompts; NaN where unknown.
        output_tokens_per_sample : mapping of str to (P,) array_like
            Expected length of one completion of each prompt, by generator; NaN where unknown. A generator
            that is missing has unknown lengths.

        Returns
        -------
        (P, A) float64
            Costs in the unit of `model`.

        Raises
        ------
        UnknownUnitError, UnknownGeneratorError
            When the model cannot price it.

        Examples
        --------
        >>> votes = [Allocation(generator="small", strategy="majority_vote", width=n) for n in (1, 4)]
        >>> UsageModel().costs(
        ...     votes,
        ...     CostModel(unit="total_tokens"),
        ...     prompt_tokens=[10, 20],
        ...     output_tokens_per_sample={"small": [5, 6]},
        ... )
        array([[15., 30.],
               [26., 44.]])
        """
        prompt = np.asarray(prompt_tokens, dtype=np.float64).reshape(-1, 1)
        result = np.empty((prompt.shape[0], len(allocations)))
        columns: dict[str, list[int]] = {}
        for column, allocation in enumerate(allocations):
            columns.setdefault(allocation.generator, []).append(column)
        for generator, mine in columns.items():
            lengths = output_tokens_per_sample.get(generator, np.nan)
            output = np.asarray(lengths, dtype=np.float64).reshape(-1, 1)
            sizes = _Sizes.of([allocations[column] for column in mine])
            fields = {name: self._field(name, sizes, prompt, output) for name in model.reads(generator)}
            result[:, mine] = model.price_arrays(generator, **fields)
        return result

    def _field(
        self,
        name: str,
        sizes: _Sizes,
        prompt: NDArray[np.float64] | np.float64,
        output: NDArray[np.float64] | np.float64,
    ) -> NDArray[np.float64]:
        """Return one field of the expected usage, the allocations along the last axis; written down only
        here."""
        first = np.ones_like(sizes.width) if self.shared_prefill else sizes.width
        if name == "samples":
            return sizes.width * sizes.depth
        if name == "requests":
            return first + sizes.width * (sizes.depth - 1)
        if name == "output_tokens":
            return sizes.width * sizes.depth * sizes.tries * output
        if name == "verifier_tokens":
            read = sizes.width * sizes.depth * (prompt + output)
            return np.where(sizes.scored & self.reward_model, read, 0.0)
        if name == "seconds":
            if self.decode is None:
                return np.zeros_like(sizes.width)
            return self.decode.seconds(
                width=sizes.width * sizes.tries,
                output_tokens=output,
                prompt_tokens=prompt,
                depth=sizes.depth,
                revision_window=self.revision_window,
            )
        cached_only = name == "cached_prompt_tokens"
        if name == "predictor_tokens" or (cached_only and not self.prefix_cache):
            return np.zeros_like(sizes.width)
        total = (first - cached_only) * prompt
        for step in range(1, int(sizes.depth.max())):
            # With a cache, a window that has begun to slide is read anew after the question.
            earlier = 0 if cached_only and step > self.revision_window else min(step, self.revision_window)
            total = total + np.where(sizes.depth > step, sizes.width, 0.0) * (prompt + earlier * output)
        return total


class _Sizes(NamedTuple):
    """Sizes of A allocations: (A,) each."""

    width: NDArray[np.float64]
    depth: NDArray[np.float64]
    tries: NDArray[np.float64]
    scored: NDArray[np.bool_]

    @classmethod
    def of(cls, allocations: Sequence[Allocation]) -> _Sizes:
        """Read the sizes off the allocations."""
        tries = [
            1 + int(allocation.parameters.get("lookahead", 1)) if allocation.strategy == "lookahead" else 1
            for allocation in allocations
        ]
        return cls(
            np.array([allocation.width for allocation in allocations], dtype=np.float64),
            np.array([allocation.depth for allocation in allocations], dtype=np.float64),
            np.array(tries, dtype=np.float64),
            np.array([allocation.strategy in _SCORED for allocation in allocations]),
        )
