r"""Mathematical answers, equal when their values are: ``\frac{1}{2}``, ``0.5`` and ``2/4``; ``x+1`` and
``1+x``.

Equality needs proof: words, clock times and what cannot be read as a whole agree letter by letter only.
Numbers and words are compared here, expressions in a process of their own
(`planner.answers.symbolic.process`) that sympy works in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from difficulty.arguments import check_number
from planner.answers.boxes import boxed_answer
from planner.answers.final_formula import final_formula
from planner.answers.numbers import canonical_number
from planner.answers.rule import AnswerRule, named_otherwise
from planner.answers.symbolic.process import ask
from planner.answers.text import canonical_answer, undressed, variable_of
from planner.answers.words import are_words, same_words


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MathAnswer(AnswerRule):
    r"""The last complete box, or else the formula or number stated last; equal when the values are.

    Parameters
    ----------
    seconds : float
        Limit for one answer, or one pair of answers to compare, above 0.

    Raises
    ------
    MissingDependencyError
        At the first use, when sympy is not installed.

    Notes
    -----
    `extract` returns a simplified form, so that most equal answers are equal strings; `equal` looks for a
    proof and finds the rest. An equality that cannot be shown within the limit counts as a difference. Values
    are exact: ``0.333`` is not ``1/3``. A bare list is taken for a set, a tuple keeps its order and an
    interval its brackets; ``x = 5`` answers 5, any other equation equals its multiples.

    Examples
    --------
    >>> MathAnswer().extract(r"so $\boxed{\frac{6}{8}}$", "stop")
    '0.75'
    """

    seconds: float = 5.0

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, "above 0")

    @property
    def blocks(self) -> bool:
        """True: a proof may take as long as `seconds`."""
        return True

    def find(self, text: str) -> str | None:
        """Return the last box, or the formula or number that the text states last."""
        return boxed_answer(text) or final_formula(text)

    def canonicalise(self, answer: str) -> str | None:
        """Return one way to write the value of `answer`; its text where the value cannot be had in time."""
        written = canonical_answer(answer)
        if written is None or canonical_number(written) is not None or are_words(written):
            return written
        value = ask(("canonical", written), self.seconds)
        return canonical_answer(value) if isinstance(value, str) else written

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two answers are shown to have the same value; an abstention agrees with nothing."""
        if answer is None or reference is None:
            return False
        first, second = canonical_answer(answer), canonical_answer(reference)
        if first is None or second is None:
            return False
        if named_otherwise(answer, reference):
            return variable_of(answer) != variable_of(reference) and self._proved(
                undressed(answer), undressed(reference)
            )
        if first == second:
            return True
        if are_words(first) or are_words(second):
            return are_words(first) and are_words(second) and same_words(first, second)
        if canonical_number(first) is not None and canonical_number(second) is not None:
            return False
        return self._proved(first, second)

    def _proved(self, answer: str, reference: str) -> bool:
        """Ask for a proof, in one order of the two, so that both orders agree."""
        return ask(("equal", *sorted((answer, reference))), self.seconds) is True
