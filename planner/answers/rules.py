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
from planner.answers.numbers import NUMBER
from planner.answers.rule import AnswerRule
from planner.answers.text import boxed_contents

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
    """The last number in the text, as word problems are graded.

    Examples
    --------
    >>> LastNumber().extract("It costs $1,200.50 in all", "stop")
    '1200.5'
    """

    def find(self, text: str) -> str | None:
        """Return the last number that stands in the text."""
        matches = [match.group() for match in NUMBER.finditer(text)]
        return matches[-1] if matches else None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Boxed(AnswerRule):
    r"""The last complete ``\boxed{...}``.

    Examples
    --------
    >>> Boxed().extract(r"Hence $\boxed{\frac{6}{8}}$.", "stop")
    '0.75'
    """

    def find(self, text: str) -> str | None:
        r"""Return the content of the last complete box."""
        contents = boxed_contents(text)
        return contents[-1] if contents else None


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
    Taken in turn: a boxed letter; the last "answer is (C)" or "Answer: C"; a last line that is only the
    letter. A letter elsewhere in the text is never a guess.

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
        for content in reversed(boxed_contents(text)):
            letter = self.canonicalise(content)
            if letter is not None:
                return letter
        letter = rf"[*_($\s]*([{self.choices}])(?![\w'])"
        stated = re.findall(
            rf"(?i:answer|choice|option)\**\s*(?i:is|:|=)\**\s*(?i:option|choice)?{letter}", text
        )
        if stated:
            return str(stated[-1])
        last = text.strip().rsplit("\n", 1)[-1].strip()
        return self.canonicalise(last)

    def canonicalise(self, answer: str) -> str | None:
        """Return the bare capital letter, or None when `answer` is anything else."""
        match = re.fullmatch(rf"\W*(?:\\TEXT\{{)?\W*([{self.choices}])\W*", answer.strip().upper())
        return match.group(1) if match else None


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
        decoder = json.JSONDecoder()
        found: str | None = None
        start = text.find("{")
        while start >= 0:
            try:
                value, end = decoder.raw_decode(text, start)
            except (json.JSONDecodeError, RecursionError):
                end = start + 1
            else:
                found = self._field_of(value) or found
            start = text.find("{", end)
        return found

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
        matches = list(re.finditer(self.pattern, text))
        if not matches:
            return None
        found: str | None = matches[-1].group(1 if matches[-1].re.groups else 0)
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

    def find(self, text: str) -> str | None:
        """Return the first answer found, canonical by the rule that found it."""
        for rule in self.rules:
            found = rule.find(text)
            if found is not None:
                return rule.canonicalise(found)
        return None


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
