"""Score completions by how likely the generator found them; needs no model of its own.

It assumes log-probabilities of one generator, which are comparable; across generators they are not. Turning
them into a probability of being correct is left to `planner.verifiers.learned`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from difficulty.errors import VerifierError
from planner.ports import ScoreRequest

__all__ = ["MeanLogprob"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MeanLogprob:
    """Scores a completion with its mean log-probability per token, in nats, at most 0.

    References
    ----------
    Kang et al. (2025), "Scalable best-of-N selection for large language models via self-certainty",
    arXiv:2502.18581, use the distribution over the whole vocabulary; the mean log-probability of the drawn
    tokens is what engines report.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty.prompt import Prompt
    >>> texts, logprobs = (("a",), ("b",)), (-0.5, -0.1)
    >>> request = ScoreRequest(prompt=Prompt(text="?"), completions=texts, mean_logprobs=logprobs)
    >>> asyncio.run(MeanLogprob().score([request]))
    [[-0.5, -0.1]]
    """

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return each completion's mean log-probability.

        Raises
        ------
        VerifierError
            When one is not known: ask the backend for log-probabilities.
        """
        return [self._score(request) for request in requests]

    def _score(self, request: ScoreRequest) -> list[float]:
        known = [value for value in request.mean_logprobs if value is not None and math.isfinite(value)]
        if len(known) != len(request.completions):
            raise VerifierError(
                f"prompt {request.prompt.id!r}: {len(known)} of {len(request.completions)} completions have "
                "a mean log-probability; ask the backend for log-probabilities or take another verifier"
            )
        return known
