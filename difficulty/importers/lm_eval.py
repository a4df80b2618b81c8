"""Import the ``samples_*.jsonl`` that lm-evaluation-harness writes with ``--log_samples``.

It assumes generative tasks, best with ``repeats`` above 1, and reads every repeat: where the filter kept one
of them, the patterns of the task are applied to the others, if the results lie beside the samples. Token
counts are not in these files, so the unit of such a log is samples.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.lm_eval_prompt import prompt_fields, shared_examples
from difficulty.importers.lm_eval_task import TaskRules, task_rules
from difficulty.importers.shared import (
    Extract,
    Grade,
    LineGroups,
    Wanted,
    loads,
    reference,
    warn_of_whole_texts,
)
from difficulty.log.formats.jsonl import log_lines
from difficulty.log.sample_log import SampleLog
from difficulty.log.tables.cells import as_verdict

_NO_MATCH: Final = "[invalid]"  # what the harness's regex filters give where nothing matches
_FIELDS: Final = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
_NOT_METRICS: Final = frozenset(_FIELDS | {"doc_hash", "prompt_hash", "target_hash"})


def read_lm_eval(
    *paths: str | os.PathLike[str],
    generator: Generator,
    task: str | None = None,
    filter: str | None = None,
    metric: str | None = None,
    extract: Extract | None = None,
    grade: Grade | None = None,
    prompt_field: str | None = None,
) -> SampleLog:
    """Read sample files of lm-evaluation-harness as a log of one generator.

    Parameters
    ----------
    *paths : str or path
        ``samples_*.jsonl`` files of one model; files of the same task add samples to the same prompts.
    generator : Generator
        What drew the samples; the files do not say.
    task : str, optional
        Name of the task, the first part of prompt ids; by default from the file name.
    filter : str, optional
        Filter whose answers are taken; needed where a file has several.
    metric : str, optional
        Metric that says whether a sample is correct; needed where a file has several.
    extract : callable, optional
        Finds the answer in a response; by default the filter's own result is the answer.
    grade : callable, optional
        Compares an answer with the target, where the file has no verdict for each repeat.
    prompt_field : str, optional
        Field of the task's documents that holds the question; by default the prompt is what was sent, less
        the worked examples before it: earlier turns of a chat, and paragraphs that all prompts begin with.

    Returns
    -------
    SampleLog

    Raises
    ------
    InvalidLogError
        When a file is not such a log, is of a multiple-choice task, or does not record what is needed.

    Notes
    -----
    The harness scores what its filter leaves of all repeats, so a verdict for each is rarely in the file. It
    is worked out with the task's own patterns where ``results_*.json`` lies beside the samples, the filter
    is one of regular expressions and the metric ``exact_match``; else give `extract` and `grade`, or
    correctness stays unknown. An answer ``[invalid]``, where no pattern matched, abstains. Prompts with
    equal ``doc_hash`` are one group.

    References
    ----------
    EleutherAI, lm-evaluation-harness 0.4, ``lm_eval/loggers/evaluation_tracker.py``.

    Examples
    --------
    >>> import json, tempfile
    >>> line = {"doc_id": 0, "doc": {}, "target": "4", "arguments": {"gen_args_0": {"arg_0": "2 + 2 ="}},
    ...         "resps": [["It is 4", "5?"]], "filtered_resps": [["4", "5"]], "filter": "none", "acc": 1.0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "samples_sums_2026-01-01T00-00-00.jsonl")
    ...     _ = path.write_text(json.dumps(line))
    ...     log = read_lm_eval(path, generator=Generator(name="tiny"), grade=str.__eq__)
    >>> log.pool("tiny").correct.tolist()
    [[1, 0]]
    """
    if not paths:
        raise InvalidInputError("give at least one path to read")
    groups = LineGroups()
    wanted_filter, wanted_metric = Wanted(filter, what="filter"), Wanted(metric, what="metric")
    read: dict[tuple[object, ...], Path] = {}
    for path in map(Path, paths):
        name = task or _task_of(path)
        rows = [(place, _parse(data, str(path), place)) for place, data in log_lines(path)]
        same = read.setdefault((name, *(json.dumps(row, sort_keys=True) for _, row in rows)), path)
        if same is not path:
            raise InvalidLogError(
                f"holds the same samples as {same}, which would count twice; give one", path=str(path)
            )
        filters = list(dict.fromkeys(str(row["filter"]) for _, row in rows if "filter" in row))
        try:
            wanted = wanted_filter.among(filters) if filters else None
        except InvalidLogError as error:
            raise InvalidLogError(error.reason, path=str(path)) from error
        rules = None if wanted is None or extract or grade else task_rules(path, name, wanted)
        examples = shared_examples([row for _, row in rows])
        seen: set[str] = set()
        for place, row in rows:
            try:
                if "filter" in row and str(row["filter"]) != wanted:
                    continue
                if str(row["doc_id"]) in seen:
                    raise InvalidLogError(
                        f"doc_id {row['doc_id']!r} is in the file twice; keep one line of each"
                    )
                seen.add(str(row["doc_id"]))
                line = {"prompt_id": f"{name}/{row['doc_id']}", "generator": generator.name}
                line |= prompt_fields(row, examples, field=prompt_field)
                samples = _samples(row, metric=wanted_metric, extract=extract, grade=grade, rules=rules)
                groups.add(line, samples)
            except InvalidLogError as error:
                raise InvalidLogError(error.reason, path=str(path), line=place) from error
    try:
        wanted_filter.check()
        wanted_metric.check()
    except InvalidLogError as error:
        raise InvalidLogError(error.reason, path=str(paths[0])) from error
    warn_of_whole_texts(groups.records())
    about = {"imported_from": "lm-evaluation-harness", "files": [Path(path).name for path in paths]}
    return SampleLog.from_records(groups.records(), {generator.name: generator}, about=about)


def _parse(data: bytes, path: str, place: int) -> dict[str, Any]:
    row = loads(data, path=path, line=place)
    missing = [
        field
        for field in ("doc_id", "target", "resps", "filtered_resps")
        if not (isinstance(row, dict) and field in row)
    ]
    if missing:
        raise InvalidLogError(
            f"not a sample of lm-evaluation-harness: {missing[0]!r} is missing; give a samples_*.jsonl file",
            path=path,
            line=place,
        )
    return dict(row)


def _task_of(path: Path) -> str:
    """Take the task from ``samples_<task>_<date>.jsonl``."""
    match = re.fullmatch(r"samples_(.+?)(_\d{4}-\d\d-\d\dT.*)?\.jsonl", path.name)
    return match.group(1) if match else path.name.partition(".")[0]


def _samples(
    row: Mapping[str, Any],
    *,
    metric: Wanted,
    extract: Extract | None,
    grade: Grade | None,
    rules: TaskRules | None,
) -> list[dict[str, Any]]:
    """Return the samples of one line: one per repeat."""
    texts = _repeats(row["resps"])
    worked_out: list[bool | None] | None = None
    if extract is not None:
        answers = [extract(text) for text in texts]
    elif rules is not None and len(texts) > 1 and _counts_matches(row, metric):
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
    if target is None:
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
        raise InvalidLogError(
            f"the line has {len(responses)} requests: a multiple-choice or log-likelihood task has no "
            "samples; import a generative task"
        )
    texts = responses[0] if isinstance(responses[0], list) else responses
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidLogError(
            "the responses are not texts: a log-likelihood task has no samples; import a generative task"
        )
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
