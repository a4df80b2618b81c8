"""Import results of OpenAI's batch interface, of batches that were written from plans.

It assumes the batch's own file beside its results, since results name requests only. Tokens are counted per
request; those of a request with several choices are shared out by the length of their texts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.shared import Extract, LineGroups, loads, log_of, refuse_copies
from difficulty.log.formats.jsonl import log_lines
from difficulty.log.sample_log import SampleLog
from difficulty.log.tables.judged import find_answers

_SEPARATOR: Final = "#"


class _Body(msgspec.Struct):
    messages: list[dict[str, Any]]
    model: str | None = None
    temperature: float | None = None
    max_completion_tokens: int | None = None


class _Request(msgspec.Struct):
    custom_id: str
    body: _Body


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


class _Response(msgspec.Struct):
    status_code: int
    body: Any = None


class _Result(msgspec.Struct):
    custom_id: str
    response: _Response | None = None


class _Drawn(NamedTuple):
    """What one request says of its prompt, and the samples that it brought."""

    line: dict[str, Any]
    samples: list[dict[str, Any]]


def custom_id(prompt_id: str, generator: str, first: int) -> str:
    """Return the id of a request: its prompt, its generator, and how many samples come before it.

    Examples
    --------
    >>> custom_id("gsm8k-17", "small", 128)
    'gsm8k-17#small#128'
    """
    return _SEPARATOR.join((prompt_id, generator, str(first)))


def read_openai_batch(*paths: str | os.PathLike[str], extract: Extract | None = None) -> SampleLog:
    """Read batches and their results as a sample log.

    Parameters
    ----------
    *paths : str or path
        Files of requests, as `planner.exports.openai_batch` writes them, and the files of their results.
    extract : callable, optional
        Finds the answer in a completion; without it, samples have texts only.

    Returns
    -------
    SampleLog
        Requests that failed or have no result are no samples, and are counted in
        ``about["failed_samples_left_out"]``.

    Raises
    ------
    InvalidLogError
        When a file is neither, a result has no request, or nothing came back.
    InvalidInputError
        When no path is given, or a file twice.
    """
    refuse_copies(paths)
    requests: dict[str, _Request] = {}
    results: dict[str, tuple[Path, int, _Result]] = {}
    for path in map(Path, paths):
        for place, record in _records(path):
            try:
                if "body" in record:
                    one = msgspec.convert(record, _Request)
                    requests[one.custom_id] = one
                else:
                    found = msgspec.convert(record, _Result)
                    results[found.custom_id] = (path, place, found)
            except msgspec.ValidationError as error:
                raise InvalidLogError(
                    f"not a line of a batch: {error}", path=str(path), line=place
                ) from error
    if not results:
        raise InvalidLogError(
            "there are requests and no results; give the file of results beside it", path=str(paths[0])
        )
    groups = LineGroups()
    generators: dict[str, Generator] = {}
    n_failed = len(requests.keys() - results.keys())
    for name, (path, place, result) in results.items():
        if name not in requests:
            raise InvalidLogError(
                f"result {name!r} has no request; give the file of requests beside it",
                path=str(path),
                line=place,
            )
        drawn = _drawn(requests[name], result, generators)
        if drawn is None:
            n_failed += 1
        else:
            groups.add(drawn.line, drawn.samples)
    records = groups.records()
    if not records:
        raise InvalidLogError("no request of the batch succeeded", path=str(paths[0]))
    if extract is not None:
        find_answers(records, extract)
    return log_of(records, generators, "openai_batch", paths, failed_samples_left_out=n_failed)


def _records(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    found: list[tuple[int, Mapping[str, Any]]] = []
    for place, line in log_lines(path):
        record = loads(line, path=str(path), line=place)
        if not isinstance(record, dict) or "custom_id" not in record:
            raise InvalidLogError("not a line of a batch: it has no custom_id", path=str(path), line=place)
        found.append((place, record))
    return found


def _drawn(request: _Request, result: _Result, generators: dict[str, Generator]) -> _Drawn | None:
    """Return the samples of a result; None where the request failed."""
    if result.response is None or result.response.status_code != 200:
        return None
    reply = msgspec.convert(result.response.body or {}, _Completion)
    if not reply.choices:
        return None
    prompt_id, name = _named(request)
    body = request.body
    generators.setdefault(
        name,
        Generator(
            name=name,
            model=body.model,
            temperature=body.temperature,
            max_output_tokens=body.max_completion_tokens,
        ),
    )
    texts = [choice.message.content or "" for choice in reply.choices]
    usage = reply.usage or _Usage()
    tokens = _shared_out(usage.completion_tokens, texts)
    alone = len(body.messages) == 1 and isinstance(body.messages[0].get("content"), str)
    line = {
        "prompt_id": prompt_id,
        "generator": name,
        "prompt": body.messages[0]["content"] if alone else None,
        "messages": None if alone else body.messages,
        "prompt_tokens": usage.prompt_tokens,
    }
    samples = [
        {"text": text, "output_tokens": n, "finish": choice.finish_reason}
        for text, n, choice in zip(texts, tokens, reply.choices, strict=True)
    ]
    return _Drawn(line, samples)


def _named(request: _Request) -> tuple[str, str]:
    """Return prompt and generator of a request."""
    parts = request.custom_id.rsplit(_SEPARATOR, 2)
    if len(parts) < 3:  # somebody else's batch
        return request.custom_id, request.body.model or "model"
    return parts[0], parts[1]


def _shared_out(total: int | None, texts: Sequence[str]) -> list[int | None]:
    """Return the tokens of each text, whole numbers that add up to the total."""
    if total is None:
        return [None] * len(texts)
    sizes = [len(text) + 1 for text in texts]
    ends = [round(total * sum(sizes[: place + 1]) / sum(sizes)) for place in range(len(sizes))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
