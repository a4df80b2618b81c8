"""Remember what was drawn for one prompt, so that a longer plan for it goes on where the shorter one ended.

Samples are known by their request and seed, as in a run log; what failed fails again without being asked for.
It assumes one prompt at a time, on one event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from difficulty.errors import BackendError, BudgetSpentError
from planner.drivers.accounts import Account
from planner.drivers.run_log import sample_key
from planner.ports.outcome import Outcome
from planner.ports.ports import AnswerExtractor, Backend, Completion, SampleRequest
from policies.cost.usage import Usage


class Remembering:
    """A backend that draws each sample once; implements the port `Backend`.

    Parameters
    ----------
    backend : Backend
        Draws what is new.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> from planner.simulated import SimulatedBackend
    >>> backend = Remembering(SimulatedBackend())
    >>> request = SampleRequest(prompt=Prompt(text="?"), generator=Generator(name="tiny"), n=1, seed=0)
    >>> first, again = asyncio.run(backend.sample([request])), asyncio.run(backend.sample([request]))
    >>> first == again
    True
    """

    draws_singly = True

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.extractor: AnswerExtractor | None = getattr(backend, "extractor", None)
        self._known: dict[tuple[str, int], Completion | BackendError] = {}

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request, drawn now or before.

        Raises
        ------
        BackendError
            As it was raised for the same samples.
        """
        return [await self._draw(request) for request in requests]

    async def _draw(self, request: SampleRequest) -> list[Completion]:
        # Caps differ with what a budget has left; a sample that was paid for stands whatever its cap is now.
        about = sample_key(replace(request, max_output_tokens=None))
        keys = [(about, request.seed + index) for index in range(request.n)]
        known = [self._known.get(key) for key in keys]
        found = [one for one in known if isinstance(one, Completion)]
        if len(found) == request.n:
            return found
        failed = next((one for one in known if isinstance(one, BackendError)), None)
        if failed is not None:
            raise failed
        try:
            (row,) = await self._backend.sample([request])
        except BackendError as error:
            if not isinstance(error, BudgetSpentError):
                self._known.update(dict.fromkeys(keys, error))
            raise
        self._known.update(zip(keys, row, strict=False))
        return list(row)


def longer(known: Outcome, again: Outcome, paid: Account, *, beside: Usage | None = None) -> Outcome:
    """Return the outcome of a prompt that was planned again, with all that was paid for it.

    A plan at a lower price may be satisfied by fewer samples than have been drawn already; those that were
    paid for are not given up.

    Parameters
    ----------
    known, again : Outcome
        Of the earlier plan and of the later one.
    paid : Account
        The books of the prompt.
    beside : Usage, optional
        What was paid for anything but samples; outcomes do not hold it.
    """
    best = again if again.usage.samples >= known.usage.samples else known
    used = paid.usage if beside is None else paid.usage - beside
    if used.output_tokens + used.prompt_tokens <= best.usage.output_tokens + best.usage.prompt_tokens:
        return best
    unused = used.output_tokens - best.usage.output_tokens
    usage = replace(
        best.usage,
        samples=used.samples,
        requests=used.requests,
        prompt_tokens=used.prompt_tokens,
        cached_prompt_tokens=used.cached_prompt_tokens,
        output_tokens=used.output_tokens,
        wasted_tokens=best.usage.wasted_tokens + max(unused, 0),
    )
    return replace(best, usage=usage, cost=max(paid.cost, best.cost or 0.0))
