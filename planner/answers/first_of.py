"""Several rules as one: the first that finds an answer counts.

An answer stays canonical by the rule that found it. What the rules are is left to `planner.answers.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from difficulty.prompt import Prompt
from planner.answers.rule import AnswerRule
from planner.ports.ports import FinishReason


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FirstOf(AnswerRule):
    """The answer by the first of several rules that finds one.

    Parameters
    ----------
    rules : tuple of AnswerRule
        Tried in order.

    Examples
    --------
    >>> from planner.answers.rules import Boxed, LastNumber
    >>> rule = FirstOf(rules=(Boxed(), LastNumber()))
    >>> rule.extract("so 41 or \\\\boxed{42}, 7 times", "stop"), rule.extract("it is 42", "stop")
    ('42', '42')
    """

    rules: tuple[AnswerRule, ...]

    @property
    def blocks(self) -> bool:
        """Whether one of the rules does."""
        return any(rule.blocks for rule in self.rules)

    def fresh(self, prompt: Prompt | None = None) -> FirstOf:
        """Return the rules for one prompt."""
        return FirstOf(rules=tuple(rule.fresh(prompt) for rule in self.rules))

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        """Return the first answer found, canonical by the rule that found it, or None."""
        return self.find(self.final_part(text)) if finish_reason == "stop" else None

    def find(self, text: str) -> str | None:
        """Return the first answer found, canonical by the rule that found it."""
        for rule in self.rules:
            found = rule.find(text)
            if found is not None:
                return rule.canonicalise(found)
        return None

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two answers agree by any of the rules."""
        return any(rule.equal(answer, reference) for rule in self.rules)
