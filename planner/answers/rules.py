r"""One layer that turns a completion into an answer: find, canonicalise, compare.

The vote, the verifiers, the labels of training and the metrics all use it, so that two places never disagree
about what a completion says. A truncated, failed or unparsable completion abstains (None); symbolic
mathematics is left to `planner.answers.mathematics`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, final

from difficulty.errors import InvalidInputError
from planner.answers.boxes import boxed_answer
from planner.answers.characters import plain
from planner.answers.choices import choice_in, choice_of
from planner.answers.final_number import final_number
from planner.answers.json_objects import objects_from_last
from planner.answers.rule import AnswerRule
from planner.answers.statements import last_match

__all__ = [
    "Boxed",
    "FirstOf",
    "JsonField",
    "LastNumber",
    "MultipleChoice",
    "RecordedAnswer",
    "RegularExpression",
    "WholeText",
    "extractor_named",
]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LastNumber(AnswerRule):
    r"""The number that a text states as its answer, or else the last one in it, as word problems are graded.

    Notes
    -----
    A number may be of several parts: ``3/4``, ``11 5/6``, ``\frac{3}{4}``, ``1{,}000``, ``5 × 10^3``. It is
    stated by a last line ``#### 42`` or by "the answer is 42", unless the text takes it back ("wait").

    Examples
    --------
    >>> LastNumber().extract("It costs $1,200.50 in all", "stop")
    '1200.5'
    >>> LastNumber().extract("The answer is 3/4. I checked it 2 times.", "stop")
    '0.75'
    """

    def find(self, text: str) -> str | None:
        """Return the number that is the answer, as it stands in the text."""
        return final_number(text)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Boxed(AnswerRule):
    r"""The last complete ``\boxed{...}`` or ``\fbox{...}``, with those that "and" or a comma joins to it.

    Examples
    --------
    >>> Boxed().extract(r"Hence $\boxed{\frac{6}{8}}$.", "stop")
    '0.75'
    """

    def find(self, text: str) -> str | None:
        """Return the content of the last complete box."""
        return boxed_answer(text)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MultipleChoice(AnswerRule):
    """The letter of one of the choices.

    Parameters
    ----------
    choices : str
        Allowed letters, in capitals.

    Notes
    -----
    Taken in turn: a boxed letter; the last "answer is (C)", "Answer: **C**" or 答案是 C; the last "C is
    correct"; a last line that is the letter, alone or with the text of the choice; the only letter in bold; a
    first line that is only the letter. A letter elsewhere in the text is never a guess.

    Examples
    --------
    >>> MultipleChoice().extract("A beats B, so the answer is (C).", "stop")
    'C'
    """

    choices: str = "ABCDE"

    def __post_init__(self) -> None:
        if not self.choices.isalpha() or not self.choices.isupper():
            raise InvalidInputError(f"choices must be capital letters such as 'ABCD', got {self.choices!r}")

    def find(self, text: str) -> str | None:
        """Return the letter of the choice that the text commits itself to."""
        return choice_in(plain(text), self.choices)

    def canonicalise(self, answer: str) -> str | None:
        """Return the bare capital letter, or None when `answer` is anything else."""
        return choice_of(plain(answer), self.choices)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JsonField(AnswerRule):
    """One field of the last JSON object in the text.

    Parameters
    ----------
    field : str
        Name of the field; dots go into nested objects.

    Examples
    --------
    >>> JsonField(field="answer").extract('Sure: {"answer": 42.0, "why": "6*7"}', "stop")
    '42'
    """

    field: str

    def find(self, text: str) -> str | None:
        """Return the field of the last JSON object that has it, as text."""
        for value in objects_from_last(text):
            found = self._field_of(value)
            if found is not None:
                return found
        return None

    def _field_of(self, value: object) -> str | None:
        for name in self.field.split("."):
            if not isinstance(value, dict) or value.get(name) is None:
                return None
            value = value[name]
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RegularExpression(AnswerRule):
    """The last match of a regular expression.

    Parameters
    ----------
    pattern : str
        With a group, the first group is the answer.

    Raises
    ------
    InvalidInputError
        When the pattern does not compile.

    Examples
    --------
    >>> RegularExpression(pattern=r"####\\s*(.+)").extract("6*7 = 42\\n#### 42", "stop")
    '42'
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InvalidInputError(f"pattern {self.pattern!r} does not compile: {error}") from error

    def find(self, text: str) -> str | None:
        """Return the last match, or its first group."""
        match = last_match(re.compile(self.pattern), text)
        if match is None:
            return None
        found: str | None = match.group(1 if match.re.groups else 0)
        return found


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class WholeText(AnswerRule):
    """The whole text, for tasks whose completion is the answer.

    Examples
    --------
    >>> WholeText().extract(" 42.0\\n", "stop")
    '42'
    """

    def find(self, text: str) -> str | None:
        """Return the text itself."""
        return text


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedAnswer(AnswerRule):
    """The text as it is: for replayed logs, whose answers are extracted already.

    Examples
    --------
    >>> RecordedAnswer().extract("3/4", "stop")
    '3/4'
    """

    def find(self, text: str) -> str | None:
        """Return the text itself, or None when it is empty (a recorded abstention)."""
        return text or None

    def final_part(self, text: str) -> str:
        """Return `text`: what was recorded is an answer, with nothing around it."""
        return text

    def canonicalise(self, answer: str) -> str | None:
        """Return `answer` unchanged."""
        return answer or None


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
    >>> rule = FirstOf(rules=(Boxed(), LastNumber()))
    >>> rule.extract("so 41 or \\\\boxed{42}, 7 times", "stop"), rule.extract("it is 42", "stop")
    ('42', '42')
    """

    rules: tuple[AnswerRule, ...]

    @property
    def blocks(self) -> bool:
        """Whether one of the rules does."""
        return any(rule.blocks for rule in self.rules)

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


_NAMED: Final[dict[str, AnswerRule]] = {
    "boxed": Boxed(),
    "last_number": LastNumber(),
    "multiple_choice": MultipleChoice(),
    "recorded": RecordedAnswer(),
    "whole_text": WholeText(),
}


def extractor_named(name: str) -> AnswerRule:
    """Return an extractor by the name that the command line and bundles use.

    Parameters
    ----------
    name : str
        ``boxed``, ``last_number``, ``math``, ``multiple_choice``, ``recorded``, ``whole_text``,
        ``json:FIELD`` or ``regex:PATTERN``.

    Raises
    ------
    InvalidInputError
        When the name is none of these.

    Examples
    --------
    >>> extractor_named("json:answer")
    JsonField(field='answer')
    """
    kind, _, argument = name.partition(":")
    if kind == "json" and argument:
        return JsonField(field=argument)
    if kind == "regex" and argument:
        return RegularExpression(pattern=argument)
    if name == "math":
        from planner.answers.mathematics import MathAnswer

        return MathAnswer()
    if name not in _NAMED:
        allowed = ", ".join(sorted([*_NAMED, "json:FIELD", "math", "regex:PATTERN"]))
        raise InvalidInputError(f"answers must be one of {allowed}; got {name!r}")
    return _NAMED[name]
