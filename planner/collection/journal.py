"""A backend and a verifier that never pay twice: what was drawn before a kill is read, not drawn again.

They wrap any backend and verifier, and record each answered request before it is handed on; a collection puts
its finished pieces into the working file and drops the journal of theirs. How requests are recognised is left
to `planner.drivers.run_log`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import final

from difficulty.errors import BackendError, InvalidResponseError
from planner.backends.results import failed_completion
from planner.drivers.neighbours import runs_of
from planner.drivers.run_log import RunLog
from planner.ports.ports import Backend, Completion, SampleRequest, ScoreRequest, Scores, Verifier

_KEPT = ("stop", "length")


@final
class JournaledBackend:
    """Draws what the journal does not have; implements the port `Backend`.

    Parameters
    ----------
    backend : Backend
        Draws.
    journal : RunLog, optional
        Remembers; without one everything is drawn.

    Attributes
    ----------
    prompt_tokens : dict
        By prompt id, generator name and seed: the prompt tokens that were counted with that sample.
    """

    def __init__(self, backend: Backend, journal: RunLog | None) -> None:
        self._backend = backend
        self._journal = journal
        self.prompt_tokens: dict[tuple[str, str, int], int] = {}

    @property
    def draws_singly(self) -> bool:
        """Whether the backend sends each sample as a request of its own."""
        return bool(getattr(self._backend, "draws_singly", False))

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return `n` completions per request, recorded ones first looked up.

        Raises
        ------
        BackendError
            When nothing was recorded and nothing could be drawn.
        """
        rows: list[dict[int, Completion]] = [self._recorded(request) for request in requests]
        parts = [
            (place, first, replace(request, n=n, seed=request.seed + first))
            for place, request in enumerate(requests)
            for first, n in runs_of(index for index in range(request.n) if index not in rows[place])
        ]
        surplus: list[list[Completion]] = [[] for _ in requests]
        for (place, first, part), drawn in zip(parts, await self._draw(parts, any(rows)), strict=True):
            self._record(part, drawn)
            rows[place] |= {first + index: completion for index, completion in enumerate(drawn[: part.n])}
            surplus[place] += drawn[part.n :]
        for request, row in zip(requests, rows, strict=True):
            for index, completion in row.items():
                key = (request.prompt.id, request.generator.name, request.seed + index)
                self.prompt_tokens[key] = completion.prompt_tokens
        return [[row[i] for i in sorted(row)] + extra for row, extra in zip(rows, surplus, strict=True)]

    async def _draw(
        self, parts: Sequence[tuple[int, int, SampleRequest]], some_recorded: bool
    ) -> list[list[Completion]]:
        """Draw what is missing, at least `n` completions per part; an error must not lose recorded ones."""
        if not parts:
            return []
        try:
            drawn = [list(row) for row in await self._backend.sample([part for _, _, part in parts])]
        except BackendError as error:
            if not some_recorded:
                raise
            return [
                [failed_completion(error, counted=at == 0 and index == 0) for index in range(part.n)]
                for at, (_, _, part) in enumerate(parts)
            ]
        drawn += [[] for _ in range(len(parts) - len(drawn))]
        for (_, _, part), row in zip(parts, drawn, strict=True):
            short = InvalidResponseError(f"the backend returned {len(row)} of {part.n} completions")
            row += [failed_completion(short, counted=False)] * (part.n - len(row))
        return drawn

    def _recorded(self, request: SampleRequest) -> dict[int, Completion]:
        if self._journal is None:
            return {}
        found = ((index, self._journal.sample(request, index)) for index in range(request.n))
        return {index: recorded.completion for index, recorded in found if recorded is not None}

    def _record(self, request: SampleRequest, row: Sequence[Completion]) -> None:
        kept = [(i, one) for i, one in enumerate(row[: request.n]) if one.finish_reason in _KEPT]
        if self._journal is not None and kept:
            self._journal.add_samples(request, [i for i, _ in kept], [one for _, one in kept], seconds=0.0)


@final
class JournaledVerifier:
    """Scores what the journal does not have; implements the port `Verifier`.

    Parameters
    ----------
    verifier : Verifier
        Scores.
    journal : RunLog, optional
        Remembers; without one everything is scored.

    Attributes
    ----------
    step_scores : dict
        By prompt id and steps: the scores of the steps of each completion that came as steps.
    """

    def __init__(self, verifier: Verifier, journal: RunLog | None) -> None:
        self._verifier = verifier
        self._journal = journal
        self.step_scores: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Return one score per completion of each request, with those of its steps where there are any.

        Raises
        ------
        VerifierError
            When a completion cannot be scored.
        """
        results: dict[int, Scores] = {}
        for place, request in enumerate(requests):
            recorded = None if self._journal is None else self._journal.scores(request)
            if recorded is not None:
                results[place] = recorded
        missing = [place for place in range(len(requests)) if place not in results]
        if missing:
            rows = await self._verifier.score([requests[place] for place in missing])
            for place, row in zip(missing, rows, strict=True):
                results[place] = found = row if isinstance(row, Scores) else Scores(row)
                if self._journal is not None and all(map(math.isfinite, found)):
                    self._journal.add_scores(requests[place], found)
        for place, request in enumerate(requests):
            judged = zip(request.completions, results[place].steps, strict=False)
            self.step_scores |= {(request.prompt.id, steps): scores for steps, scores in judged}
        return [results[place] for place in range(len(requests))]
