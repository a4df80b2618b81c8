"""How a task of lm-evaluation-harness finds and judges answers, as the results beside its samples say.

The harness judges what its filter leaves of all repeats of a prompt, often one of eight; this module applies
the same patterns to each repeat. It covers filters by regular expression and the metric ``exact_match``, and
assumes nothing: what the harness itself recorded is checked against it by `difficulty.importers.lm_eval`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from difficulty.importers.shared import load_document
from difficulty.log.found_in import found_in

_NEUTRAL: Final = frozenset(("take_first", "take_first_k", "majority_vote", "remove_whitespace"))
_DIGITS: Final = str.maketrans("", "", string.digits)
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


class TaskRules(NamedTuple):
    """What a filter finds in a response, and when ``exact_match`` calls it right.

    Attributes
    ----------
    patterns : tuple of (Pattern, int, str)
        Each with the match that counts and what stands where there is none.
    ignored : tuple of Pattern
        What is taken out of answer and target before they are compared.
    ignore_case, ignore_punctuation, ignore_numbers : bool
        As the metric has them.
    judges : bool
        Whether ``exact_match`` is what judges; else only answers are found.
    """

    patterns: tuple[tuple[re.Pattern[str], int, str], ...]
    ignored: tuple[re.Pattern[str], ...] = ()
    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_numbers: bool = False
    judges: bool = True

    def found(self, response: str) -> str:
        """Return what the filter leaves of one response."""
        for pattern, select, fallback in self.patterns:
            matches = pattern.findall(response)
            if not matches:
                response = fallback
                continue
            try:
                match = matches[select]
            except IndexError:
                response = fallback
                continue
            if isinstance(match, tuple):
                match = next((part for part in match if part), fallback)
            response = match.strip()
        return response

    def right(self, answer: str, target: str) -> bool:
        """Say whether ``exact_match`` counts an answer as the target."""
        return self._plain(answer) == self._plain(target)

    def _plain(self, text: str) -> str:
        for pattern in self.ignored:
            text = pattern.sub("", text)
        if self.ignore_case:
            text = text.lower()
        if self.ignore_punctuation:
            text = text.translate(_PUNCTUATION)
        return text.translate(_DIGITS) if self.ignore_numbers else text


def results_beside(samples: Path) -> Mapping[str, Any]:
    """Return the ``results_*.json`` beside a file of samples; empty where there is none.

    Raises
    ------
    InvalidLogError
        When it is there and is not JSON.
    """
    date = re.fullmatch(r"samples_.+?_(\d{4}-\d\d-\d\dT.*)\.jsonl", samples.name)
    results = samples.with_name(f"results_{date.group(1)}.json") if date else samples
    if date is None or not results.is_file():
        return {}
    with found_in(results):
        return _inside(load_document(results))


def task_rules(
    results: Mapping[str, Any], task: str, filter_name: str, *, judging: bool = True
) -> TaskRules | None:
    """Return the rules of a task's filter from the results beside its samples.

    Parameters
    ----------
    results : mapping
        As `results_beside` returns them.
    task, filter_name : str
    judging : bool
        Whether verdicts are wanted, too; they are never to be had of runs with ``--predict_only``.

    Returns
    -------
    TaskRules, optional
        None where the results do not tell, or the filter does something that is not covered here.
    """
    config = _inside(results, "configs", task)
    steps = next(
        (
            each.get("filter")
            for each in _listed(config.get("filter_list"))
            if isinstance(each, dict) and each.get("name") == filter_name
        ),
        None,
    )
    metric = next(
        (each for each in _listed(config.get("metric_list")) if _inside(each).get("metric") == "exact_match"),
        None,
    )
    named = [_inside(each).get("metric") for each in _listed(config.get("metric_list"))]
    judges = judging and named != ["bypass"]
    if steps is None or (judges and metric is None):
        return None
    metric = metric or {}
    try:
        patterns = _patterns(_listed(steps))
        ignored = tuple(map(re.compile, _listed(metric.get("regexes_to_ignore"))))
    except (re.error, TypeError):
        return None
    if patterns is None:
        return None
    return TaskRules(
        patterns=patterns,
        ignored=ignored,
        ignore_case=metric.get("ignore_case") is True,
        ignore_punctuation=metric.get("ignore_punctuation") is True,
        ignore_numbers=metric.get("ignore_numbers") is True,
        judges=judges,
    )


def _patterns(steps: Sequence[Any]) -> tuple[tuple[re.Pattern[str], int, str], ...] | None:
    found = []
    for step in steps:
        name = _inside(step).get("function")
        if name == "regex":
            found.append(
                (
                    re.compile(step.get("regex_pattern", r"#### (\-?[0-9\.\,]+)")),
                    int(step.get("group_select", 0)),
                    str(step.get("fallback", "[invalid]")),
                )
            )
        elif name not in _NEUTRAL:
            return None
    return tuple(found)


def _inside(document: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
