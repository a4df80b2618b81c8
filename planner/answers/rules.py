r"""One layer that turns a completion into an answer: find, canonicalise, compare.

The vote, the verifiers, the labels of training and the metrics all use it, so that two places never disagree
about what a completion says. A truncated, failed or unparsable completion abstains (None); symbolic
mathematics is left to `planner.answers.mathematics`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, final

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.answers.boxes import boxed_answer
from planner.answers.characters import plain
from planner.answers.choices import choice_in, choice_of
from planner.answers.clusters import SemanticAnswer
from planner.answers.final_number import final_number
from planner.answers.first_of import FirstOf
from planner.answers.json_rules import JsonField, JsonFields, JsonValue
from planner.answers.likeness import LexicalLikeness
from planner.answers.rule import AnswerRule
from planner.answers.statements import last_match
from planner.answers.tool_calls import ToolCalls

__all__ = [
    "USUAL_RULE",
    "Boxed",
    "FirstOf",
    "JsonField",
    "JsonFields",
    "JsonValue",
    "LastNumber",
    "MultipleChoice",
    "RecordedAnswer",
    "RegularExpression",
    "SemanticAnswer",
    "ToolCalls",
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
    """What a log recorded of a text: for replayed logs, whose answers are extracted already.

    Parameters
    ----------
    known : callable, optional
        Gives the answers of a prompt's recorded texts; any other text is taken as it is.
    answers : mapping of str to str or None
        Of the prompt that the rule is for.

    Examples
    --------
    >>> RecordedAnswer().extract("3/4", "stop")
    '3/4'
    """

    known: Callable[[Prompt], Mapping[str, str | None]] | None = field(
        default=None, compare=False, repr=False
    )
    answers: Mapping[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    def fresh(self, prompt: Prompt | None = None) -> AnswerRule:
        """Return the rule that knows the recorded texts of one prompt."""
        return self if prompt is None or self.known is None else replace(self, answers=self.known(prompt))

    def find(self, text: str) -> str | None:
        """Return the recorded answer, else the text itself; None when it is empty (an abstention)."""
        return self.answers.get(text, text) or None

    def final_part(self, text: str) -> str:
        """Return `text`: what was recorded is an answer, with nothing around it."""
        return text

    def canonicalise(self, answer: str) -> str | None:
        """Return `answer` unchanged."""
        return answer or None


_NAMED: Final[dict[str, AnswerRule]] = {
    "boxed": Boxed(),
    "choice": MultipleChoice(),
    "clusters": SemanticAnswer(),
    "json": JsonValue(),
    "last_number": LastNumber(),
    "multiple_choice": MultipleChoice(),
    "number": LastNumber(),
    "recorded": RecordedAnswer(),
    "tool_calls": ToolCalls(),
    "whole_text": WholeText(),
}
USUAL_RULE: Final = FirstOf(rules=(Boxed(), LastNumber()))
"""The last box, else the last number: what finds answers where nobody says how."""


def extractor_named(name: str) -> AnswerRule:
    """Return an extractor by the name that the command line and bundles use.

    Parameters
    ----------
    name : str
        ``boxed``, ``number`` or ``last_number``, ``choice`` or ``multiple_choice``, ``math``, ``recorded``,
        ``whole_text``, ``json``, ``json:FIELD`` (of several fields ``json:FIELD,FIELD``), ``tool_calls``,
        ``clusters``, ``clusters:THRESHOLD`` or ``regex:PATTERN``; of several rules, joined by ``|``, the
        first that finds something counts.

    Raises
    ------
    InvalidInputError
        When the name is none of these.

    Examples
    --------
    >>> extractor_named("json:answer")
    JsonField(field='answer')
    >>> len(extractor_named("tool_calls|last_number").rules)
    2
    """
    # A pattern may hold the bar itself: it takes all that is left.
    before, mark, pattern = f"|{name}".partition("|regex:")
    names = [*before.split("|")[1:], *([f"regex:{pattern}"] if mark else [])]
    rules = tuple(_named(one, name) for one in names)
    return rules[0] if len(rules) == 1 else FirstOf(rules=rules)


def _named(name: str, whole: str) -> AnswerRule:
    kind, _, argument = name.partition(":")
    if kind == "json" and argument:
        fields = tuple(field.strip() for field in argument.split(","))
        return JsonField(field=argument) if len(fields) == 1 else JsonFields(fields=fields)
    if kind == "regex" and argument:
        return RegularExpression(pattern=argument)
    if kind == "clusters" and argument:
        return SemanticAnswer(likeness=LexicalLikeness(threshold=_threshold(argument)))
    if name == "math":
        from planner.answers.mathematics import MathAnswer

        return MathAnswer()
    if name not in _NAMED:
        allowed = ", ".join(sorted([*_NAMED, "clusters:THRESHOLD", "json:FIELD", "math", "regex:PATTERN"]))
        raise InvalidInputError(f"answers must be one of {allowed}; got {whole!r}")
    return _NAMED[name]


def _threshold(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        raise InvalidInputError(f"a threshold must be a number in (0, 1], got {written!r}") from None
