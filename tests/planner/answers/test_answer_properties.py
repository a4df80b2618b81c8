"""Laws of the answer layer: answers come back from texts, equality is an equality, nothing crashes."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.answers import numbers
from planner.answers.characters import plain
from planner.answers.final_formula import final_formula
from planner.answers.mathematics import MathAnswer
from planner.answers.numbers import canonical_number, numbers_in
from planner.answers.rule import AnswerRule
from planner.answers.rules import Boxed, FirstOf, JsonField, LastNumber, MultipleChoice, WholeText
from planner.answers.text import canonical_answer
from planner.answers.words import are_words

DEFAULT = FirstOf(rules=(Boxed(), LastNumber()))
RULES: list[AnswerRule] = [DEFAULT, JsonField(field="answer"), MultipleChoice(), WholeText()]
NUMBERS = [
    "{n}",
    "${n}$",
    r"\({n}\)",
    "**{n}**",
    "`{n}`",
    r"\boxed{{{n}}}",
    r"$\boxed{{{n}}}$.",
    r"\fbox{{{n}}}",
    "The answer is {n}.",
    "So the answer is ${n}$ cm, in 3 steps.",
    "Answer: {n}",
    "**Final Answer:** {n}",
    "Step 1: 7 of 9.\nTherefore x = {n}.",
    "#### {n}",
    "7 and 9\n#### {n}\n",
    "\u56e0\u6b64\uff0c\u7b54\u6848\u662f{n}\u3002",
    "<think>7? 9? \\boxed{{8}}</think>\n{n}",
    "9, 8</think>It is {n}",
]
CHOICES = [
    "{c}",
    "({c})",
    "**{c}**",
    "{c}. Oslo",
    "Answer: {c}",
    "The answer is ({c}).",
    "The correct answer is **{c}**, since A and B are wrong.",
    r"\boxed{{\text{{{c}}}}}",
    "A or B? I think\n\nAnswer: {c}. Oslo",
    "\u7b54\u6848\uff1a{c}",
    "<think>the answer is A</think>{c}",
]
# What a broken model is made of.
PIECES = [
    *"0123456789.,-+/*^_=:;!?|$%()[]{}<>\\\"'`~#& \n",
    *"ABCxyzei",
    *"\u00b2\u00bd\u2212\uff11\u0663\u7b54\u202f\u2044\u2260\u221e\u0000\ud7ff\U0001d7d7",
    "\\boxed{", "\\fbox{", "\\frac{", "\\sqrt{", "\\text{", "\\begin{pmatrix}", "\\\\",
    "\\pm", "\\cup", "\\infty", "\\ldots",
    "answer", "The answer is ", "Answer:", "####", "**", "<think>", "</think>", '{"answer": ',
    "true", "null", "10^", "1,000",
    " and ", " or ", "cm", "sin", "log", "e^", "\u7b54\u6848\u662f", "99999999999999999999", "March 5",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


def value(written: str | None) -> Fraction:
    assert written is not None
    return Fraction(written)


@given(st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1000), st.sampled_from(NUMBERS))
@settings(derandomize=True)
def test_a_number_comes_back_from_the_text_around_it(number: Fraction, template: str) -> None:
    ways = [str(number)]
    if number.denominator > 1:
        sign, top = "-" if number < 0 else "", abs(number.numerator)
        ways.append(rf"{sign}\frac{{{top}}}{{{number.denominator}}}")
        if top > number.denominator:
            whole, rest = divmod(top, number.denominator)
            ways += [
                f"{sign}{whole} {rest}/{number.denominator}",
                rf"{sign}{whole}\frac{{{rest}}}{{{number.denominator}}}",
            ]
    else:
        ways += [
            f"{int(number):,}",
            f"{int(number):,}".replace(",", "{,}"),
            f"{int(number):,}".replace("-", "\u2212"),
        ]
    for way in ways:
        assert value(DEFAULT.extract(template.format(n=way), "stop")) == number, way


@given(st.sampled_from("ABCDE"), st.sampled_from(CHOICES))
@settings(derandomize=True)
def test_a_choice_comes_back_from_the_text_around_it(letter: str, template: str) -> None:
    assert MultipleChoice().extract(template.format(c=letter), "stop") == letter


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
@settings(derandomize=True)
def test_a_decimal_comes_back_from_json(number: object) -> None:
    answer = JsonField(field="a.b").extract(f'so {{"a": {{"b": {number}}}}} is it', "stop")
    assert value(answer) == Fraction(str(number))


@given(TEXTS)
@settings(max_examples=400, derandomize=True)
def test_canonical_forms_are_canonical(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    written = canonical_answer(text)
    if written is not None:
        assert canonical_answer(written) == written
    number = canonical_number(text)
    if number is not None:
        assert canonical_number(number) == number and written == number
    letter = MultipleChoice().canonicalise(text)
    assert letter is None or MultipleChoice().canonicalise(letter) == letter


@given(TEXTS, TEXTS)
@settings(max_examples=200, derandomize=True)
def test_equality_is_reflexive_and_symmetric(first: str, second: str) -> None:
    for rule in RULES:
        assert rule.equal(first, second) == rule.equal(second, first)
        assert rule.equal(first, first) == (rule.canonicalise(first) is not None)
        found = rule.extract(first, "stop")
        assert found is None or rule.equal(found, found)


@given(TEXTS)
@settings(derandomize=True)
def test_every_number_that_is_seen_can_be_written(text: str) -> None:
    clean = plain(text)
    for start, end in numbers_in(clean):
        assert canonical_answer(clean[start:end]) is not None


@given(st.text("0123456789 .+-\\$€^_cdkmfiytnr23/:,{}()=×*%é\n"))
@settings(max_examples=400, derandomize=True)
def test_what_is_passed_over_holds_no_number(text: str) -> None:
    everywhere = re.compile(numbers._FOUND).finditer(text)
    assert [one.span() for one in numbers._IN_TEXT.finditer(text)] == [one.span() for one in everywhere]


@pytest.mark.parametrize("seed", range(4))
def test_no_text_crashes_a_rule(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(400):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 60)))
        for rule in RULES:
            found = rule.extract(text, "stop")
            assert found is None or (found and rule.equal(found, found)), text
        final_formula(text)
        are_words(text)


@pytest.mark.parametrize("seed", range(2))
def test_no_mathematics_crashes_or_equals_another(seed: int) -> None:
    pytest.importorskip("sympy", reason="extra 'math' is not installed")
    rng, rule = random.Random(100 + seed), MathAnswer(seconds=20.0)
    atoms = ["2", "3", "0.5", "x", "y", r"\pi", "e", r"\sqrt{2}", r"\frac{1}{3}", "(x+1)"]
    signs = ["+", "-", r"\cdot ", "/", "^", ", ", " = ", "<", r"\pm ", "!", " "]
    for _ in range(60):
        first, second = (
            "".join(rng.choice(atoms) + rng.choice(signs) for _ in range(rng.randint(1, 4)))
            + rng.choice(atoms)
            for _ in range(2)
        )
        assert rule.equal(first, second) == rule.equal(second, first), (first, second)
        assert rule.equal(first, first), first
        written = rule.canonicalise(first)
        assert written is not None and rule.canonicalise(written) == written, first
        assert not rule.equal(first, f"({first})+1"), first
