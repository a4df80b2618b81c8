"""The samples of one line of lm-evaluation-harness: every repeat, its answer and its verdict.

It assumes generative tasks. Where the filter kept one of the repeats, the patterns of the task are applied to
the others (`difficulty.importers.lm_eval_task`), after they were checked on what the harness recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from difficulty.errors import InvalidLogError
from difficulty.importers.lm_eval_task import TaskRules
from difficulty.importers.shared import Extract, Grade, Wanted, reference
from difficulty.log.tables.cells import as_verdict

_NO_MATCH: Final = "[invalid]"  # what the harness's regex filters give where nothing matches
_FIELDS: Final = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
_NOT_METRICS: Final = frozenset(_FIELDS | {"doc_hash", "prompt_hash", "target_hash"})


def has_samples(row: Mapping[str, Any]) -> bool:
    """Say whether a line holds texts that were drawn: log-likelihoods of given texts are no samples.

    Examples
    --------
    >>> has_samples({"resps": [["4", "5"]]}), has_samples({"resps": [[["-1.5", "False"]], [["-2", "True"]]]})
    (True, False)
    """
    responses = row["resps"]
    if not isinstance(responses, list) or not responses:
        return True  # broken ones are reported where they are read
    if len(responses) > 1:
        return False
    texts = responses[0] if isinstance(responses[0], list) else responses
    return bool(texts) and all(isinstance(text, str) for text in texts)


def samples_of(
    row: Mapping[str, Any],
    *,
    metric: Wanted,
    extract: Extract | None,
    grade: Grade | None,
    rules: TaskRules | None,
) -> list[dict[str, Any]]:
    """Return the samples of one line: one per repeat.

    Raises
    ------
    InvalidLogError
        When the line does not record what is needed.
    """
    texts = _repeats(row["resps"])
    worked_out: list[bool | None] | None = None
    if extract is not None:
        answers = [extract(text) for text in texts]
    elif rules is not None and len(texts) > 1 and (not rules.judges or _counts_matches(row, metric)):
        answers, worked_out = _by_rules(row, texts, rules)
    else:
        filtered = row["filtered_resps"]
        if isinstance(filtered, list) and len(filtered) == 1 and isinstance(filtered[0], list):
            filtered = filtered[0]
        if not isinstance(filtered, list):
            raise InvalidLogError("filtered_resps must be a list with what the filter found in each repeat")
        if len(filtered) != len(texts):
            raise InvalidLogError(
                f"the filter kept {len(filtered)} of {len(texts)} repeats, and no results_*.json beside the "
                "file says by which pattern; put it there, or give extract=... and grade=... (--extract, "
                "--grade) to find and judge the answers in the responses"
            )
        answers = list(map(_answer, filtered))
    if grade is None:
        verdicts = worked_out or _verdicts(row, len(texts), metric=metric)
    else:
        gold = reference(row["target"])
        if gold is None:
            raise InvalidLogError("there is no target to grade against")
        verdicts = [False if answer is None else bool(grade(answer, gold)) for answer in answers]
    return [
        {"answer": answer, "correct": correct, "text": text}
        for answer, correct, text in zip(answers, verdicts, texts, strict=True)
    ]


def _by_rules(
    row: Mapping[str, Any], texts: Sequence[str], rules: TaskRules
) -> tuple[list[str | None], list[bool | None]]:
    """Find and judge each repeat's answer by the task's rules, after checking them on what was recorded."""
    target = reference(row["target"])
    found = [rules.found(text) for text in texts]
    kept = row["filtered_resps"]
    kept = kept[0] if isinstance(kept, list) and len(kept) == 1 else kept
    if (isinstance(kept, str) and kept not in found) or (
        isinstance(kept, list) and kept != found[: len(kept)]
    ):
        raise InvalidLogError(
            f"the filter left {str(kept)[:60]!r}, which the task's patterns do not find in the responses; "
            "give extract=... and grade=... (--extract, --grade)"
        )
    if target is None or not rules.judges:
        return list(map(_answer, found)), [None] * len(found)
    verdicts: list[bool | None] = [rules.right(each, target) for each in found]
    recorded = row.get("exact_match")
    if isinstance(kept, str) and recorded in (0, 1) and rules.right(kept, target) != bool(recorded):
        raise InvalidLogError(
            f"exact_match is {recorded} for {kept!r} and target {target!r}, which the task's settings do not "
            "explain; give extract=... and grade=... (--extract, --grade)"
        )
    return list(map(_answer, found)), verdicts


def _answer(found: object) -> str | None:
    """Return what the filter found in one repeat; None where it found nothing."""
    if found in (None, _NO_MATCH, "", []):
        return None
    answer = reference(found)
    if answer is None:
        raise InvalidLogError(
            f"the filter found no single answer in a repeat: {str(found)[:60]}; choose another filter, or "
            "give extract=... (--extract) to find the answers in the responses"
        )
    return answer


def _repeats(responses: object) -> list[str]:
    if not isinstance(responses, list) or not responses:
        raise InvalidLogError("resps must be a list with the repeats of one request")
    if len(responses) > 1:
        n = len(responses)
        raise InvalidLogError(f"the line has {n} requests: a multiple-choice task has no samples")
    texts = responses[0] if isinstance(responses[0], list) else responses
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidLogError("the responses are not texts: a log-likelihood task has no samples")
    return list(texts)


def _counts_matches(row: Mapping[str, Any], metric: Wanted) -> bool:
    return metric.name is None or metric.among(_metrics(row)) == "exact_match"


def _metrics(row: Mapping[str, Any]) -> list[str]:
    listed = row.get("metrics")
    if isinstance(listed, list):
        return [name for name in listed if isinstance(name, str) and name in row]
    return [name for name in row if name not in _NOT_METRICS]


def _verdicts(row: Mapping[str, Any], n: int, *, metric: Wanted) -> list[bool | None]:
    """Return whether each repeat is correct, where the file says so."""
    names = _metrics(row)
    if not names and metric.name is None:
        return [None] * n
    name = metric.among(names)
    value = row[name]
    if isinstance(value, list) and len(value) == n:
        return [as_verdict(each, name) for each in value]
    if n == 1:
        return [as_verdict(value, name)]
    return [None] * n  # one number for all repeats says nothing about each
