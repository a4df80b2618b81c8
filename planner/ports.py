"""The four ports: what a plug-in must offer, and the values that cross.

A backend draws completions and a verifier scores them; both are one method. Requests and completions carry all that an
implementation may need, so that the strategies above stay free of input and output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from difficulty.generator import Generator
from difficulty.prompt import Prompt

__all__ = ["Backend", "Completion", "FinishReason", "SampleRequest", "ScoreRequest", "Verifier"]

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """Ask for `n` completions of one prompt.

    Parameters
    ----------
    prompt : Prompt
        The question.
    generator : Generator
        How to draw.
    n : int
        Completions wanted, at least 1.
    seed : int
        Seed of the first completion; completion ``i`` uses ``seed + i``.
    prefix : tuple of str
        Text of the answer so far, in steps, that the completion continues (tree search, revision).
    max_output_tokens : int, optional
        Cap for each completion, below the generator's own.
    stop : tuple of str
        Strings that end a completion.
    """

    prompt: Prompt
    generator: Generator
    n: int
    seed: int
    prefix: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One completion as an engine returned it.

    Parameters
    ----------
    text : str
        Generated text, without the prefix.
    prompt_tokens, output_tokens : int
        What the engine counted; shared prefill is counted once per request, on the first completion.
    finish_reason : str
        ``"stop"``, ``"length"`` (truncated), ``"cancelled"`` or ``"error"``.
    mean_logprob : float, optional
        Mean log-probability per output token, in nats.
    cached_prompt_tokens : int
        The part of `prompt_tokens` that came from a prefix cache.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: FinishReason
    mean_logprob: float | None = None
    cached_prompt_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRequest:
    """Ask a verifier for scores of completions of one prompt.

    Parameters
    ----------
    prompt : Prompt
        The question.
    completions : tuple of tuple of str
        Each completion as its steps (one step where it is not split).
    mean_logprobs : tuple of float or None
        Mean log-probability of each completion, where known.
    """

    prompt: Prompt
    completions: tuple[tuple[str, ...], ...]
    mean_logprobs: tuple[float | None, ...] = ()


class Backend(Protocol):
    """Draws samples."""

    async def sample(self, requests: Sequence[SampleRequest]) -> Sequence[Sequence[Completion]]:
        """Return the completions of each request, in the order of `requests`."""
        ...


class Verifier(Protocol):
    """Scores completions; higher is better."""

    async def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Sequence[float]]:
        """Return one score per completion of each request."""
        ...
