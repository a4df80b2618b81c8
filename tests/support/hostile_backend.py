"""A backend that misbehaves in chosen ways and keeps its own books, by generator."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from difficulty.errors import RetryableBackendError
from difficulty.generator import Generator
from planner.ports.ports import Completion, SampleRequest
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage

MEAN_TOKENS = 60
GENERATORS = {
    "small": Generator(
        name="small",
        max_output_tokens=200,
        usd_per_mtok_in=0.1,
        usd_per_mtok_out=0.4,
        usd_per_mtok_cached=0.05,
    ),
    "large": Generator(name="large", max_output_tokens=400, usd_per_mtok_in=1.0, usd_per_mtok_out=8.0),
}


class Killed(Exception):
    """The process is gone."""


class HostileBackend:
    """Draws right answers in three of five samples, unless it misbehaves.

    Parameters
    ----------
    ways : collection of str
        ``"raise"``: a call fails after prompts were read; ``"fewer"``, ``"more"``: than asked for;
        ``"empty"``: no text; ``"filter"``: a failed sample with tokens; ``"lost"``: tries before it that were
        charged; ``"cached"``: parts of prompts; ``"prompts"``: half as many prompt tokens again as are known.
    rate : float
        Chance of each at each occasion.
    dies_after : int, optional
        Calls after which the process is gone.
    """

    def __init__(
        self,
        ways: Collection[str],
        rng: random.Random,
        cost_model: CostModel,
        *,
        rate: float = 0.15,
        dies_after: int | None = None,
    ) -> None:
        self._ways, self._rng, self._cost_model = ways, rng, cost_model
        self._rate, self._left = rate, dies_after
        self._charged: dict[str, Usage] = {}

    @property
    def cost(self) -> float:
        """All that was charged."""
        return sum(self._cost_model.price(usage, name) for name, usage in self._charged.items())

    def revive(self) -> None:
        """Die no more."""
        self._left = None

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        if self._left is not None:
            if not self._left:
                raise Killed
            self._left -= 1
        if self._does("raise"):
            for request in requests:
                self._charge(request, Usage(prompt_tokens=self._sent(request)))
            sent = sum(self._sent(request) for request in requests)
            raise RetryableBackendError("down", failed_requests=len(requests), prompt_tokens=sent)
        return [self._row(request) for request in requests]

    def _does(self, way: str) -> bool:
        return way in self._ways and self._rng.random() < self._rate

    def _charge(self, request: SampleRequest, usage: Usage) -> None:
        name = request.generator.name
        self._charged[name] = self._charged.get(name, Usage()) + usage

    def _sent(self, request: SampleRequest) -> int:
        known = request.prompt.prompt_tokens or 0
        return known * 3 // 2 if "prompts" in self._ways else known

    def _row(self, request: SampleRequest) -> list[Completion]:
        n = self._rng.randrange(request.n) if self._does("fewer") else request.n + self._does("more")
        return [self._one(request, first=not index) for index in range(n)]

    def _one(self, request: SampleRequest, *, first: bool) -> Completion:
        rng = self._rng
        drawn = 1 + int(rng.expovariate(1 / MEAN_TOKENS))
        tokens = min(drawn, request.most_output_tokens or drawn)
        sent = self._sent(request) if first else 0
        cached = rng.randrange(sent + 1) if self._does("cached") else 0
        lost = (sent, rng.randrange(MEAN_TOKENS)) if self._does("lost") else (0, 0)
        answer = "right" if rng.random() < 0.6 else f"wrong-{rng.randrange(3)}"
        refused = self._does("filter")
        self._charge(
            request,
            Usage(
                samples=1,
                prompt_tokens=sent + lost[0],
                cached_prompt_tokens=cached,
                output_tokens=tokens + lost[1],
            ),
        )
        return Completion(
            text="" if self._does("empty") else f"answer: {answer}",
            prompt_tokens=sent,
            cached_prompt_tokens=cached,
            output_tokens=tokens,
            finish_reason="error" if refused else "length" if tokens < drawn else "stop",
            error="BackendError: filtered" if refused else None,
            mean_logprob=-rng.random(),
            failed_requests=int(any(lost)),
            lost_prompt_tokens=lost[0],
            lost_output_tokens=lost[1],
        )
