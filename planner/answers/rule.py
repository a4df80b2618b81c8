"""What every answer rule does: find the answer in a complete text, write it one way, compare.

A completion that did not come to its end abstains, whatever stands in it. The rules themselves are in
`planner.answers.rules` and `planner.answers.mathematics`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from planner.answers.text import canonical_answer
from planner.ports.ports import FinishReason

__all__ = ["AnswerRule"]


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

    @abstractmethod
    def find(self, text: str) -> str | None:
        """Return the answer as it stands in a complete text, or None."""

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
        found = self.find(text)
        return None if found is None else self.canonicalise(found)

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two answers agree; an abstention agrees with nothing."""
        if answer is None or reference is None:
            return False
        canonical = self.canonicalise(answer)
        return canonical is not None and canonical == self.canonicalise(reference)
