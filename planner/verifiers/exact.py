"""Check completions against the reference answer, or with a function of the user.

Both are checkers: 1 for right, 0 for wrong. What an answer is and when two agree is left to
`planner.answers.rules`; checking programs by running them is left to `planner.verifiers.code_tests`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from difficulty.errors import VerifierError
from difficulty.prompt import Prompt
from planner.answers.rule import AnswerRule
from planner.ports.ports import ScoreRequest

__all__ = ["Checker", "ExactMatch"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ExactMatch:
    """Scores 1 where the answer agrees with the prompt's reference answer, else 0.

    Parameters
    ----------
    extractor : AnswerRule
        Finds and compares answers.

    Notes
    -----
    It needs `Prompt.gold`, so it serves grading and collecting; an abstention scores 0.

    Examples
    --------
    >>> from planner.answers.rules import LastNumber
    >>> prompt = Prompt(text="6*7?", gold="42")
    >>> request = ScoreRequest(prompt=prompt, completions=(("6*7 = ", "42.0"), ("41",)))
    >>> asyncio.run(ExactMatch(extractor=LastNumber()).score([request]))
    [[1.0, 0.0]]
    """

    extractor: AnswerRule

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return 1 or 0 for each completion.

        Raises
        ------
        VerifierError
            When a prompt has no reference answer, or one that is no answer.
        """
        return await asyncio.to_thread(lambda: [self._score(request) for request in requests])

    def _score(self, request: ScoreRequest) -> list[float]:
        gold = request.prompt.gold
        if gold is None or self.extractor.canonicalise(gold) is None:
            raise VerifierError(f"prompt {request.prompt.id!r} has no usable reference answer, got {gold!r}")
        answers = [self.extractor.extract("".join(steps), "stop") for steps in request.completions]
        return [float(self.extractor.equal(answer, gold)) for answer in answers]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Checker:
    """Scores completions with a function.

    Parameters
    ----------
    function : callable
        Takes the prompt and the whole text; returns a truth value or a number, higher is better. It runs in a
        thread and raises `VerifierError` for what it cannot judge; any other error of it is passed on.

    Examples
    --------
    >>> even = Checker(function=lambda prompt, text: int(text) % 2 == 0)
    >>> request = ScoreRequest(prompt=Prompt(text="an even number"), completions=(("4",), ("5",)))
    >>> asyncio.run(even.score([request]))
    [[1.0, 0.0]]
    """

    function: Callable[[Prompt, str], float]

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return the function's value for each completion.

        Raises
        ------
        VerifierError
            When the function returns something that is not a finite number, or raises it itself.
        """
        return await asyncio.to_thread(lambda: [self._score(request) for request in requests])

    def _score(self, request: ScoreRequest) -> list[float]:
        scores = []
        for steps in request.completions:
            value = self.function(request.prompt, "".join(steps))
            if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
                raise VerifierError(
                    f"the checker must return a finite number or a truth value, got {value!r}"
                )
            scores.append(float(value))
        return scores
