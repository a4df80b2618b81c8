"""Read prompts from files: JSON objects or plain text, one per line, tables, or the prompts of a sample log.

It assumes prompts that fit in memory, a million at most. Encodings, packing and sizes of files are left to
`difficulty.files.lines`, checking that a prompt is one to `difficulty.prompt`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from difficulty.errors import InvalidFileError, InvalidPromptError
from difficulty.files.lines import decode_text, numbered_lines, numbered_lines_of
from difficulty.log.wire import MAX_COUNT
from difficulty.prompt import Prompt
from planner.files.tables import TableRecord, as_prompt_record, is_parquet, prompt_table, table_of_lines

Form: TypeAlias = Literal["auto", "jsonl", "text"]

MAX_PROMPTS: Final = 1_000_000  # of one file, which is held in memory: some 400 MB
MAX_CONTENT_BYTES: Final = 1024 * 1024 * 1024

_STDIN: Final = "standard input"
_ARRAY: Final = re.compile(rb"\s*\[\s*(?:$|[{\"])")
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
    prompt_tokens: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None = None


def read_prompts(path: str | os.PathLike[str], *, form: Form = "auto") -> PromptFile:
    """Read the prompts of a file.

    Parameters
    ----------
    path : str or path
        JSON Lines, plain text, a table (CSV or TSV with a header, or Parquet), or a sample log; ``-`` is
        standard input.
    form : {"auto", "jsonl", "text"}
        How lines are read; ``"auto"`` takes a file whose first line starts with ``{`` for JSON Lines.

    Raises
    ------
    InvalidPromptError
        When the file cannot be read, holds no prompt, or a line is not one; the message names file and line.
    InvalidLogError
        When the file is a sample log with a fault.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "prompts.jsonl"
    >>> _ = path.write_text('{"id": "a", "prompt": "1 + 1?", "level": 2}')
    >>> found = read_prompts(path)
    >>> found.prompts[0].text, found.unused_fields
    ('1 + 1?', ('level',))
    """
    name = os.fspath(path)
    if name == "-":
        lines = _bounded(numbered_lines_of(_stdin(), name=_STDIN), _STDIN)
        table = table_of_lines(lines, name=_STDIN, most=MAX_PROMPTS) if form == "auto" else None
        return _prompts_of(lines, name=_STDIN, form=form) if table is None else _of_table(table, _STDIN)
    if form == "auto":
        table = prompt_table(Path(path), most=MAX_PROMPTS)
        if table is not None:
            return _of_table(table, name)
        if Path(path).is_file() and is_parquet(Path(path)):
            return _of_log(path)
    lines = prompt_lines(Path(path))
    if form == "auto" and _is_log(lines[0][1]):
        return _of_log(path)
    return _prompts_of(lines, name=name, form=form)


def prompt_lines(path: Path) -> list[tuple[int, bytes]]:
    """Return the numbered lines of a file that may hold prompts; there is at least one.

    Raises
    ------
    InvalidPromptError
        When the file cannot be read, has no line, or more than `MAX_PROMPTS` of them.
    """
    return _bounded(numbered_lines(path), str(path))


def _prompts_of(lines: list[tuple[int, bytes]], *, name: str, form: Form) -> PromptFile:
    """Read prompts from numbered lines."""
    unused: set[str] = set()
    if form == "auto" and _ARRAY.match(lines[0][1]):
        raise InvalidPromptError(
            f"{name}: this is a JSON array; write one object per line (jq -c '.[]'), or give --format text"
        )
    if form == "text" or (form == "auto" and not lines[0][1].lstrip().startswith(b"{")):
        texts = [_decode(line, name, number).strip() for number, line in lines]
        if not any(texts):  # characters that are blank without being bytes that are
            raise _no_prompt(name)
        return PromptFile(_distinct([Prompt(text=text) for text in texts if text], given=set()), ())

    def objects() -> Iterator[TableRecord]:
        for number, line in lines:
            cells = json_object(line, name, number)
            unused.update(cells)
            if isinstance(cells.get("prompt"), list) and "messages" not in cells:  # as trainers write them
                cells["messages"] = cells.pop("prompt")
            yield TableRecord(number, cells)

    prompts = prompts_of(objects(), name, strict=True)
    return PromptFile(prompts, tuple(sorted(unused - set(_Record.__struct_fields__))))


def _of_table(table: list[TableRecord], name: str) -> PromptFile:
    columns = list(dict.fromkeys(column for record in table for column in record.cells))
    unused: set[str] = set()
    records = []
    for number, cells in table:
        found, left = as_prompt_record(cells, columns)
        unused |= left
        records.append(TableRecord(number, found))
    if not records:
        raise _no_prompt(name)
    return PromptFile(prompts_of(records, name), tuple(sorted(unused)))


def prompts_of(records: Iterable[TableRecord], name: str, *, strict: bool = False) -> tuple[Prompt, ...]:
    """Return the prompts of numbered records whose cells are the fields of a prompt.

    Parameters
    ----------
    records : iterable of TableRecord
        One for each prompt, with the line that an error names.
    name : str
        The file, for errors.
    strict : bool
        Take no text for a number.

    Raises
    ------
    InvalidPromptError
        When a record is not a prompt, or an id is given twice.
    """
    prompts: list[Prompt] = []
    given: set[str] = set()
    for number, cells in records:
        where = f"{name}, line {number}"
        try:
            record = msgspec.convert(cells, _Record, strict=strict)
            prompt = _prompt(record)
        except msgspec.ValidationError as error:
            raise InvalidPromptError(f"{where}: {error}; mend the line") from error
        except InvalidPromptError as error:
            raise InvalidPromptError(f"{where}: {error}") from error
        if any(getattr(record, field) is not None for field in _ID):
            if prompt.id in given:
                raise InvalidPromptError(
                    f"{where}: the id {prompt.id!r} is given twice; ids must be unique (a table of samples "
                    "has several rows a prompt: planner import reads it)"
                )
            given.add(prompt.id)
        prompts.append(prompt)
    return _distinct(prompts, given=given)


def _bounded(lines: Iterator[tuple[int, bytes]], name: str) -> list[tuple[int, bytes]]:
    """Collect lines within bounds."""
    kept: list[tuple[int, bytes]] = []
    n_bytes = 0
    try:
        for number, line in lines:
            n_bytes += len(line)
            if len(kept) == MAX_PROMPTS or n_bytes > MAX_CONTENT_BYTES:
                raise InvalidPromptError(
                    f"{name}: a file may have {MAX_PROMPTS:,} prompts of {MAX_CONTENT_BYTES >> 20:,} MiB in "
                    "all at most; split it"
                )
            kept.append((number, line))
    except InvalidFileError as error:
        raise InvalidPromptError(str(error)) from error
    if not kept:
        raise _no_prompt(name)
    return kept


def _no_prompt(name: str) -> InvalidPromptError:
    return InvalidPromptError(f"{name}: there is no prompt in it; give one prompt per line")


def _stdin() -> BufferedReader[Any]:
    stream: Any = sys.stdin.buffer
    return stream if isinstance(stream, BufferedReader) else BufferedReader(BytesIO(stream.read()))


def _of_log(path: str | os.PathLike[str]) -> PromptFile:
    from difficulty.log.sample_log import SampleLog

    return PromptFile(SampleLog.read(path).prompts, ())


def _is_log(line: bytes) -> bool:
    head = line[:4096].lstrip()
    return head.startswith(b"{") and b'"sample_log"' in head


def _decode(line: bytes, name: str, number: int) -> str:
    try:
        return decode_text(line, path=name, line=number)
    except InvalidFileError as error:
        raise InvalidPromptError(str(error)) from error


def json_object(line: bytes, name: str, number: int) -> dict[str, Any]:
    """Return the JSON object of a line; an error says which line is none."""
    text = _decode(line, name, number)
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidPromptError(
            f'{name}, line {number}: must be a JSON object such as {{"prompt": "1 + 1?"}} ({error}); mend '
            "the line, or for plain text give --format text"
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
    taken = set(given)
    copies: dict[str, int] = {}
    result = []
    for prompt in prompts:
        if prompt.id in given:
            result.append(prompt)
            continue
        copy = copies.get(prompt.id, 0) + 1
        name = prompt.id if copy == 1 else f"{prompt.id}#{copy}"
        while name in taken:
            copy += 1
            name = f"{prompt.id}#{copy}"
        copies[prompt.id] = copy
        taken.add(name)
        result.append(prompt if name == prompt.id else replace(prompt, id=name, group=prompt.group))
    return tuple(result)
