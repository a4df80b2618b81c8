"""What every answer rule does: find the answer in a complete text, write it one way, compare.

A completion that did not come to its end abstains, whatever stands in it. The rules themselves are in
`planner.answers.rules` and `planner.answers.mathematics`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from difficulty.prompt import Prompt
from planner.answers.text import canonical_answer, variable_of
from planner.answers.thought import without_thought
from planner.answers.units import unit_of
from planner.ports.ports import FinishReason


class AnswerRule(ABC):
    """How answers of one kind of task are found and compared; implements the port `AnswerExtractor`.

    Examples
    --------
    >>> from planner.answers.rules import LastNumber
    >>> LastNumber().extract("6 times 7 is 42.", "stop")
    '42'
    >>> LastNumber().extract("6 times 7 is 4", "length") is None
    True
    """

    @property
    def blocks(self) -> bool:
        """Whether extraction and comparison may take seconds, so that no event loop may wait for them."""
        return False

    def fresh(self, prompt: Prompt | None = None) -> AnswerRule:
        """Return the rule for one prompt; only rules that read it, or compare its samples, differ."""
        return self

    @abstractmethod
    def find(self, text: str) -> str | None:
        """Return the answer as it stands in a complete text, or None."""

    def final_part(self, text: str) -> str:
        """Return the part of a completion in which an answer counts: all but the thought left in it."""
        return without_thought(text)

    def canonicalise(self, answer: str) -> str | None:
        """Return the one way to write `answer`; the reference answer goes through it too."""
        return canonical_answer(answer)

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        """Return the canonical answer, or None when the completion abstains.

        Parameters
        ----------
        text : str
            A whole completion (for a continued one, with its prefix).
        finish_reason : str
            Anything but ``"stop"`` abstains: the last number of a truncated text is no answer.
        """
        if finish_reason != "stop":
            return None
        found = self.find(self.final_part(text))
        return None if found is None else self.canonicalise(found)

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two answers agree; an abstention, another unit or another variable does not."""
        if answer is None or reference is None:
            return False
        first, second = self.canonicalise(answer), self.canonicalise(reference)
        if first is None or second is None or named_otherwise(answer, reference):
            return False
        return first == second or first.replace(", ", ",") == second.replace(", ", ",")


def named_otherwise(answer: str, reference: str) -> bool:
    """Say whether both answers name a unit, or a variable, and not the same one."""
    return any(
        first is not None and second is not None and first != second
        for first, second in (
            (unit_of(answer), unit_of(reference)),
            (variable_of(answer), variable_of(reference)),
        )
    )
