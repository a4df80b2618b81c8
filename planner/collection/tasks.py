"""Where tasks come from: prompt files, benchmark files of questions and answers, reasoning-gym tasks by name.

A source gives prompts with reference answers where it has them, and a grader where it brings its own checker.
Plain prompt files are left to `planner.files.prompts`, drawing and grading to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import msgspec

from difficulty.arguments import check_whole
from difficulty.errors import InvalidFileError, InvalidInputError, InvalidPromptError, require
from difficulty.files.lines import numbered_lines
from difficulty.log.tables.choice import choose_columns
from difficulty.prompt import Prompt
from planner.collection.gold import gold_of
from planner.files.prompts import MAX_PROMPTS, Form, json_object, prompt_lines, prompts_of, read_prompts
from planner.files.tables import TableRecord, prompt_table
from planner.ports.ports import Grader

GYM: Final = "reasoning-gym:"
_QUESTIONS: Final = ("question", "problem")
_ANSWERS: Final = ("answer", "solution")
_IDS: Final = ("id", "prompt_id", "unique_id")
_FULL_MARKS: Final = 0.999  # graders of reasoning-gym give partial marks for the form alone


class TaskSource(NamedTuple):
    """Prompts of a source, and its own grader where it brings one.

    Attributes
    ----------
    prompts : tuple of Prompt
        With `gold` where the source has reference answers.
    grader : Grader, optional
        The source's checker; None where answers are compared with `gold`.
    name : str
        What the source is, for the header of a log.
    unused_fields : tuple of str
        Fields of a file's objects that nothing reads, sorted.
    """

    prompts: tuple[Prompt, ...]
    grader: Grader | None
    name: str
    unused_fields: tuple[str, ...] = ()


def read_tasks(
    source: str, *, form: Form = "auto", size: int | None = None, seed: int = 0, config: str = ""
) -> TaskSource:
    """Read tasks from a file, or make them by name.

    Parameters
    ----------
    source : str
        A file of prompts (see `planner.files.prompts.read_prompts`), a file of ``question`` or
        ``problem`` with ``answer`` or ``solution`` (GSM8K, MATH), or ``reasoning-gym:TASK``.
    form : {"auto", "jsonl", "text"}
        How the lines of a file are read.
    size : int, optional
        The first so many tasks; all of a file, 200 of a reasoning-gym task.
    seed : int
        Seed of a reasoning-gym task.
    config : str
        JSON object of a reasoning-gym task's own options; empty for its defaults.

    Raises
    ------
    InvalidInputError
        When the source is unknown or unreadable, or an option does not go with it.
    MissingDependencyError
        When reasoning-gym is needed and not installed.
    """
    if size is not None:
        check_whole("size", size, least=1)
    if source.startswith(GYM):
        return _gym(source.removeprefix(GYM), size=size or 200, seed=seed, config=config)
    if config:
        raise InvalidInputError(f"task options go with {GYM}TASK, not with a file")
    records = None if source == "-" or form == "text" else _benchmark_records(Path(source))
    if records is None:
        prompts, unused = read_prompts(source, form=form)
        return TaskSource(prompts[:size], None, Path(source).name, unused)
    fields = list(dict.fromkeys(field for _, record in records for field in record))
    chosen = choose_columns(fields).columns
    ids, key = [*_IDS, *filter(None, [chosen.get("prompt_id")])], chosen.get("gold")
    stem = Path(source).name.split(".", 1)[0]
    asked = [
        TableRecord(number, _asked(record, f"{source}, line {number}", ids, key, f"{stem}-{place}"))
        for place, (number, record) in enumerate(records[:size])
    ]
    left = set(fields) - {*_QUESTIONS, *_ANSWERS, *ids, key, "group"}
    return TaskSource(prompts_of(asked, source), None, Path(source).name, tuple(sorted(left)))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GymGrader:
    """Grades by the checker of a reasoning-gym task; implements `planner.ports.ports.Grader`.

    Parameters
    ----------
    task : str
        Name of the task.
    size, seed : int
        As the prompts were made.
    config : str
        JSON object of the task's options.

    Notes
    -----
    Right means full marks; the partial marks that some tasks give count as wrong.
    """

    task: str
    size: int
    seed: int
    config: str = ""

    def grade(self, prompt: Prompt, answer: str | None) -> bool | None:
        """Return whether the task's checker gives `answer` full marks; None for a prompt not of this task."""
        name, _, place = prompt.id.rpartition("-")
        if name != self.task or not place.isdecimal() or int(place) >= self.size:
            return None
        if answer is None:
            return False
        dataset = _dataset(self.task, self.size, self.seed, self.config)
        return bool(dataset.score_answer(answer=answer, entry=dataset[int(place)]) >= _FULL_MARKS)


def _gym(task: str, *, size: int, seed: int, config: str) -> TaskSource:
    dataset = _dataset(task, size, seed, config)
    prompts = []
    for place in range(size):
        entry = dataset[place]
        gold = entry["answer"]
        prompts.append(
            Prompt(
                id=f"{task}-{place}", text=entry["question"], gold=None if gold is None else str(gold).strip()
            )
        )
    name = f"{GYM}{task} size={size} seed={seed}" + (f" {config}" if config else "")
    return TaskSource(tuple(prompts), GymGrader(task=task, size=size, seed=seed, config=config), name)


@lru_cache(maxsize=8)
def _dataset(task: str, size: int, seed: int, config: str) -> Any:
    """Return a reasoning-gym dataset; equal arguments give equal tasks."""
    gym = require("reasoning_gym", extra="gym")
    try:
        options = msgspec.json.decode(config or "{}", type=dict[str, Any])
        return gym.create_dataset(task, size=size, seed=seed, **options)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"the task options must be a JSON object: {error}") from error
    except (ValueError, TypeError, AssertionError) as error:
        raise InvalidInputError(
            f"reasoning-gym refuses task {task!r} with {config or 'no options'}: {error}"
        ) from error


def _benchmark_records(path: Path) -> list[TableRecord] | None:
    """Return the numbered objects of a file of questions, or None where it is another kind of file."""
    table = prompt_table(path, most=MAX_PROMPTS)
    if table is not None:
        names = {name for record in table for name in record.cells}
        return table if names & set(_QUESTIONS) and "prompt" not in names else None
    lines = numbered_lines(path)
    try:
        first = next(lines, None)
        if first is None or not first[1].lstrip().startswith(b"{"):
            return None
        names = msgspec.json.decode(first[1], type=dict[str, Any])
    except (InvalidFileError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # reading prompts reports it
    if not any(name in names for name in _QUESTIONS) or "prompt" in names:
        return None
    return [TableRecord(number, json_object(line, str(path), number)) for number, line in prompt_lines(path)]


def _asked(
    record: Mapping[str, Any], where: str, ids: Sequence[str], key: str | None, default_id: str
) -> dict[str, Any]:
    """Return the fields of a prompt for a record of a question; `key` names the right answer elsewhere than a
    benchmark does, and says nothing but it.
    """
    question = next((record[name] for name in _QUESTIONS if isinstance(record.get(name), str)), None)
    if question is None:
        raise InvalidPromptError(f"{where}: there is no text under {' or '.join(_QUESTIONS)}")
    try:
        gold = _gold(record)
        if gold is None and key is not None and key not in _ANSWERS and record.get(key) is not None:
            gold = _answer(record[key], key).strip() or None
    except InvalidPromptError as error:
        raise InvalidPromptError(f"{where}: {error}") from error
    given = next((record[name] for name in ids if record.get(name) is not None), default_id)
    return {"id": given, "prompt": question, "gold": gold, "group": record.get("group")}


def _gold(record: Mapping[str, Any]) -> str | None:
    """Return the reference answer of a record, from the first field that has one."""
    answers = [_answer(record[name], name) for name in _ANSWERS if record.get(name) is not None]
    answers = [answer for answer in answers if answer.strip()]
    gold = next(filter(None, map(gold_of, answers)), None)
    if answers and gold is None:
        raise InvalidPromptError(
            f"no final answer found in {answers[0][:60]!r}; end it with '#### 42' or box it"
        )
    return gold


def _answer(value: object, name: str) -> str:
    """Return a reference as text; a list of one is that one."""
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(single, str):
        return single
    if isinstance(single, (int, float)) and not isinstance(single, bool):
        return str(single)
    raise InvalidPromptError(
        f"{name} must be a text or a number, got {str(value)[:60]} ({type(value).__name__}); "
        "write the one answer that is right as a text"
    )
