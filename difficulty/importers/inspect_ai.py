"""Import evaluation logs of inspect_ai, with epochs as samples.

It assumes ``.json`` or ``.eval`` logs of version 2. Token counts come from each sample's usage; whether it is
correct from one scorer's value; its answer from that scorer too, or from the completion where the scorer
recorded all of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from difficulty.errors import InvalidFileError, InvalidInputError, InvalidLogError
from difficulty.files.lines import read_text
from difficulty.generator import Generator
from difficulty.importers.inspect_answers import is_whole_text, short_answer
from difficulty.importers.shared import Extract, LineGroups, loads, only
from difficulty.log.sample_log import SampleLog
from difficulty.log.tables.cells import as_verdict
from difficulty.log.wire import canonical_json

__all__ = ["read_inspect"]

_MOST_BYTES: Final = 1024 * 1024 * 1024

_CLOCKS: Final = ("time", "working", "operator")  # what stopped these says nothing of the model
_WORDS: Final = 4  # from which on an answer is a text
_CUT: Final = ("max_tokens", "model_length", "length")
_ATTACHMENT: Final = "attachment://"


_Content: TypeAlias = str | list[dict[str, Any]] | None


class _Settings(msgspec.Struct):
    """What is used of the settings that a model was asked with; other fields of all of these are not read."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    reasoning_tokens: int | None = None
    reasoning_effort: str | None = None


class _Evaluation(msgspec.Struct):
    task: str
    model: str
    model_generate_config: _Settings | None = None


class _Step(msgspec.Struct):
    solver: str
    params_passed: dict[str, Any] | None = None


class _Plan(msgspec.Struct):
    steps: list[_Step] = []


class _Header(msgspec.Struct):
    eval: _Evaluation
    plan: _Plan | None = None

    @property
    def solvers(self) -> tuple[str, ...]:
        """The solvers beyond plain generation, with what they were given."""
        steps = self.plan.steps if self.plan is not None else []
        return tuple(
            step.solver + (canonical_json(step.params_passed) if step.params_passed else "")
            for step in steps
            if step.solver != "generate" or step.params_passed
        )


class _Message(msgspec.Struct):
    role: str = "assistant"
    content: _Content = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    stop_reason: str | None = None


class _Usage(msgspec.Struct):
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_cache_read: int | None = None


class _Output(msgspec.Struct):
    completion: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class _Score(msgspec.Struct):
    value: Any = None
    answer: str | int | float | None = None


class _Limit(msgspec.Struct):
    type: str


class _Sample(msgspec.Struct):
    id: str | int
    input: str | list[_Message]
    epoch: int = 1
    target: str | list[str] | None = None
    output: _Output | None = None
    scores: dict[str, _Score] | None = None
    model_usage: dict[str, _Usage] | None = None
    attachments: dict[str, str] | None = None
    error: Any = None
    choices: list[str] | None = None
    limit: _Limit | None = None


class _Reading(NamedTuple):
    """How samples are read: which scorer counts, from which mark on, and where the answer is."""

    scorer: str | None
    threshold: float | None
    extract: Extract | None


def read_inspect(
    *paths: str | os.PathLike[str],
    scorer: str | None = None,
    failed_samples: Literal["refuse", "leave_out"] = "refuse",
    threshold: float | None = None,
    extract: Extract | None = None,
) -> SampleLog:
    """Read logs of inspect_ai; each epoch of a sample id is one sample of that prompt.

    Parameters
    ----------
    *paths : str or path
        Logs of one or several models and tasks; logs of the same task and model add samples.
    scorer : str, optional
        Scorer that says whether a sample is correct; needed where a log has several. A part of a score that
        is an object is ``scorer.part``.
    failed_samples : {"refuse", "leave_out"}
        What to do with samples that ended in an error: they are no answers. Left-out ones are counted in
        ``about["failed_samples_left_out"]``.
    threshold : float, optional
        The least mark that counts as right, where scores are graded; C, P and I are 1, 0.5 and 0.
    extract : callable, optional
        Finds the answer in a completion; by default the scorer's answer is taken, and the end of the
        completion where that is the whole of it.

    Returns
    -------
    SampleLog
        Prompt ids are ``task/id``, generators are named as the models, with the solvers where one model was
        asked through several.

    Raises
    ------
    InvalidLogError
        When a file is not such a log, has failed samples that are not to be left out, or scores that are
        neither right nor wrong.

    Notes
    -----
    Prompt tokens are the total less the output tokens, so that cached tokens count. A sample that called the
    model several times (an agent) has the tokens of all calls. A sample that a limit stopped is truncated;
    where the limit was one of time, its verdict is unknown. Choices are part of the prompt. A warning tells
    when most answers are whole texts, which never agree in votes.

    References
    ----------
    UK AI Security Institute, inspect_ai log format version 2, https://inspect.aisi.org.uk/eval-logs.html.

    Examples
    --------
    >>> import json, tempfile
    >>> epochs = [{"id": 1, "epoch": epoch, "input": "2 + 2?", "target": "4",
    ...            "output": {"completion": answer, "usage": {"output_tokens": 1, "total_tokens": 6}},
    ...            "scores": {"match": {"value": value, "answer": answer}}}
    ...           for epoch, (answer, value) in enumerate([("4", "C"), ("5", "I")], start=1)]
    >>> evaluation = {"version": 2, "eval": {"task": "sums", "model": "m"}, "samples": epochs}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.json")
    ...     _ = path.write_text(json.dumps(evaluation))
    ...     log = read_inspect(path)
    >>> log.pool("m").correct.tolist(), log.pool("m").prompt_tokens.tolist()
    ([[1, 0]], [5.0])
    """
    if not paths:
        raise InvalidInputError("give at least one path to read")
    groups = LineGroups()
    generators: dict[str, Generator] = {}
    reading = _Reading(scorer, threshold, extract)
    n_left_out = 0
    logs = [(path, *_open(path)) for path in map(Path, paths)]
    solvers: dict[str, set[tuple[str, ...]]] = {}
    for _, header, _ in logs:
        solvers.setdefault(header.eval.model, set()).add(header.solvers)
    for path, header, samples in logs:
        several = len(solvers[header.eval.model]) > 1
        try:
            generator = _generator(header.eval, header.solvers if several else ())
        except InvalidInputError as error:
            raise InvalidLogError(str(error), path=str(path)) from error
        if generators.setdefault(generator.name, generator) != generator:
            raise InvalidLogError(
                f"model {generator.name!r} has other settings than in an earlier log; import it apart",
                path=str(path),
            )
        for sample in sorted(samples, key=lambda each: each.epoch):
            where = f"sample {sample.id!r}, epoch {sample.epoch}"
            if sample.error is not None:
                if failed_samples == "refuse":
                    raise InvalidLogError(
                        f"{where} ended in an error, which is no answer; run it again, or pass "
                        "failed_samples='leave_out'",
                        path=str(path),
                    )
                n_left_out += 1
                continue
            try:
                groups.add(
                    _line(sample, header.eval.task, generator.name),
                    [_sample(sample, header.eval.model, reading)],
                )
            except InvalidLogError as error:
                raise InvalidLogError(f"{where}: {error.reason}", path=str(path)) from error
    about: dict[str, object] = {"imported_from": "inspect_ai", "files": [Path(path).name for path in paths]}
    _warn_of_whole_texts(groups.records())
    if n_left_out:
        about["failed_samples_left_out"] = n_left_out
    return SampleLog.from_records(map(_with_prompt_tokens, groups.records()), generators, about=about)


def _open(path: Path) -> tuple[_Header, list[_Sample]]:
    """Return the evaluation's header and its samples."""
    import zipfile  # not at module level: it is slow to import and needed here only

    name = str(path)
    try:
        if zipfile.is_zipfile(path):
            from difficulty.importers.inspect_archive import read_members

            packed, members = read_members(path)
            header = loads(packed, path=name)
            samples = [loads(member, path=name) for member in members]
        else:
            header = loads(read_text(path, limit=_MOST_BYTES).encode(), path=name)
            samples = (header.get("samples") or []) if isinstance(header, dict) else []
    except InvalidFileError as error:
        raise InvalidLogError(f"not a log of inspect_ai: {error.reason}", path=name) from error
    except OSError as error:
        raise InvalidLogError(f"cannot read the file: {error.strerror or error}", path=name) from error
    try:
        evaluation = msgspec.convert(header, _Header)
        read = msgspec.convert(samples, list[_Sample])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a character, written as "\\ud800"
        raise InvalidLogError(f"not a log of inspect_ai: {error}", path=name) from error
    if not read:
        raise InvalidLogError("the log has no samples; it was written with log_samples=False", path=name)
    return evaluation, read


def _warn_of_whole_texts(records: Sequence[Mapping[str, Any]]) -> None:
    answers = [sample["answer"] for record in records for sample in record["samples"]]
    n_texts = sum(answer is not None and len(answer.split()) >= _WORDS for answer in answers)
    if 2 * n_texts > len(answers):
        warnings.warn(
            f"{n_texts} of {len(answers)} answers are whole texts, which never agree in votes; give "
            "extract=... to find the answers in them",
            stacklevel=3,
        )


def _generator(spec: _Evaluation, solvers: tuple[str, ...]) -> Generator:
    config = spec.model_generate_config or _Settings()
    return Generator(
        name="/".join([spec.model, "+".join(solvers)]) if solvers else spec.model,
        model=spec.model,
        temperature=config.temperature,
        top_p=config.top_p,
        max_output_tokens=config.max_tokens,
        thinking_tokens=config.reasoning_tokens,
        reasoning_effort=config.reasoning_effort,
    )


def _line(sample: _Sample, task: str, generator: str) -> dict[str, Any]:
    """Return the prompt's fields of a line."""
    attachments = sample.attachments or {}
    targets = [sample.target] if isinstance(sample.target, str) else (sample.target or [])
    line: dict[str, Any] = {
        "prompt_id": f"{task}/{sample.id}",
        "generator": generator,
        "gold": targets[0] if len(targets) == 1 and targets[0] else None,
        "meta": {"targets": targets} if len(targets) > 1 else None,
    }
    listed = "".join(
        f"\n{letter}) {choice}" for letter, choice in zip(ascii_uppercase, sample.choices or (), strict=False)
    )
    if isinstance(sample.input, str):
        text = _resolved(sample.input, attachments)
        return {**line, "prompt": text + listed if text.strip() else None}
    messages = [
        {"role": message.role, "content": _plain_content(message.content, attachments)}
        for message in sample.input
    ]
    if listed:
        messages.append({"role": "user", "content": listed.strip()})
    return {**line, "messages": messages or None}


def _sample(sample: _Sample, model: str, reading: _Reading) -> dict[str, Any]:
    output = sample.output or _Output()
    choice = output.choices[0] if output.choices else _Choice()
    text = output.completion or _text_of(choice.message.content if choice.message else None)
    text = _resolved(text, sample.attachments or {})
    scores = _parts(sample.scores or {})
    score = scores[only(list(scores), reading.scorer, "scorer")] if scores or reading.scorer else _Score()
    usage = (sample.model_usage or {}).get(model) or output.usage or _Usage()
    known = usage.output_tokens is not None and usage.total_tokens
    correct = as_verdict(score.value, "the score", threshold=reading.threshold)
    limit = sample.limit.type if sample.limit is not None else None
    return {
        "answer": _answer(sample, score, text, reading.extract),
        "correct": None if limit in _CLOCKS else correct,
        "output_tokens": usage.output_tokens,
        "prompt_tokens": (usage.total_tokens or 0) - (usage.output_tokens or 0) if known else None,
        "cached_prompt_tokens": usage.input_tokens_cache_read or None,
        "finish": "length" if limit is not None or choice.stop_reason in _CUT else choice.stop_reason,
        "text": text or None,
    }


def _answer(sample: _Sample, score: _Score, text: str, extract: Extract | None) -> str | None:
    if extract is not None:
        return extract(text)
    recorded = None if score.answer in (None, "") else str(score.answer)
    if recorded is None or not is_whole_text(recorded, text):
        return recorded
    target = sample.target if isinstance(sample.target, str) else "".join(sample.target or [])
    return short_answer(text, target) or recorded


def _parts(scores: Mapping[str, _Score]) -> dict[str, _Score]:
    """Return scores by name, and the parts of those that are objects by ``name.part``."""
    parts: dict[str, _Score] = {}
    for name, score in scores.items():
        if isinstance(score.value, dict):
            parts |= {f"{name}.{part}": _Score(value, score.answer) for part, value in score.value.items()}
        else:
            parts[name] = score
    return parts


def _with_prompt_tokens(record: dict[str, Any]) -> dict[str, Any]:
    """Move the prompt length to the line where all its samples agree and none had any of it cached."""
    lengths = {sample["prompt_tokens"] for sample in record["samples"]}
    if len(lengths) != 1 or any(sample["cached_prompt_tokens"] for sample in record["samples"]):
        return record
    samples = [{**sample, "prompt_tokens": None} for sample in record["samples"]]
    return {**record, "prompt_tokens": lengths.pop(), "samples": samples}


def _plain_content(content: _Content, attachments: Mapping[str, str]) -> object:
    if isinstance(content, str):
        return _resolved(content, attachments)
    return [
        {**part, "text": _resolved(part["text"], attachments)} if isinstance(part.get("text"), str) else part
        for part in content or []
    ]


def _text_of(content: _Content) -> str:
    return content if isinstance(content, str) else "".join(_texts(content or []))


def _texts(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        if isinstance(part.get("text"), str):
            yield part["text"]


def _resolved(text: str, attachments: Mapping[str, str]) -> str:
    """Put back a long text that the log keeps apart."""
    if text.startswith(_ATTACHMENT):
        return attachments.get(text.removeprefix(_ATTACHMENT), text)
    return text
