"""The answer layer: what is found, how it is written, what abstains."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from planner.answers.mathematics import MathAnswer
from planner.answers.numbers import canonical_number
from planner.answers.rule import AnswerRule
from planner.answers.rules import (
    Boxed,
    JsonField,
    LastNumber,
    MultipleChoice,
    RecordedAnswer,
    RegularExpression,
    WholeText,
    extractor_named,
)
from planner.answers.text import canonical_answer
from planner.ports.ports import FinishReason

ALL_RULES: list[AnswerRule] = [
    Boxed(),
    JsonField(field="answer"),
    LastNumber(),
    MathAnswer(),
    MultipleChoice(),
    RecordedAnswer(),
    RegularExpression(pattern=r"(\d+)"),
    WholeText(),
]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", "42"),
        ("42.0", "42"),
        ("+42", "42"),
        ("-0", "0"),
        ("−5", "-5"),
        ("1,234,567", "1234567"),
        ("$1,200.50", "1200.5"),
        ("-$3", "-3"),
        ("12%", "12"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("2.5E-1", "0.25"),
        ("6/8", "0.75"),
        ("2 / 3", "2/3"),
        ("-2/3", "-2/3"),
    ],
)
def test_numbers_are_written_in_one_way(text: str, number: str) -> None:
    assert canonical_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "(3,4)", "3,4", "x", "1/0", "1e99999", "1e999999999", "9" * 400, "1 2", "12,34,567"]
)
def test_what_is_not_one_number_is_none(text: str) -> None:
    assert canonical_number(text) is None


@given(st.fractions(max_denominator=10**6))
def test_canonical_number_is_exact_and_idempotent(value: Fraction) -> None:
    written = canonical_number(f"{value.numerator}/{value.denominator}")
    assert written is not None and Fraction(written) == value
    assert canonical_number(written) == written


@given(st.text(max_size=40))
def test_canonical_answer_is_idempotent_on_what_it_writes_as_numbers(text: str) -> None:
    written = canonical_answer(text)
    if written is not None and canonical_number(written) == written:
        assert canonical_answer(written) == written


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 times 7 is 42.", "42"),
        ("first 3, then 5-3", "3"),
        ("x = -3", "-3"),
        ("the point (3,4)", "4"),
        ("costs $1,200 in all", "1200"),
        ("2 of 3/4 cups", "0.75"),
        ("version v2", "2"),
        ("in 1990-1995", "1995"),
        ("no number", None),
    ],
)
def test_last_number(text: str, answer: str | None) -> None:
    assert LastNumber().extract(text, "stop") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{42}", "42"),
        (r"\boxed{3} no, \boxed{\frac{1}{2}}", "0.5"),
        (r"\boxed{\dfrac{-2}{3}}", "-2/3"),
        (r"\boxed{-\frac12}", "-0.5"),
        (r"\boxed{\left(3, 4\right)}", "(3, 4)"),
        (r"\boxed{\text{Tuesday}}", "Tuesday"),
        (r"\boxed{1\,000}", "1000"),
        (r"\boxed 7", "7"),
        (r"\boxed{3", None),
        ("42", None),
    ],
)
def test_boxed(text: str, answer: str | None) -> None:
    assert Boxed().extract(text, "stop") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A beats B. The answer is (C).", "C"),
        ("Answer: **D**", "D"),
        ("**Answer:** B", "B"),
        (r"so \boxed{\text{B}}", "B"),
        ("I think so.\n(c)", "C"),
        ("A cat sat on it", None),
        ("The answer is Apple", None),
        ("The answer is A or rather: the answer is B", "B"),
    ],
)
def test_multiple_choice(text: str, answer: str | None) -> None:
    assert MultipleChoice(choices="ABCD").extract(text, "stop") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": "4/8"}', "0.5"),
        ('first {"answer": 1} then {"answer": 2}', "2"),
        ('```json\n{"answer": true}\n```', "true"),
        ('{"answer": {"b": 1, "a": [2]}}', '{"a": [2], "b": 1}'),
        ('{"answer": null}', None),
        ('{"answer": 3', None),
        ("{" * 5000, None),
    ],
)
def test_json_field(text: str, answer: str | None) -> None:
    assert JsonField(field="answer").extract(text, "stop") == answer


def test_nested_json_field() -> None:
    assert JsonField(field="result.value").extract('{"result": {"value": 7.0}}', "stop") == "7"


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("finish", ["length", "error", "cancelled"])
def test_an_incomplete_text_abstains(rule: AnswerRule, finish: FinishReason) -> None:
    text = r'{"answer": "4"} \boxed{4} the answer is A 4'
    assert rule.extract(text, finish) is None


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: type(rule).__name__)
def test_an_abstention_equals_nothing(rule: AnswerRule) -> None:
    assert not rule.equal(None, None)
    assert not rule.equal(None, "4")
    assert rule.equal("A", "A")


def test_extractors_by_name() -> None:
    assert extractor_named("regex:####(.*)") == RegularExpression(pattern="####(.*)")
    assert extractor_named("math") == MathAnswer()
    with pytest.raises(InvalidInputError, match="last_number"):
        extractor_named("lastnumber")
    with pytest.raises(InvalidInputError, match="does not compile"):
        extractor_named("regex:(")
