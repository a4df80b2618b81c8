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
from planner.ports.ports import ScoreRequest

__all__ = ["MeanLogprob"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MeanLogprob:
    """Scores a completion with the geometric mean probability of its tokens, in (0, 1].

    It ranks as the mean log-probability does, and unlike that it can be summed over the completions of an
    answer, which is what a weighted vote does; the value curves of `policies.menu.curves` use the same
    numbers.

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
    >>> [[round(score, 3) for score in scores] for scores in asyncio.run(MeanLogprob().score([request]))]
    [[0.607, 0.905]]
    """

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return each completion's geometric mean token probability.

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
        return [math.exp(value) for value in known]
