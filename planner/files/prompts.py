"""Read prompts from files: JSON objects or plain text, one per line, or the prompts of a sample log.

It assumes UTF-8, plain or gzip, and prompts that fit in memory. Checking that a prompt is one is left to
`difficulty.prompt`.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from difficulty.errors import InvalidPromptError
from difficulty.prompt import Prompt

__all__ = ["Form", "PromptFile", "parse_prompts", "read_prompts"]

Form: TypeAlias = Literal["auto", "jsonl", "text"]

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_CONTENT: Final = ("prompt", "text", "messages")
_ID: Final = ("id", "prompt_id")


class PromptFile(NamedTuple):
    """What a file held.

    Attributes
    ----------
    prompts : tuple of Prompt
        In the order of the file.
    unused_fields : tuple of str
        Fields of the JSON objects that a prompt does not have, sorted.
    """

    prompts: tuple[Prompt, ...]
    unused_fields: tuple[str, ...]


class _Record(msgspec.Struct, kw_only=True):
    id: str | int | None = None
    prompt_id: str | int | None = None
    prompt: str | None = None
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    group: str | int | None = None
    gold: str | int | float | None = None
    prompt_tokens: int | None = None


def read_prompts(path: str | os.PathLike[str], *, form: Form = "auto") -> PromptFile:
    """Read the prompts of a file.

    Parameters
    ----------
    path : str or path
        JSON Lines, plain text, or a sample log (JSON Lines or Parquet); ``-`` is standard input.
    form : {"auto", "jsonl", "text"}
        How lines are read; ``"auto"`` takes a file whose first line starts with ``{`` for JSON Lines.

    Raises
    ------
    InvalidPromptError
        When the file cannot be read, holds no prompt, or a line is not one; the message names file and line.
    InvalidLogError
        When the file is a sample log with a fault.
    """
    name = os.fspath(path)
    if name == "-":
        return parse_prompts(sys.stdin.buffer.read(), name="standard input", form=form)
    try:
        content = Path(path).read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidPromptError(
            f"{name}: cannot read the file ({error}); check the path, or write it again"
        ) from error
    if form == "auto" and (content.startswith(_PARQUET) or _is_log(content)):
        from difficulty.log.sample_log import SampleLog

        return PromptFile(SampleLog.read(path).prompts, ())
    return parse_prompts(content, name=name, form=form)


def parse_prompts(content: bytes, *, name: str, form: Form = "auto") -> PromptFile:
    """Parse prompts, one per line; blank lines are skipped.

    Parameters
    ----------
    content : bytes
        UTF-8.
    name : str
        Where it came from, for messages.
    form : {"auto", "jsonl", "text"}
        See `read_prompts`.

    Raises
    ------
    InvalidPromptError
        When there is no prompt, or a line is not one.

    Examples
    --------
    >>> found = parse_prompts(b'{"id": "a", "prompt": "1 + 1?", "level": 2}', name="example")
    >>> found.prompts[0].text, found.unused_fields
    ('1 + 1?', ('level',))
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()]
    if not lines:
        raise InvalidPromptError(f"{name}: there is no prompt in it; give one prompt per line")
    unused: set[str] = set()
    if form == "text" or (form == "auto" and not lines[0][1].lstrip().startswith(b"{")):
        prompts = [Prompt(text=_decode(line, name, number).strip()) for number, line in lines]
        return PromptFile(_distinct(prompts, given=set()), ())
    prompts, given = [], set()
    for number, line in lines:
        record, fields = _record(line, name, number)
        unused |= fields - set(_Record.__struct_fields__)
        try:
            prompt = _prompt(record)
        except InvalidPromptError as error:
            raise InvalidPromptError(f"{name}, line {number}: {error}") from error
        if any(getattr(record, field) is not None for field in _ID):
            if prompt.id in given:
                raise InvalidPromptError(
                    f"{name}, line {number}: the id {prompt.id!r} is given twice; ids must be unique"
                )
            given.add(prompt.id)
        prompts.append(prompt)
    return PromptFile(_distinct(prompts, given=given), tuple(sorted(unused)))


def _is_log(content: bytes) -> bool:
    head = content[:4096].lstrip()
    return head.startswith(b"{") and b'"sample_log"' in head.split(b"\n", 1)[0]


def _decode(line: bytes, name: str, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InvalidPromptError(
            f"{name}, line {number}: not UTF-8 ({error}); save the file as UTF-8"
        ) from error


def _record(line: bytes, name: str, number: int) -> tuple[_Record, set[str]]:
    try:
        raw = msgspec.json.decode(line)
        if not isinstance(raw, dict):
            raise InvalidPromptError(
                f'{name}, line {number}: must be a JSON object such as {{"prompt": "1 + 1?"}}; for plain '
                "text give --format text"
            )
        return msgspec.convert(raw, _Record), set(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidPromptError(
            f"{name}, line {number}: {error}; mend the line, or give --format text"
        ) from error


def _prompt(record: _Record) -> Prompt:
    """Return the prompt of a record that has exactly one of `_CONTENT` and at most one of `_ID`."""
    content = [field for field in _CONTENT if getattr(record, field) is not None]
    ids = [str(getattr(record, field)) for field in _ID if getattr(record, field) is not None]
    if len(content) != 1 or len(ids) > 1:
        raise InvalidPromptError(
            f"give one of {', '.join(_CONTENT)} and at most one of {' and '.join(_ID)}; got "
            f"{', '.join(content) or 'no content'}"
        )
    messages: Iterable[Mapping[str, object]] = record.messages or ()
    return Prompt(
        id=ids[0] if ids else "",
        text=record.prompt if record.prompt is not None else record.text,
        messages=tuple(messages),
        group="" if record.group is None else str(record.group),
        gold=None if record.gold is None else str(record.gold),
        prompt_tokens=record.prompt_tokens,
    )


def _distinct(prompts: Iterable[Prompt], *, given: set[str]) -> tuple[Prompt, ...]:
    """Number repeated prompts without an id of their own (``#2``, ``#3`` …); copies share a group."""
    copies: dict[str, int] = {}
    result = []
    for prompt in prompts:
        if prompt.id in given:
            result.append(prompt)
            continue
        copy = copies[prompt.id] = copies.get(prompt.id, 0) + 1
        result.append(prompt if copy == 1 else replace(prompt, id=f"{prompt.id}#{copy}", group=prompt.group))
    return tuple(result)
