"""A simulated backend and verifier with planted truth: for tests, demonstrations and capacity planning.

Each prompt has a success probability; samples, token counts, failures and scores are drawn from the seeds of
the requests alone, so that results do not depend on batching or order. Answers are written as ``answer: 42``
and found by `SimulatedExtractor`; steps are lines.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from planner.ports.ports import Completion, FinishReason, SampleRequest, ScoreRequest, Scores

__all__ = ["SimulatedBackend", "SimulatedExtractor", "SimulatedVerifier"]

_MARK = "answer: "


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedExtractor:
    """Find ``answer: …`` in a simulated text.

    Examples
    --------
    >>> SimulatedExtractor().extract("answer: 42", "stop")
    '42'
    """

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        """Return the answer, or None for a text that is truncated or has none."""
        _, mark, answer = text.rpartition(_MARK)
        return answer.strip() if mark and finish_reason == "stop" else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedBackend:
    """Draw answers with planted success probabilities.

    The right answer of a prompt is its `gold`, or ``"right"``; wrong answers spread over ``wrong-0 …``.

    Parameters
    ----------
    success : mapping of str to float
        Probability in [0, 1] that a sample of the prompt with this id is right; other prompts have
        `default_success`.
    default_success : float
        In [0, 1].
    n_wrong : int
        Number of different wrong answers, at least 1.
    n_steps : int
        Steps per answer, at least 1; with a stop string, one request draws one step.
    mean_output_tokens : int
        Mean tokens per step, at least 1; the counts are geometric.
    failure_rate, truncation_rate : float
        Probabilities in [0, 1] that a sample fails, or is cut off.
    seconds_per_token : float
        Simulated speed: how long a request sleeps per token of its longest sample.
    revision_gain : float
        How much closer to 1 (in [0, 1]) each attempt in the prefix brings the success probability.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> backend = SimulatedBackend(success={"easy": 1.0})
    >>> request = SampleRequest(prompt=Prompt(id="easy"), generator=Generator(name="tiny"), n=1, seed=0)
    >>> asyncio.run(backend.sample([request]))[0][0].text
    'answer: right'
    """

    success: Mapping[str, float] = field(default_factory=dict)
    default_success: float = 0.5
    n_wrong: int = 4
    n_steps: int = 1
    mean_output_tokens: int = 40
    failure_rate: float = 0.0
    truncation_rate: float = 0.0
    seconds_per_token: float = 0.0
    revision_gain: float = 0.0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request."""
        rows = [
            [self._draw(request, request.seed + index, first=index == 0) for index in range(request.n)]
            for request in requests
        ]
        longest = max((completion.output_tokens for row in rows for completion in row), default=0)
        await asyncio.sleep(self.seconds_per_token * longest)
        return rows

    def _draw(self, request: SampleRequest, seed: int, *, first: bool) -> Completion:
        rng = _source(request.prompt.id, request.generator.name, seed, *request.prefix)
        right, failed, cut = rng.random(3)
        drawn = max(int(rng.geometric(1 / self.mean_output_tokens)), 1)
        cap = min(request.max_output_tokens or drawn, request.generator.max_output_tokens or drawn)
        tokens = min(drawn, cap)
        truncated = cut < self.truncation_rate or drawn > cap
        text, stop_string = self._text(request, right, rng)
        prompt_tokens = (request.prompt.prompt_tokens or 20) if first else 0
        if failed < self.failure_rate:
            return Completion(
                text="",
                prompt_tokens=prompt_tokens,
                output_tokens=0,
                finish_reason="error",
                error="RetryableBackendError: simulated failure",
            )
        return Completion(
            text=text[: len(text) // 2] if truncated else text,
            prompt_tokens=prompt_tokens,
            output_tokens=tokens,
            finish_reason="length" if truncated else "stop",
            mean_logprob=float(-rng.random()),
            stop_string=None if truncated else stop_string,
        )

    def _text(self, request: SampleRequest, right: float, rng: np.random.Generator) -> tuple[str, str]:
        """Return the text and the stop string that ended it.

        A path of steps is right when no step of it is marked bad; each step is good with the probability that
        makes the whole path right with the planted one.
        """
        success = self.success.get(request.prompt.id, self.default_success)
        gold = request.prompt.gold or "right"
        wrong = f"wrong-{rng.integers(self.n_wrong)}"
        if not request.stop or self.n_steps == 1:
            miss = (1 - success) * (1 - self.revision_gain) ** len(request.prefix)
            return f"{_MARK}{gold if right >= miss else wrong}", ""
        good = right < success ** (1 / self.n_steps)
        number = len(request.prefix) + 1
        step = f"step {number} {'good' if good else 'bad'} {rng.integers(1000)}"
        if number < self.n_steps:
            return step, request.stop[0]
        spoilt = not good or any(" bad " in part for part in request.prefix)
        return f"{step}\n{_MARK}{wrong if spoilt else gold}", ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedVerifier:
    """Score simulated texts, with planted noise.

    Parameters
    ----------
    right : mapping of str to str
        Right answer of each prompt id; other prompts use their `gold`, or ``"right"``.
    noise : float
        Standard deviation of what is added to the logit of a right (+2) or wrong (-2) text; 0 never errs.
    tokens_per_text : int
        Verifier tokens per completion.

    Examples
    --------
    >>> from difficulty.prompt import Prompt
    >>> request = ScoreRequest(prompt=Prompt(id="p"), completions=(("answer: right",), ("answer: 7",)))
    >>> [round(score, 2) for score in asyncio.run(SimulatedVerifier().score([request]))[0]]
    [0.88, 0.12]
    """

    right: Mapping[str, str] = field(default_factory=dict)
    noise: float = 0.0
    tokens_per_text: int = 10

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Return the scores of each request, in (0, 1)."""
        return [
            Scores(
                [self._score(request, steps) for steps in request.completions],
                tokens_each=[self.tokens_per_text] * len(request.completions) if self.tokens_per_text else (),
            )
            for request in requests
        ]

    def _score(self, request: ScoreRequest, steps: tuple[str, ...]) -> float:
        text = "".join(steps)
        gold = self.right.get(request.prompt.id, request.prompt.gold or "right")
        _, mark, answer = text.rpartition(_MARK)
        good = answer.strip() == gold if mark else " bad " not in text
        rng = _source("verifier", request.prompt.id, *steps)
        logit = (2.0 if good else -2.0) + self.noise * float(rng.standard_normal())
        return 1 / (1 + math.exp(-logit))


def _source(*parts: object) -> np.random.Generator:
    """Return a generator seeded by the content of `parts`."""
    digest = sha256("\0".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
