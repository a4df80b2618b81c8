"""What a run has drawn and scored, for prompts that come back: nothing is paid for twice.

Samples are known by their request and seed, scores by what was scored, as in a run log. Booking is left to
`planner.drivers.desk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from planner.drivers.run_log import sample_key, score_key
from planner.ports.ports import Completion, SampleRequest, ScoreRequest


@final
class Memory:
    """Completions and scores of one run."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[int, Completion]] = {}
        self._scores: dict[str, tuple[float, ...]] = {}

    def samples(self, request: SampleRequest) -> dict[int, Completion]:
        """Return the completions of a request that were drawn before, by index."""
        known = self._samples.get(sample_key(request), {}) if self._samples else {}
        seeds = {index: request.seed + index for index in range(request.n)} if known else {}
        return {index: known[seed] for index, seed in seeds.items() if seed in known}

    def keep(self, request: SampleRequest, completions: Mapping[int, Completion]) -> None:
        """Keep completions of a request, by index."""
        known = self._samples.setdefault(sample_key(request), {})
        known.update((request.seed + index, one) for index, one in completions.items())

    def scores(self, request: ScoreRequest) -> tuple[float, ...] | None:
        """Return the scores that a request had before, None where it is new."""
        return self._scores.get(score_key(request))

    def keep_scores(self, request: ScoreRequest, scores: tuple[float, ...]) -> None:
        """Keep the scores of a request."""
        self._scores[score_key(request)] = scores
