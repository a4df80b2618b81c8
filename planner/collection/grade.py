"""Say which answers are right: those that equal the reference answer.

It assumes that reference answers are written as answers, not as solutions. Scoring by a task's own checker is
left to `planner.collection.tasks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from difficulty.prompt import Prompt
from planner.answers.rule import AnswerRule
from planner.ports.ports import AnswerExtractor


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GoldGrader:
    """Grades against `Prompt.gold`; implements `planner.ports.ports.Grader`.

    Parameters
    ----------
    extractor : AnswerExtractor
        The one that finds the answers; an `AnswerRule` also says when two answers agree, others compare
        as strings.

    Examples
    --------
    >>> from planner.answers.rules import LastNumber
    >>> grader = GoldGrader(extractor=LastNumber())
    >>> grader.grade(Prompt(text="6 * 7?", gold="42"), "42.0"), grader.grade(Prompt(text="6 * 7?"), "42")
    (True, None)
    """

    extractor: AnswerExtractor

    def grade(self, prompt: Prompt, answer: str | None) -> bool | None:
        """Return whether `answer` is right; None without a reference; an abstention is wrong."""
        if prompt.gold is None:
            return None
        if isinstance(self.extractor, AnswerRule):
            return self.extractor.equal(answer, prompt.gold)
        return answer is not None and answer == prompt.gold
