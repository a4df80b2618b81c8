"""Find answers in the completions of a table, and judge them by the right answers, where a caller says how.

It assumes the lines that `difficulty.log.tables.rows` makes. Verdicts that a table holds stand; what an
answer is and when two agree is left to the functions that are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from difficulty.errors import InvalidLogError


def find_answers(records: Iterable[dict[str, Any]], extract: Callable[[str], str | None]) -> None:
    """Put what is found in each sample's text in the place of its answer.

    Raises
    ------
    InvalidLogError
        When no sample has a text.

    Examples
    --------
    >>> record = {"prompt_id": "a", "samples": [{"text": "so it is 4", "answer": "so it is 4"}]}
    >>> find_answers([record], lambda text: text.split()[-1])
    >>> record["samples"]
    [{'text': 'so it is 4', 'answer': '4'}]
    """
    n_texts = 0
    for record in records:
        for sample in record.get("samples", ()):
            text = sample.get("text")
            if text is None:
                continue
            n_texts += 1
            answer = extract(text)
            if answer is None:
                sample.pop("answer", None)
            else:
                sample["answer"] = answer
    if not n_texts:
        raise InvalidLogError(
            "no column holds the texts of completions, so that no answers can be found in them; name it with "
            "columns={'text': ...} (--text), or leave the extraction out"
        )


def judge(records: Iterable[dict[str, Any]], grade: Callable[[str, str], bool]) -> None:
    """Judge the samples that have no verdict: no answer is wrong, without a right answer nothing is known.

    Raises
    ------
    InvalidLogError
        When no line has a right answer.

    Examples
    --------
    >>> record = {"prompt_id": "a", "gold": "4", "samples": [{"answer": "4"}, {}, {"correct": True}]}
    >>> judge([record], str.__eq__)
    >>> [sample["correct"] for sample in record["samples"]]
    [True, False, True]
    """
    n_gold = 0
    for record in records:
        gold = record.get("gold")
        if gold is None:
            continue
        n_gold += 1
        for sample in record.get("samples", ()):
            if "correct" not in sample:
                answer = sample.get("answer")
                sample["correct"] = answer is not None and bool(grade(answer, gold))
    if not n_gold:
        raise InvalidLogError(
            "no column holds the right answers, so that nothing can be judged by them; name it with "
            "columns={'gold': ...} (--gold), or leave the grading out"
        )
