"""Final answers in references and worked solutions, and references that are no text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difficulty.errors import InvalidPromptError
from planner.collection.gold import gold_of
from planner.collection.tasks import read_tasks


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        # GSM8K, with or without spaces, line ends and words after it
        ("2 + 5 = 7\n#### 7", "7"),
        ("so seven\n####7", "7"),
        ("so seven #### 7", "7"),
        ("#### 12,500", "12,500"),
        ("2 + 5\r\n#### 7\r\n\r\nChecked.", "7"),
        ("2 + 5\n#### 7/9\nas was to be shown", "7/9"),
        ("#### **7**", "7"),
        ("####\n7", "7"),
        ("#### C\nbecause A and B are wrong", "C"),
        ("#### $\\frac{7}{9}$\nas a fraction", "$\\frac{7}{9}$"),
        ("#### Monday", "Monday"),
        # headings of Markdown
        ("#### Part one\nAdd.\n#### Part two\nSo \\boxed{7}.", "7"),
        ("#### Proof\nClearly \\boxed{\\sqrt{7}}", "\\sqrt{7}"),
        ("So \\boxed{7}.\n#### Check\nIt fits.", "7"),
        ("So \\boxed{7}.\n#### Done", "7"),
        ("#### Part one\nAdd.\n#### 7", "7"),
        ("#### 7\n\n#### Why\nBecause.", "7"),
        ("#### Final answer\n7", "7"),
        ("#### Answer: 7", "7"),
        ("##### Notes\nNone.\n#### 7", "7"),
        ("#### \\boxed{7}", "7"),
        ("#### Part one\nAdd.\n#### Part two\nSo it is 7.", None),
        ("#### 1\nAdd.\n#### 2\nSo it is 7.", None),
        ("#### Monday\nis the day", None),
        # neither
        ("####", None),
        ("", None),
        ("7", "7"),
    ],
)
def test_final_answers(answer: str, gold: str | None) -> None:
    assert gold_of(answer) == gold


def read_gold(folder: Path, record: dict[str, object], *, mark: bytes = b"") -> str | None:
    path = folder / "tasks.jsonl"
    path.write_bytes(mark + json.dumps({"question": "3 + 4?", **record}).encode())
    return read_tasks(str(path)).prompts[0].gold


@pytest.mark.parametrize(
    ("record", "gold"),
    [
        ({"answer": 7}, "7"),
        ({"answer": 7.5}, "7.5"),
        ({"answer": ["7"]}, "7"),
        ({"answer": [7]}, "7"),
        ({"answer": "", "solution": "so \\boxed{7}"}, "7"),
        ({"answer": " ", "solution": None}, None),
        ({"answer": None, "solution": "7"}, "7"),
        ({"answer": "see the solution,\nwhich says it", "solution": "\\boxed{7}"}, "7"),
    ],
)
def test_references_are_texts_and_numbers(
    record: dict[str, object], gold: str | None, tmp_path: Path
) -> None:
    assert read_gold(tmp_path, record) == gold
    assert read_gold(tmp_path, record, mark=b"\xef\xbb\xbf") == gold


@pytest.mark.parametrize("answer", [["7", "seven"], {"value": 7}, True, [], [["7"]], [None], [{"value": 7}]])
def test_other_references_are_refused_with_their_line(answer: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidPromptError, match="line 1: answer must be a text or a number"):
        read_gold(tmp_path, {"answer": answer})


@pytest.mark.parametrize("field", ["id", "group"])
def test_names_are_texts_and_whole_numbers(field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPromptError, match=rf"line 1: Expected .*, got .*{field}"):
        read_gold(tmp_path, {"answer": "7", field: ["a"]})
