"""One prompt's work order, and what a strategy is: something that makes a flow of it.

A task joins the prompt, its allocation, the generator that the allocation names, the answer extractor and the
seed. All randomness of a strategy comes from the task's seed, so that equal tasks ask for equal samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

import numpy as np

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.outcome import Candidate, CandidateStatus, Outcome
from planner.ports.ports import AnswerExtractor, Completion, SampleRequest
from planner.strategies.flow import Failure, Flow
from policies.cost.usage import Usage
from policies.course.allocation import Allocation


class Strategy(Protocol):
    """A way to spend samples; frozen parameters, no state."""

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers that the flow asks for scores."""
        ...

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return a fresh flow that works on one prompt."""
        ...


class OwnStrategy(Strategy, Protocol):
    """A strategy that a task brings along, because its allocation does not say all of it."""

    @property
    def identity(self) -> str:
        """What makes it different from others, equal in every session: run logs find outcomes by it."""
        ...

    @property
    def may_end_empty(self) -> bool:
        """Whether a cap may leave nothing of what was paid, but for a last resort that is asked for then."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A prompt, how much it gets, and all that is needed to spend it.

    Parameters
    ----------
    prompt : Prompt
        The question.
    allocation : Allocation
        Strategy, width, depth and parameters.
    generator : Generator
        The generator that `allocation` names.
    extractor : AnswerExtractor
        Finds the canonical answer of a text.
    seed : int
        Seed of the run; each prompt derives its own from it.
    wave_size : int, optional
        Samples per request of strategies that draw independent samples, at least 1; by default all at once.
    strategy : OwnStrategy, optional
        In place of the one that the allocation names: a course that it only sums up.
    expected_usage : Usage, optional
        What the plan expects, copied to the outcome.
    expected_cost : float, optional
        Its price, copied to the outcome.

    Raises
    ------
    InvalidInputError
        When `wave_size` is below 1.
    """

    prompt: Prompt
    allocation: Allocation
    generator: Generator
    extractor: AnswerExtractor
    seed: int = 0
    wave_size: int | None = None
    strategy: OwnStrategy | None = None
    expected_usage: Usage | None = None
    expected_cost: float | None = None

    def __post_init__(self) -> None:
        if self.wave_size is not None and self.wave_size < 1:
            raise InvalidInputError(f"a wave has at least 1 sample, got wave_size={self.wave_size}")

    @property
    def may_end_empty(self) -> bool:
        """Whether a cap may leave nothing of what was paid, as `OwnStrategy.may_end_empty` says."""
        return self.strategy is not None and self.strategy.may_end_empty

    @property
    def first_seed(self) -> int:
        """Seed of the prompt's first sample; sample ``j`` uses ``first_seed + j``.

        It depends on the run's seed, the prompt and the generator and not on the strategy, so that a wide
        draw begins with the samples of a narrow one. It stays below 2**30: some engines take 32-bit seeds
        only.
        """
        return self.seed_of(self.generator)

    def tie_breaker(self) -> np.random.Generator:
        """Return a fresh source of randomness for ties, the same one for equal tasks."""
        return np.random.default_rng([self.first_seed, 1])

    def seed_of(self, generator: Generator) -> int:
        """Return the seed of the prompt's first sample of any generator, below 2**30."""
        text = f"{self.seed}\0{self.prompt.id}\0{generator.name}"
        return int.from_bytes(sha256(text.encode()).digest()[:4], "big") >> 2

    def request(
        self,
        *,
        n: int,
        offset: int,
        prefix: tuple[str, ...] = (),
        stop: tuple[str, ...] = (),
        max_output_tokens: int | None = None,
        temperature: float | None = None,
        generator: Generator | None = None,
    ) -> SampleRequest:
        """Return a request for samples ``offset … offset + n - 1`` of this prompt.

        Parameters
        ----------
        n, offset : int
            Samples, and how many of the generator's samples come before them.
        prefix, stop, max_output_tokens
            See `SampleRequest`.
        temperature : float, optional
            In place of the generator's.
        generator : Generator, optional
            In place of the task's, for strategies that escalate.
        """
        generator = generator or self.generator
        seed = self.seed_of(generator)
        if temperature is not None:
            generator = replace(generator, temperature=temperature)
        return SampleRequest(
            prompt=self.prompt,
            generator=generator,
            n=n,
            seed=seed + offset,
            prefix=prefix,
            stop=stop,
            max_output_tokens=max_output_tokens,
        )

    def candidate(self, reply: Completion | Failure, *, chain: int = 0, step: int = 0) -> Candidate:
        """Return the candidate that a reply to a whole-answer request makes."""
        if isinstance(reply, Failure):
            status: CandidateStatus = "cancelled" if reply.refused else "failed"
            return Candidate(text="", answer=None, status=status, chain=chain, step=step)
        return Candidate(
            text=reply.text,
            answer=self.extractor.extract(reply.text, reply.finish_reason),
            status="truncated" if reply.finish_reason == "length" else "ok",
            mean_logprob=reply.mean_logprob,
            output_tokens=reply.output_tokens,
            chain=chain,
            step=step,
        )
