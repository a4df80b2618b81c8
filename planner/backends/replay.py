"""Draw samples from a sample log, without replacement, as if a model drew them now.

The same seed always brings the same recorded sample and another seed another one, so that a replayed run
repeats and resumes like a live one. It also hands out recorded scores. What cannot be derived from
independent samples (continuing a prefix) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast, final

import numpy as np

from difficulty.errors import (
    InvalidInputError,
    InvalidPromptError,
    PoolExhaustedError,
    UnknownGeneratorError,
    UnknownUnitError,
    VerifierError,
)
from planner.answers.rules import RecordedAnswer
from planner.backends.prompt_text import check_request
from planner.backends.results import Drawn, assemble
from planner.ports.ports import Completion, FinishReason, SampleRequest, ScoreRequest

if TYPE_CHECKING:
    from difficulty.log.sample_log import SampleLog
    from difficulty.log.wire import SampleWire
    from difficulty.prompt import Prompt

__all__ = ["ReplayBackend"]


@dataclass(kw_only=True, slots=True)
class _Pool:
    """Recorded samples of one prompt × generator, in the order of their slots; which seed has drawn which,
    and which have been scored."""

    samples: list[SampleWire]
    prompt_tokens: int
    shared: bool
    slot_of_seed: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    scored: set[int] = field(default_factory=set)

    def draw(self, seed: int) -> SampleWire | None:
        """Return the sample of a seed, or None when every sample belongs to another seed."""
        if seed not in self.slot_of_seed:
            size = len(self.samples)
            # Consecutive seeds have distinct slots in whatever order they come; others take the next free.
            free = next((s for i in range(size) if (s := (seed + i) % size) not in self.taken), None)
            if free is None:
                return None
            self.slot_of_seed[seed] = free
            self.taken.add(free)
        return self.samples[self.slot_of_seed[seed]]


@final
class ReplayBackend:
    """Replays the independent samples of a log; implements the ports `Backend` and `Verifier`.

    Parameters
    ----------
    log : SampleLog
        With samples, not counts only, for what will be asked.
    seed : int
        Seed of the order in which each prompt's samples are drawn.
    texts : bool, optional
        Hand out recorded texts or recorded answers; by default texts where the log has one for every sample
        of the prompt. `extractor` gives the recorded answers of either.
    without_tokens : bool
        Accept a log without output tokens and report 0: for budgets in samples only.

    Raises
    ------
    UnknownUnitError
        When the log has no output tokens and `without_tokens` is False.
    InvalidInputError
        When the log holds counts only.

    Notes
    -----
    A sample that is longer than a request's cap on output tokens comes cut at the cap, as a model would leave
    it. Prompt tokens that the log does not record count as 0; what each sample sent of its own comes with it.
    A greedy request brings a recorded sample, whatever the temperature it was drawn at. Recorded scores are
    found by the text, so identical texts may swap theirs.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty import Generator, SampleLog
    >>> record = {"prompt_id": "a", "prompt": "6 * 7?", "generator": "tiny",
    ...           "samples": [{"answer": "42", "correct": True, "output_tokens": 2, "score": 0.9}]}
    >>> log = SampleLog.from_records([record], {"tiny": Generator(name="tiny")})
    >>> request = SampleRequest(prompt=log.prompts[0], generator=log.generators["tiny"], n=1, seed=0)
    >>> [[completion]] = asyncio.run(ReplayBackend(log).sample([request]))
    >>> completion.text, completion.output_tokens
    ('42', 2)
    """

    extractor = RecordedAnswer()

    def __init__(
        self, log: SampleLog, *, seed: int = 0, texts: bool | None = None, without_tokens: bool = False
    ) -> None:
        pools = [log.pool(name) for name in log.generators]
        if not log.has_tokens and not without_tokens:
            n = sum(int(pool.n.sum()) for pool in pools)
            n_counted = sum(int((pool.output_tokens >= 0).sum()) for pool in pools)
            raise UnknownUnitError(
                f"{n - n_counted:,} of {n:,} samples of the log have no output tokens, so that only a budget "
                "in samples can be kept on it: give one (in Python with without_tokens=True), or a log "
                "without these samples"
            )
        if not any((pool.n > 0)[~pool.counts_only].any() for pool in pools):
            raise InvalidInputError(
                "the log holds no single samples, only counts of them, so that nothing can be drawn from it; "
                "give a log with samples, or a live backend"
            )
        self.log, self.has_answers = log, log.has_answers
        self._seed = seed
        self._texts = texts
        self.extractor = RecordedAnswer(known=self._answers if self.has_answers else None)
        self._rows = {prompt.id: row for row, prompt in enumerate(log.prompts)}
        self._pools: dict[tuple[str, str], _Pool] = {}

    @property
    def draws_singly(self) -> bool:
        """Whether samples sent prompts of their own, as agents do: then each is a request of its own."""
        return any(self.log.pool(name).own_prompt_tokens is not None for name in self.log.generators)

    def prompt_tokens(self, request: SampleRequest) -> int | None:
        """Return the prompt tokens that a request will be charged; None where samples sent their own."""
        pool = self._pool(request.prompt.id, request.generator.name)
        return pool.prompt_tokens if pool.shared else None

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return recorded samples for each request.

        Raises
        ------
        PoolExhaustedError
            When no sample is left for any of the requests.
        InvalidPromptError, UnknownGeneratorError
            When the log has no such prompt or generator.
        InvalidInputError
            When a request has a prefix: independent samples continue nothing.
        """
        for request in requests:
            check_request(request, sent=False)
            if request.prefix:
                raise InvalidInputError(
                    "a log of independent samples cannot continue a prefix; use a live backend"
                )
            self._pool(request.prompt.id, request.generator.name)
        return assemble([self._draw(request) for request in requests])

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return the recorded score of each completion that was drawn here.

        Raises
        ------
        VerifierError
            When a completion was not drawn here, or no score is recorded for it.
        """
        return [self._scores(request) for request in requests]

    def _draw(self, request: SampleRequest) -> list[Drawn]:
        pool = self._pool(request.prompt.id, request.generator.name)
        drawn: list[Drawn] = []
        for offset in range(request.n):
            sample = pool.draw(request.seed + offset)
            if sample is None:
                drawn.append(
                    PoolExhaustedError(
                        f"prompt {request.prompt.id!r}, generator {request.generator.name!r}: all "
                        f"{len(pool.samples)} recorded samples are drawn; record more or plan fewer",
                        prompt_id=request.prompt.id,
                        generator=request.generator.name,
                        asked=request.n,
                        left=offset,
                    )
                )
                continue
            completion = self._completion(sample, pool, first=offset == 0)
            drawn.append(_cut(completion, request.max_output_tokens))
        return drawn

    def _completion(self, sample: SampleWire, pool: _Pool, *, first: bool) -> Completion:
        known = sample.finish in ("length", "error", "cancelled")
        finish = cast(FinishReason, sample.finish if known else "stop")
        sent = pool.prompt_tokens if first else 0
        if not pool.shared:
            sent = pool.prompt_tokens if sample.prompt_tokens is None else sample.prompt_tokens
        return Completion(
            text=self._text(sample, pool),
            prompt_tokens=sent,
            cached_prompt_tokens=0 if pool.shared else sample.cached_prompt_tokens or 0,
            output_tokens=sample.output_tokens or 0,
            finish_reason=finish,
            mean_logprob=sample.mean_logprob,
            error="BackendError: the sample was recorded as failed" if finish == "error" else None,
        )

    def _text(self, sample: SampleWire, pool: _Pool) -> str:
        texts = all(other.text is not None for other in pool.samples) if self._texts is None else self._texts
        if not texts:
            return sample.answer or ""
        if sample.text is None:
            raise InvalidInputError("the log does not record the text of every sample; pass texts=False")
        return sample.text

    def _answers(self, prompt: Prompt) -> dict[str, str | None]:
        """Return the recorded answers of a prompt's texts."""
        if prompt.id not in self._rows:
            return {}
        samples = (one for name in self.log.generators for one in self.log.samples(prompt.id, name))
        return {one.text: one.answer for one in samples if one.text is not None}

    def _scores(self, request: ScoreRequest) -> list[float]:
        scores = []
        for index, sample in enumerate(self.recorded(request)):
            if sample.score is None:
                raise VerifierError(
                    f"prompt {request.prompt.id!r}: the log records no score for completion {index}"
                )
            scores.append(sample.score)
        return scores

    def recorded(self, request: ScoreRequest) -> list[SampleWire]:
        """Return the recorded sample of each completion of a request, found by its text.

        Raises
        ------
        VerifierError
            When a completion was not drawn here.
        """
        drawn = [
            (self._text(pool.samples[slot], pool), pool, slot)
            for (prompt_id, _), pool in self._pools.items()
            if prompt_id == request.prompt.id
            for slot in pool.slot_of_seed.values()
        ]
        # Samples that come to be scored one by one are not those that have been.
        drawn.sort(key=lambda one: one[2] in one[1].scored)
        found = []
        for index, steps in enumerate(request.completions):
            logprob = request.mean_logprobs[index] if request.mean_logprobs else None
            text = "".join(steps)
            same = [at for at, (written, _, _) in enumerate(drawn) if written == text]
            exact = [
                at
                for at in same
                if logprob is not None and drawn[at][1].samples[drawn[at][2]].mean_logprob == logprob
            ]
            if not same:
                raise VerifierError(
                    f"prompt {request.prompt.id!r}: completion {index} was not drawn from this log"
                )
            _, pool, slot = drawn.pop((exact or same)[0])
            pool.scored.add(slot)
            found.append(pool.samples[slot])
        return found

    def _pool(self, prompt_id: str, generator: str) -> _Pool:
        key = (prompt_id, generator)
        if key in self._pools:
            return self._pools[key]
        if prompt_id not in self._rows:
            raise InvalidPromptError(f"prompt {prompt_id!r} is not in the log; take prompts from log.prompts")
        if generator not in self.log.generators:
            known = ", ".join(map(repr, self.log.generators))
            raise UnknownGeneratorError(
                f"a plan draws from {generator!r}, and the log holds samples of {known}; replay the log that "
                "the policy was trained on, or plan with generators= of the log"
            )
        samples = self.log.samples(prompt_id, generator)
        row = self._rows[prompt_id]
        recorded = self.log.pool(generator)
        tokens = float(recorded.prompt_tokens[row])
        order = np.random.default_rng([self._seed, row]).permutation(len(samples))
        known_tokens = 0 if np.isnan(tokens) else int(tokens)
        self._pools[key] = _Pool(
            samples=[samples[place] for place in order],
            prompt_tokens=known_tokens,
            shared=recorded.own_prompt_tokens is None,
        )
        return self._pools[key]


def _cut(completion: Completion, cap: int | None) -> Completion:
    """Return the completion as it would have ended at a cap on its tokens."""
    if cap is None or completion.output_tokens <= cap or completion.finish_reason == "error":
        return completion
    kept = len(completion.text) * cap // completion.output_tokens
    return replace(completion, text=completion.text[:kept], output_tokens=cap, finish_reason="length")
