"""Where the final answer stands: choices, boxes, and not in thought."""

from __future__ import annotations

import pytest

from planner.answers.boxes import boxed_answer, boxed_contents
from planner.answers.mathematics import MathAnswer
from planner.answers.rule import AnswerRule
from planner.answers.rules import (
    Boxed,
    FirstOf,
    JsonField,
    LastNumber,
    MultipleChoice,
    RecordedAnswer,
    RegularExpression,
    WholeText,
)
from planner.answers.thought import without_thought


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The correct answer is: **C**", "C"),
        ("The answer is: C", "C"),
        ("The answer is `C`.", "C"),
        (r"The answer is $\text{C}$", "C"),
        (r"The answer is \(C\)", "C"),
        ("Answer: [C]", "C"),
        ("Answer: [[C]]", "C"),
        ("Answer: C.", "C"),
        ("Answer: (c)", "C"),
        ("Answer - C", "C"),
        ("Answer = C", "C"),
        ("### Answer\nC", "C"),
        ("**Answer:**\n\nC", "C"),
        ("***Answer***: ***C***", "C"),
        ("ANSWER IS D. A is incorrect.", "D"),
        ("Answer: $D$", "D"),
        (r"\boxed{\textbf{D}}", "D"),
        (r"\boxed{\text{(D)}}", "D"),
        (r"\boxed{D. Oslo}", "D"),
        (r"\boxed{\mathrm{(D)}}", "D"),
        (r"The final answer is $\boxed{\textbf{(D)}\ 12}$", "D"),
        ("\\boxed{\\Delta H}\n**Answer: B**", "B"),
        ("**D. Oslo**", "D"),
        ("I take **D. Oslo** for it.", "D"),
        ("(D)", "D"),
        ("D) 42", "D"),
        ("d", "D"),
        ("Therefore, D.", "D"),
        ("D\n\nOslo is the capital.", "D"),
        ("D is the correct answer.", "D"),
        ("Option D is correct.", "D"),
        ("I choose D", "D"),
        ("The answer must be D", "D"),
        ("Answer: A\n\nNo.\n\nAnswer: D", "D"),
        ("The answer is B. Note that A is tempting.", "B"),
        ("The answer seems to be A.\n\nAnswer: A", "A"),
        ("<answer> (D) </answer>", "D"),
        ('{"answer": "D"}', "D"),
        ("\u7b54\u6848\uff1aD", "D"),
        ("\u7b54\u6848\u662f\uff08D\uff09\u3002", "D"),
        ("\u6b63\u786e\u9009\u9879\u662f D", "D"),
        ("\u3010\u7b54\u6848\u3011D", "D"),
        ("\u6545\u9009\uff1aD", "D"),
        ("\u9009D", "D"),
        ("Answer\uff1a\uff24", "D"),
        ("The answer is A or B.", None),
        ("Answer: A, B", None),
        ("Answer: AB", None),
        ("The answer is not A", None),
        ("The answer is a bit complex", None),
        ("A. 3\nB. 4\nC. 5\nD. 6", None),
        ("**A. Oslo**: no\n**B. Rome**: yes, I think so", None),
        ("Apple", None),
        ("Answer: F", None),
    ],
)
def test_choices(text: str, letter: str | None) -> None:
    assert MultipleChoice().extract(text, "stop") == letter


def test_a_reference_choice_may_carry_its_text() -> None:
    assert MultipleChoice().equal("B", "(B)") and MultipleChoice().equal("B", "B. Oslo")
    assert not MultipleChoice().equal("B", "C. Oslo")
    assert FirstOf(rules=(Boxed(), MultipleChoice())).equal("B", "(b)")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\fbox{8}", "8"),
        (r"\boxed8", "8"),
        (r"\boxed 8", "8"),
        (r"so \boxed8.", "8"),
        (r"\boxed{\boxed{8}}", "8"),
        (r"\boxed{{8}}", "8"),
        (r"\\boxed{8}", "8"),
        (r"\boxed{8} or \boxed{", "8"),
        (r"{ \boxed{8}", "8"),
        (r"\boxed{9 \boxed{8}", "8"),
        (r"\boxed{8} \boxed{}", "8"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{b\\}", "b\\\\"),
        (r"\boxed{$8$}", "8"),
        (r"\boxed{3}? No, \boxed{8}", "8"),
        ("\\boxed{3}\n\n\\boxed{8}", "8"),
        (r"$x=\boxed{3}$ and $y=\boxed{8}$", "3, 8"),
        (r"\boxed{3}, \boxed{8}", "3, 8"),
        (r"\boxed{8} and \boxed{8}", "8"),
        (r"put it in \boxed form", None),
        (r"\boxedfoo{8}", None),
    ],
)
def test_boxes(text: str, answer: str | None) -> None:
    assert Boxed().extract(text, "stop") == answer


def test_an_unfinished_box_hides_no_other() -> None:
    text = r"\boxed{1} \boxed{2 \boxed{3}, \boxed{4"
    assert boxed_contents(text) == ("1", "3")
    assert boxed_answer("no box") is None


THOUGHTS = [
    '<think>maybe \\boxed{3}, the answer is A, {"answer": 3}</think>\n',
    "maybe \\boxed{3}, the answer is A</think>",
    "<thinking>\\boxed{3}</thinking>",
    "<|begin_of_thought|>\\boxed{3} A<|end_of_thought|>\n\n",
    "[THINK]3 A[/THINK]",
    "\u25c1think\u25b7\\boxed{3}\u25c1/think\u25b7",
    "<|channel|>analysis<|message|>\\boxed{3}<|end|><|start|>assistant<|channel|>final<|message|>",
    "<think>one</think><think>\\boxed{3}</think>",
]


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize(
    ("rule", "text", "answer"),
    [
        (Boxed(), r"\boxed{42}", "42"),
        (FirstOf(rules=(Boxed(), LastNumber())), "The answer is 42.", "42"),
        (MathAnswer(), "The answer is 42.", "42"),
        (MultipleChoice(), "B", "B"),
        (JsonField(field="answer"), '{"answer": 42}', "42"),
        (RegularExpression(pattern=r"(\d+)"), "42", "42"),
        (WholeText(), "42", "42"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_thought_in_a_text_holds_no_answer(rule: AnswerRule, thought: str, text: str, answer: str) -> None:
    assert rule.extract(thought + text, "stop") == answer
    assert rule.extract(thought, "stop") is None


def test_a_thought_that_never_ends_reaches_to_the_end() -> None:
    assert without_thought("It is 5. <think>or 6") == "It is 5. "
    assert without_thought("2 < 3 and <b>5</b>") == "2 < 3 and <b>5</b>"


def test_a_recorded_answer_is_taken_as_it_is() -> None:
    assert RecordedAnswer().extract("<think>5</think>", "stop") == "<think>5</think>"
