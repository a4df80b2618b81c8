"""Extraction takes time in proportion to the text, whatever a model repeats."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from planner.answers.final_formula import final_formula
from planner.answers.rule import AnswerRule
from planner.answers.rules import (
    Boxed,
    FirstOf,
    JsonField,
    LastNumber,
    MultipleChoice,
    RegularExpression,
    WholeText,
)
from planner.answers.thought import without_thought

RULES: list[AnswerRule] = [
    Boxed(),
    FirstOf(rules=(Boxed(), LastNumber())),
    JsonField(field="answer"),
    MultipleChoice(),
    RegularExpression(pattern=r"####\s*(.+)"),
    WholeText(),
]
READERS: list[Callable[[str], object]] = [
    *(lambda text, rule=rule: rule.extract(text, "stop") for rule in RULES),  # type: ignore[misc]  # bound now
    final_formula,
    without_thought,
]
REPEATED = [
    "\\boxed{",
    "so \\boxed{1 ",
    "\\boxed 5",
    "{",
    "}",
    "{}",
    "\\",
    "$",
    "$x$ ",
    "\\(",
    "\\[",
    '{"a":',
    '{"',
    '{"a": "',
    '{"a":[1,1,1,1,1,1,1,1,',
    '"{',
    '{"\\',
    "[",
    "1",
    "1,000",
    ",000",
    "1/",
    "1 1/2 ",
    "1:",
    "-",
    "- 1",
    "10^",
    "5 \u00d7 10^{",
    "\\frac{1}{",
    "\\frac1",
    " ",
    "\n",
    "a",
    "A ",
    "**",
    "**A",
    "Answer:",
    "Answer: \n",
    "answer (",
    "the answer is ",
    "The answer is 5 + ",
    "\u7b54\u6848\u662f",
    "####",
    "\n#### 5 is",
    "\n#### 5 is no answer here",
    "<think>",
    "</think>",
    "<think>5</think>",
    "\u00b2",
    "\u00bd",
    "1\u202f000",
    "\u200b",
    "\\text{",
    "5 cm",
    "wait, no. ",
]
GROWTH = 8
# Twice a line's growth; a square's would be 64.
ALLOWED = 2.5 * GROWTH
_FLOOR = 0.004  # seconds below which a clock measures itself


def _seconds(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start


@pytest.mark.parametrize("piece", REPEATED, ids=repr)
def test_eight_times_the_text_takes_about_eight_times_as_long(piece: str) -> None:
    short = piece * (4_000 // len(piece))
    long = short * GROWTH
    for read in READERS:
        # A busy machine makes single measurements long: a line must be seen once in five tries.
        ratios: list[float] = []
        while len(ratios) < 5 and not (ratios and ratios[-1] < ALLOWED):
            ratios.append(_seconds(read, long + " x") / max(_FLOOR, _seconds(read, short + " x")))
        assert ratios[-1] < ALLOWED, (piece, ratios)


def test_a_box_in_a_box_in_a_box_is_read_in_one_pass() -> None:
    deep = "\\boxed{" * 20_000 + "5" + "}" * 20_000
    assert Boxed().find("\\boxed{" * 3_000 + "\\boxed{7}") == "7"
    assert _seconds(Boxed().find, deep) < 20 * max(
        _FLOOR, _seconds(Boxed().find, "x" * len(deep) + "\\boxed{5}")
    )
