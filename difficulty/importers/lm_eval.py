"""Import the ``samples_*.jsonl`` that lm-evaluation-harness writes with ``--log_samples``.

It assumes generative tasks, best with ``repeats`` above 1, and reads every repeat: where the filter kept one
of them, the patterns of the task are applied to the others, if the results lie beside the samples. Token
counts are not in these files, so the unit of such a log is samples.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.lm_eval_prompt import prompt_fields, shared_examples
from difficulty.importers.lm_eval_samples import has_samples, samples_of
from difficulty.importers.lm_eval_task import results_beside, task_rules
from difficulty.importers.shared import Extract, Grade, LineGroups, Wanted, loads, log_of, warn_of_whole_texts
from difficulty.log.formats.jsonl import log_lines
from difficulty.log.found_in import found_in
from difficulty.log.sample_log import SampleLog


def read_lm_eval(
    *paths: str | os.PathLike[str],
    generator: Generator | None = None,
    generators: Mapping[str, Generator] | None = None,
    task: str | None = None,
    filter: str | None = None,
    metric: str | None = None,
    extract: Extract | None = None,
    grade: Grade | None = None,
    prompt_field: str | None = None,
) -> SampleLog:
    """Read sample files of lm-evaluation-harness.

    Parameters
    ----------
    *paths : str or path
        ``samples_*.jsonl`` files; files of the same task and model add samples to the same prompts.
    generator : Generator, optional
        What drew all samples; by default each file's model, as the results beside it, or its folder, name it.
    generators : mapping of str to Generator, optional
        What is known of the models, by name.
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
    InvalidInputError
        When one generator is named for files of several models.
    InvalidLogError
        When a file is not such a log, does not record what is needed, or none has samples: log-likelihood and
        multiple-choice tasks draw none. Beside others, such files are left out and named in
        ``about["without_samples"]``.

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
    drew: dict[str, Generator] = {}
    models: set[str] = set()
    without: list[str] = []
    for path in map(Path, paths):
        name = task or _task_of(path)
        rows = [(place, _parse(data, str(path), place)) for place, data in log_lines(path)]
        if rows and not any(has_samples(row) for _, row in rows):
            without.append(path.name)
            continue
        results = results_beside(path)
        model = str(results.get("model_name") or path.absolute().parent.name)
        if results:
            models.add(model)
        known = generator or (generators or {}).get(model) or Generator(name=model, model=model)
        drew[known.name] = known
        same = read.setdefault((name, model, *(json.dumps(row, sort_keys=True) for _, row in rows)), path)
        if same is not path:
            raise InvalidLogError(
                f"holds the same samples as {same}, which would count twice; give one", path=str(path)
            )
        filters = list(dict.fromkeys(str(row["filter"]) for _, row in rows if "filter" in row))
        with found_in(path):  # what is found in the responses is the same for all filters
            wanted = (
                filters[0] if extract and filters and not filter else wanted_filter.among(filters or [""])
            )
        rules = None if extract else task_rules(results, name, wanted, judging=grade is None)
        examples = shared_examples([row for _, row in rows])
        seen: set[str] = set()
        for place, row in rows:
            with found_in(path, place):
                if "filter" in row and str(row["filter"]) != wanted:
                    continue
                if str(row["doc_id"]) in seen:
                    raise InvalidLogError(
                        f"doc_id {row['doc_id']!r} is in the file twice; keep one line of each"
                    )
                seen.add(str(row["doc_id"]))
                line = {"prompt_id": f"{name}/{row['doc_id']}", "generator": known.name}
                line |= prompt_fields(row, examples, field=prompt_field)
                samples = samples_of(row, metric=wanted_metric, extract=extract, grade=grade, rules=rules)
                groups.add(line, samples)
    if without and not groups.records():
        raise InvalidLogError(
            "the responses are log-likelihoods of given texts: log-likelihood and multiple-choice tasks draw "
            "no samples; evaluate with a task that generates its answers",
            path=str(paths[0]),
        )
    if generator is not None and len(models) > 1:
        raise InvalidInputError(
            f"the files are of several models, {', '.join(sorted(models))}, which one generator cannot have "
            "drawn; give the files of one, or no generator"
        )
    with found_in(paths[0]):
        wanted_filter.check()
        wanted_metric.check()
    warn_of_whole_texts(groups.records())
    return log_of(groups.records(), drew, "lm-evaluation-harness", paths, without_samples=without)


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
