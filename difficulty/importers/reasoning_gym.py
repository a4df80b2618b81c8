"""Import results of reasoning-gym's evaluation scripts: questions with several graded completions each.

It assumes files of one task (``results``), or of several under ``categories``; each grades a completion
between 0 and 1. The files hold no token counts, so that costs are samples.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.errors import InvalidFileError, InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.shared import LineGroups, load_document, log_of, reference, refuse_copies
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from difficulty.scale import check_threshold

_FULL_CREDIT: Final = 0.999
# Folder of a run: provider, model and time.
_RUN: Final = re.compile(r"(?P<model>.+)_\d{8}_\d{6}")


class _Completion(msgspec.Struct):
    score: float | None = None
    model_answer: str | int | float | None = None
    full_model_response: str | None = None
    error: Any = None


class _Question(msgspec.Struct):
    question: str
    completions: list[_Completion]
    expected_answer: Any = None


class _Task(msgspec.Struct):
    name: str
    results: list[_Question]
    category: str | None = None


class _Category(msgspec.Struct):
    datasets: list[_Task]


class _Settings(msgspec.Struct):
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


class _Tasks(NamedTuple):
    settings: _Settings
    tasks: list[_Task]


def read_reasoning_gym(
    *paths: str | os.PathLike[str],
    generator: Generator | None = None,
    threshold: float = _FULL_CREDIT,
) -> SampleLog:
    """Read results of reasoning-gym's evaluation scripts; each completion is one sample of its question.

    Parameters
    ----------
    *paths : str or path
        Files of results; those of one model add tasks.
    generator : Generator, optional
        What drew all of them; by default the model that a file names, else that of its run's folder
        (``model_20250315_163713``).
    threshold : float
        The least grade that counts as right; by default full credit only.

    Returns
    -------
    SampleLog
        Prompt ids are ``task/hash of the question``; requests that failed are no samples, and are counted in
        ``about["failed_samples_left_out"]``.

    Raises
    ------
    InvalidLogError
        When a file cannot be read, or is no such file.
    InvalidInputError
        When no path is given, or a file twice.

    References
    ----------
    open-thought, reasoning-gym, ``eval/eval.py`` (arXiv 2505.24760).

    Examples
    --------
    >>> import json, tempfile
    >>> completion = {"model_answer": "4", "full_model_response": "It is 4", "score": 1.0}
    >>> question = {"question": "2 + 2?", "expected_answer": "4", "completions": [completion]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "sums.json")
    ...     _ = path.write_text(json.dumps({"name": "sums", "results": [question]}))
    ...     log = read_reasoning_gym(path, generator=Generator(name="tiny"))
    >>> log.pool("tiny").correct.tolist(), log.prompts[0].gold
    ([[1]], '4')
    """
    check_threshold(threshold)
    refuse_copies(paths)
    groups = LineGroups()
    generators: dict[str, Generator] = {}
    gold: dict[str, str | None] = {}  # runs of other days may spell a right answer in another way
    n_failed = 0
    for path in map(Path, paths):
        settings, tasks = _open(path)
        drew = generator or _generator(settings, path)
        if generators.setdefault(drew.name, drew) != drew:
            raise InvalidLogError(
                f"model {drew.name!r} has other settings than in an earlier file; import it apart",
                path=str(path),
            )
        for task in tasks:
            for prompt_id, question in _numbered(task):
                done = [one for one in question.completions if not one.error]
                n_failed += len(question.completions) - len(done)
                if done:
                    line = {
                        "prompt_id": prompt_id,
                        "prompt": question.question,
                        "group": Prompt(text=question.question).id,
                        "generator": drew.name,
                        "gold": gold.setdefault(prompt_id, reference(question.expected_answer)),
                        "meta": {"task": task.name, "category": task.category or ""},
                    }
                    groups.add(line, [_sample(one, threshold) for one in done])
    return log_of(groups.records(), generators, "reasoning-gym", paths, failed_samples_left_out=n_failed)


def _open(path: Path) -> _Tasks:
    name = str(path)
    try:
        found = load_document(path)
    except InvalidFileError as error:
        raise InvalidLogError(f"not a file of results: {error.reason}", path=name) from error
    try:
        if isinstance(found, dict) and "categories" in found:
            categories = msgspec.convert(found["categories"], list[_Category])
            settings = msgspec.convert(found.get("metadata") or {}, _Settings)
            tasks = [task for category in categories for task in category.datasets]
        else:
            settings, tasks = _Settings(), [msgspec.convert(found, _Task)]
    except msgspec.ValidationError as error:
        raise InvalidLogError(f"not a file of reasoning-gym's results: {error}", path=name) from error
    return _Tasks(settings, tasks)


def _generator(settings: _Settings, path: Path) -> Generator:
    above = [match for parent in path.absolute().parents[:3] if (match := _RUN.fullmatch(parent.name))]
    model = settings.model or (above[0]["model"] if above else None)
    if model is None:
        raise InvalidInputError(
            f"{path} does not say which model drew these; name it with generator=Generator(name=...) "
            "(--generator)"
        )
    local = model.startswith((".", "/", "~"))
    return Generator(
        name=Path(model).name if local else model,
        model=model,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_output_tokens=settings.max_tokens,
    )


def _numbered(task: _Task) -> Iterator[tuple[str, _Question]]:
    """Yield prompt ids and questions; equal questions of a task are numbered."""
    seen: Counter[str] = Counter()
    for question in task.results:
        key = f"{task.name}/{Prompt(text=question.question).id}"
        seen[key] += 1
        yield key if seen[key] == 1 else f"{key}/{seen[key]}", question


def _sample(one: _Completion, threshold: float) -> dict[str, Any]:
    answer = None if one.model_answer is None else str(one.model_answer)
    return {
        "answer": answer,
        "correct": None if one.score is None else one.score >= threshold,
        "reward": one.score,
        "text": one.full_model_response,
    }
