"""Import evaluation logs of inspect_ai, with epochs as samples.

It assumes ``.json`` logs (``inspect log convert --to json``), or ``.eval`` archives that the standard
library can unpack. Token counts come from each sample's usage; whether it is correct from one scorer's
value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from difficulty.errors import InvalidFileError, InvalidInputError, InvalidLogError
from difficulty.files.lines import MOST_SHRUNK, UNPACKED_FREELY, read_text
from difficulty.generator import Generator
from difficulty.importers.shared import LineGroups, loads, only, verdict
from difficulty.log.sample_log import SampleLog

__all__ = ["read_inspect"]

_MOST_BYTES: Final = 1024 * 1024 * 1024

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


class _Header(msgspec.Struct):
    eval: _Evaluation


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


def read_inspect(
    *paths: str | os.PathLike[str],
    scorer: str | None = None,
    failed_samples: Literal["refuse", "leave_out"] = "refuse",
) -> SampleLog:
    """Read logs of inspect_ai; each epoch of a sample id is one sample of that prompt.

    Parameters
    ----------
    *paths : str or path
        Logs of one or several models and tasks; logs of the same task and model add samples.
    scorer : str, optional
        Scorer that says whether a sample is correct; needed where a log has several.
    failed_samples : {"refuse", "leave_out"}
        What to do with samples that ended in an error: they are no answers. Left-out ones are counted in
        ``about["failed_samples_left_out"]``.

    Returns
    -------
    SampleLog
        Prompt ids are ``task/id``, generators are named as the models.

    Raises
    ------
    InvalidLogError
        When a file is not such a log, has failed samples that are not to be left out, or scores that are
        neither right nor wrong.

    Notes
    -----
    Prompt tokens are the total less the output tokens, so that cached tokens count. A sample that called the
    model several times (an agent) has the tokens of all calls.

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
    n_left_out = 0
    for path in map(Path, paths):
        header, samples = _open(path)
        try:
            generator = _generator(header)
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
                    _line(sample, header.task, generator.name),
                    [_sample(sample, generator.name, scorer)],
                )
            except InvalidLogError as error:
                raise InvalidLogError(f"{where}: {error.reason}", path=str(path)) from error
    about: dict[str, object] = {"imported_from": "inspect_ai", "files": [Path(path).name for path in paths]}
    if n_left_out:
        about["failed_samples_left_out"] = n_left_out
    return SampleLog.from_records(map(_with_prompt_tokens, groups.records()), generators, about=about)


def _open(path: Path) -> tuple[_Evaluation, list[_Sample]]:
    """Return the evaluation's header and its samples."""
    import zipfile  # not at module level: it is slow to import and needed here only
    import zlib

    name = str(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _refuse_bombs([info.file_size for info in archive.infolist()], path)
                names = [
                    name
                    for name in archive.namelist()
                    if name.startswith("samples/") and name.endswith(".json")
                ]
                header = loads(archive.read("header.json"), path=name)
                samples = [loads(archive.read(member), path=name) for member in names]
        else:
            header = loads(read_text(path, limit=_MOST_BYTES).encode(), path=name)
            samples = (header.get("samples") or []) if isinstance(header, dict) else []
    except InvalidFileError as error:
        raise InvalidLogError(f"not a log of inspect_ai: {error.reason}", path=name) from error
    except OSError as error:
        raise InvalidLogError(f"cannot read the file: {error.strerror or error}", path=name) from error
    except (KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidLogError(
            f"not a log of inspect_ai that can be read here ({error}); try: inspect log convert --to json",
            path=name,
        ) from error
    try:
        evaluation = msgspec.convert(header, _Header).eval
        read = msgspec.convert(samples, list[_Sample])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a character, written as "\\ud800"
        raise InvalidLogError(f"not a log of inspect_ai: {error}", path=name) from error
    if not read:
        raise InvalidLogError("the log has no samples; it was written with log_samples=False", path=name)
    return evaluation, read


def _refuse_bombs(sizes: Sequence[int], path: Path) -> None:
    """Refuse an archive that says it unpacks to more than a log does; no member gives more than that."""
    total = sum(sizes)
    if total > min(_MOST_BYTES, max(UNPACKED_FREELY, MOST_SHRUNK * path.stat().st_size)):
        raise InvalidLogError(
            f"the archive unpacks to {total:,} bytes, which no log does; if it is meant, unpack it with: "
            "inspect log convert --to json",
            path=str(path),
        )


def _generator(spec: _Evaluation) -> Generator:
    config = spec.model_generate_config or _Settings()
    return Generator(
        name=spec.model,
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
    if isinstance(sample.input, str):
        text = _resolved(sample.input, attachments)
        return {**line, "prompt": text if text.strip() else None}
    messages = [
        {"role": message.role, "content": _plain_content(message.content, attachments)}
        for message in sample.input
    ]
    return {**line, "messages": messages or None}


def _sample(sample: _Sample, model: str, scorer: str | None) -> dict[str, Any]:
    output = sample.output or _Output()
    choice = output.choices[0] if output.choices else _Choice()
    text = output.completion or _text_of(choice.message.content if choice.message else None)
    scores = sample.scores or {}
    score = scores[only(list(scores), scorer, "scorer")] if scores or scorer else _Score()
    usage = (sample.model_usage or {}).get(model) or output.usage or _Usage()
    known = usage.output_tokens is not None and usage.total_tokens
    return {
        "answer": None if score.answer in (None, "") else str(score.answer),
        "correct": verdict(score.value, "the score"),
        "output_tokens": usage.output_tokens,
        "prompt_tokens": (usage.total_tokens or 0) - (usage.output_tokens or 0) if known else None,
        "cached_prompt_tokens": usage.input_tokens_cache_read or None,
        "finish": "length" if choice.stop_reason in _CUT else choice.stop_reason,
        "text": _resolved(text, sample.attachments or {}) if text else None,
    }


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
