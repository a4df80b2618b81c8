"""Score live completions with a learned verifier: P(correct) from agreement, log-probability and length.

It assumes that all answered completions of a prompt are scored together, since agreement is a feature. The
models are fitted by `policies.verifier.fit` on the same generators' log, and bundles hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import VerifierError
from planner.ports.ports import AnswerExtractor, ScoreRequest
from policies.verifier.learned_verifier import CorrectnessModel

__all__ = ["LearnedVerifier"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedVerifier:
    """Scores each completion with the probability that it is correct.

    Parameters
    ----------
    models : mapping of str to CorrectnessModel
        By generator, each fitted on a log of it.
    extractor : AnswerExtractor
        The one that the vote uses, for requests that bring no answers.

    Notes
    -----
    A completion without an answer scores 0, which is its probability of being right; no tokens are spent.

    Examples
    --------
    >>> import asyncio
    >>> from difficulty.prompt import Prompt
    >>> from planner.answers.rules import LastNumber
    >>> model = CorrectnessModel(generator="tiny", columns=(), centre=(0.0,) * 6, scale=(1.0,) * 6,
    ...     weights=(4.0, 0, 0, 0, 0, 0), intercept=-2.0, trees=None, log_loss=0.5, brier=0.2,
    ...     base_brier=0.25, calibration_error=0.01)
    >>> request = ScoreRequest(prompt=Prompt(text="6*7?"), completions=(("42",), ("42.0",), ("41",), ("?",)),
    ...     generator="tiny")
    >>> verifier = LearnedVerifier(models={"tiny": model}, extractor=LastNumber())
    >>> [scores] = asyncio.run(verifier.score([request]))
    >>> [round(score, 2) for score in scores]
    [0.66, 0.66, 0.34, 0.0]
    """

    models: Mapping[str, CorrectnessModel]
    extractor: AnswerExtractor

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return P(correct) of each completion, between 0 and 1.

        Raises
        ------
        VerifierError
            When there is no model of a request's generator, or it needs log-probabilities or token counts
            that the request does not have.
        """
        read = [self._read(request) for request in requests]
        scores: list[list[float]] = [[]] * len(requests)
        alike: dict[tuple[str, int], list[int]] = {}
        for index, request in enumerate(requests):
            alike.setdefault((request.generator, len(request.completions)), []).append(index)
        # Sets of one size are scored in one go, which takes a tenth of the time.
        for (generator, _), rows in alike.items():
            model = self.models[generator]
            columns = {name: np.stack([read[row][name] for row in rows]) for name in model.columns}
            answer = np.stack([read[row]["answer"] for row in rows]).astype(np.int32)
            for row, chances in zip(rows, model.predict(answer, **columns).tolist(), strict=True):
                scores[row] = chances
        return scores

    def _read(self, request: ScoreRequest) -> dict[str, NDArray[np.float64]]:
        """Return codes of answers and what else the model reads, each of shape (N,)."""
        model = self.models.get(request.generator)
        if model is None:
            raise VerifierError(
                f"prompt {request.prompt.id!r}: no learned verifier of generator {request.generator!r}; "
                f"there are those of {', '.join(self.models) or 'none'}"
            )
        codes: dict[str, int] = {}
        answer = np.full(len(request.completions), -1.0)
        answers = request.answers or tuple(
            self.extractor.extract("".join(steps), "stop") for steps in request.completions
        )
        for index, found in enumerate(answers):
            if found is not None:
                answer[index] = codes.setdefault(found, len(codes))
        given = {
            "mean_logprob": [np.nan if value is None else value for value in request.mean_logprobs],
            "output_tokens": [float(value) for value in request.output_tokens],
        }
        read = {"answer": answer}
        for name in model.columns:
            values = np.array(given[name], dtype=np.float64)
            if values.shape != answer.shape or not np.isfinite(values[answer >= 0]).all():
                raise VerifierError(
                    f"prompt {request.prompt.id!r}: the learned verifier needs {name} of every completion; "
                    "ask the backend for it, or fit one on a log without it"
                )
            read[name] = values
        return read
