"""Score live completions with a learned verifier: P(correct) from agreement, log-probability and length.

It assumes that all answered completions of a prompt are scored together, since agreement is a feature. The
model is fitted by `policies.learned_verifier_fit` on the same generator's log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from difficulty.errors import VerifierError
from planner.ports import AnswerExtractor, ScoreRequest
from policies.learned_verifier import CorrectnessModel

__all__ = ["LearnedVerifier"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedVerifier:
    """Scores each completion with the probability that it is correct.

    Parameters
    ----------
    model : CorrectnessModel
        Fitted on a log of the generator that is sampled.
    extractor : AnswerExtractor
        The one that the vote uses.

    Notes
    -----
    A completion without an answer scores 0, which is its probability of being right; no tokens are spent.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty.prompt import Prompt
    >>> from planner.answers import LastNumber
    >>> model = CorrectnessModel(generator="tiny", columns=(), centre=(0.0,) * 6, scale=(1.0,) * 6,
    ...     weights=(4.0, 0, 0, 0, 0, 0), intercept=-2.0, trees="", log_loss=0.5, brier=0.2, base_brier=0.25,
    ...     calibration_error=0.01)
    >>> request = ScoreRequest(prompt=Prompt(text="6*7?"), completions=(("42",), ("42.0",), ("41",), ("?",)))
    >>> [scores] = asyncio.run(LearnedVerifier(model=model, extractor=LastNumber()).score([request]))
    >>> [round(score, 2) for score in scores]
    [0.66, 0.66, 0.34, 0.0]
    """

    model: CorrectnessModel
    extractor: AnswerExtractor

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return P(correct) of each completion, between 0 and 1.

        Raises
        ------
        VerifierError
            When the model needs log-probabilities or token counts that the request does not have.
        """
        return [self._score(request) for request in requests]

    def _score(self, request: ScoreRequest) -> list[float]:
        n = len(request.completions)
        codes: dict[str, int] = {}
        answer = np.full((1, n), -1, dtype=np.int32)
        for index, steps in enumerate(request.completions):
            found = self.extractor.extract("".join(steps), "stop")
            if found is not None:
                answer[0, index] = codes.setdefault(found, len(codes))
        given = {
            "mean_logprob": [np.nan if value is None else value for value in request.mean_logprobs],
            "output_tokens": [float(value) for value in request.output_tokens],
        }
        columns = {}
        for name in self.model.columns:
            values = np.array(given[name], dtype=np.float64)
            if values.shape != (n,) or not np.isfinite(values[answer[0] >= 0]).all():
                raise VerifierError(
                    f"prompt {request.prompt.id!r}: the learned verifier needs {name} of every completion; "
                    "ask the backend for it, or fit one on a log without it"
                )
            columns[name] = values[None]
        chances: list[float] = self.model.predict(answer, **columns)[0].tolist()
        return chances
