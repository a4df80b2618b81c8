"""Make one row per generator, or per sample, of tables that have a column for each of them.

It assumes that common names say what a column is. Names are taken apart into a field and the rest:
``gpt-4o_correct``, ``answer_0``; a table whose other columns all hold verdicts has a generator in each.
Objects in cells, which JSON has, are opened likewise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidLogError
from difficulty.log.tables.cells import Row, as_text, as_verdict, clear_verdicts, is_missing, plain
from difficulty.log.tables.choice import choose_columns

_TELLING: Final = frozenset(("answer", "correct", "score", "reward", "text", "samples"))
_OPENED: Final = frozenset(("samples", "text", "correct", "score", "reward", "output_tokens"))
_QUESTIONS: Final = ("prompt", "question", "problem", "text")  # in the object that stands for a prompt
_OF_MESSAGES: Final = frozenset(
    ("role", "content", "name", "refusal", "tool_calls", "function_call", "annotations", "audio", "reasoning")
)
_BREAK: Final = re.compile(r"[\s_\-.:/|]+")
_FEATURES: Final = frozenset(("seed", "sample", "epoch", "run", "repeat", "attempt", "level", "fold"))
# What numbers the samples of a generator, which may stand before it.
_NUMBERED: Final = re.compile(
    r"(?:^|[\s_\-.:/|]+)(?:run|sample|attempt|try|trial|seed|rep|repeat|epoch|rollout|completion|[srk])"
    r"[\s_\-]?\d+|^\d+|#\d+$",
    re.IGNORECASE,
)
_LAST: Final = re.compile(r"[\s_\-.]+(\d+)$")


class LongTable(NamedTuple):
    """Rows of a long table.

    Attributes
    ----------
    rows : list of Row
        With the place of the row that they come from.
    parts : tuple of str
        What had columns of its own: generators, or numbers of samples; empty where nothing had.
    given : mapping of str to str
        The columns that the caller named, by field, as they are called now.
    """

    rows: Sequence[Row]
    parts: tuple[str, ...]
    given: Mapping[str, str]


def opened(rows: Sequence[Row]) -> list[Row]:
    """Return rows without objects in cells: their fields become columns, ``usage.completion_tokens``.

    Objects with a field for each generator, ``{"responses": {"small": …, "large": …}}``, become rows.
    Answers, parameters and messages may be objects, and stay.

    Examples
    --------
    >>> cells = {"id": 1, "usage": {"completion_tokens": 7}, "correct": {"small": 0, "large": 1}}
    >>> [row.cells for row in opened([Row(1, cells)])]  # doctest: +NORMALIZE_WHITESPACE
    [{'id': 1, 'usage.completion_tokens': 7, 'correct': 0, 'generator': 'small'},
     {'id': 1, 'usage.completion_tokens': 7, 'correct': 1, 'generator': 'large'}]
    """
    found: list[Row] = []
    for row in rows:
        objects = {name: cell for name, cell in row.cells.items() if isinstance(cell, Mapping) and cell}
        if not objects:
            found.append(row)
            continue
        field_of = {column: field for field, column in _fields(tuple(row.cells))}
        generators = () if "generator" in field_of.values() else _generators_of(objects, field_of)
        own = {name: cell for name, cell in objects.items() if generators and set(cell) == set(generators)}
        shared = opened_cells({name: cell for name, cell in row.cells.items() if name not in own})
        for generator in generators:
            mine = {name: cell[generator] for name, cell in own.items()}
            found.append(row._replace(cells={**shared, **mine, "generator": generator}))
        if not generators:
            found.append(row._replace(cells=shared))
    return found


def opened_cells(cells: Mapping[str, Any], *, nested: bool = False) -> Mapping[str, Any]:
    """Return the cells of a row, or of one sample inside it, without objects, at any depth.

    Of an object that stands for a prompt its text is the prompt, and of one that holds a completion beside
    its usage the completion.

    Examples
    --------
    >>> opened_cells({"problem": {"id": 7, "text": "2 + 2?"}, "run": {"usage": {"tokens": 9}}})
    {'problem.id': 7, 'problem': '2 + 2?', 'run.usage.tokens': 9}
    """
    if not any(isinstance(cell, Mapping) for cell in cells.values()):
        return cells
    field_of = {column: field for field, column in _fields(tuple(cells), nested)}
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        field = field_of.get(name)
        words = _words(field, cell) if isinstance(cell, Mapping) else None
        if isinstance(cell, Mapping) and cell and (words or _is_opened(field, cell)):
            inside = {f"{name}.{inner}": value for inner, value in cell.items() if inner != words}
            found |= opened_cells(inside, nested=nested)
            if words:
                found[name] = cell[words]
        else:
            found[name] = cell
    return found


def _is_opened(field: str | None, cell: Mapping[str, Any]) -> bool:
    return field in (None, *_OPENED) and not _is_message(cell)


def _words(field: str | None, cell: Mapping[str, Any]) -> str | None:
    """Return the field of an object that holds the text of a prompt, where one alone does, or a completion.

    A completion that is a message and no more stays.
    """
    if field == "text":
        return "content" if isinstance(cell.get("content"), str) and cell.keys() - _OF_MESSAGES else None
    texts = [name for name in _QUESTIONS if isinstance(cell.get(name), str)] if field == "prompt" else []
    return texts[0] if len(texts) == 1 else None


@lru_cache(maxsize=64)
def _fields(names: tuple[str, ...], nested: bool = False) -> tuple[tuple[str, str], ...]:
    return tuple(choose_columns(names, nested=nested).columns.items())


def _generators_of(objects: Mapping[str, Mapping[str, Any]], field_of: Mapping[str, str]) -> tuple[str, ...]:
    """Return the generators whose samples, verdicts or texts stand in objects, where some do."""
    for name, cell in objects.items():
        if field_of.get(name) in _OPENED and not _is_message(cell) and not _fields(tuple(map(str, cell))):
            return tuple(map(str, cell))
    return ()


def _is_message(cell: Mapping[str, Any]) -> bool:
    return "content" in cell or "message" in cell


def as_long(rows: Sequence[Row], given: Mapping[str, str] | None = None) -> LongTable:
    """Return a wide table as a long one, and any other as it is.

    Parameters
    ----------
    rows : sequence of Row
    given : mapping of str to str, optional
        Column of each field, where its name does not say it; or what the columns of that field share of
        their names.

    Examples
    --------
    >>> wide = [Row(1, {"id": "a", "big_correct": 1, "big_tokens": 30, "small_correct": 0})]
    >>> [row.cells for row in as_long(wide).rows]  # doctest: +NORMALIZE_WHITESPACE
    [{'id': 'a', 'correct': 1, 'output_tokens': 30, 'generator': 'big'},
     {'id': 'a', 'correct': 0, 'generator': 'small'}]
    >>> as_long([Row(1, {"id": "a", "big": 1, "small": 0})]).parts
    ('big', 'small')
    """
    names = list(dict.fromkeys(name for row in rows for name in row.cells))
    given = given or {}
    known = {field: column for field, column in given.items() if column in names}
    chosen = choose_columns(names, known).columns
    if chosen.keys() & {*_TELLING, "n_correct", "generator"} - {"answer"} or "answer" in known:
        return LongTable(rows, (), given)
    free = [name for name in names if name not in chosen.values()]
    marks = {name: clear_verdicts(row.cells.get(name) for row in rows) for name in free}
    ends = [_BREAK.split(name)[-1] for name in free if marks[name]]
    both = len(frozenset().union(*marks.values())) == 2
    shared = {ends[0]: "correct"} if both and len(set(ends)) == 1 < len(ends) else {}
    shared |= {column: field for field, column in given.items() if field not in known}
    parts = _parts_of_names(free, shared) or _parts_of_verdicts(rows, free, chosen)
    if len(parts) < 2:
        return LongTable(rows, (), given)
    renamed = {"gold": chosen["answer"]} if "answer" in chosen and "gold" not in chosen else {}
    used = {column for columns in (*parts.values(), renamed) for column in columns.values()}
    long: list[Row] = []
    for row in rows:
        rest = {name: cell for name, cell in row.cells.items() if name not in used}
        rest |= {field: row.cells.get(column) for field, column in renamed.items()}
        for part, columns in parts.items():
            cells = {field: row.cells.get(column) for field, column in columns.items()}
            if any(not is_missing(plain(cell)) for cell in cells.values()):
                generator = _NUMBERED.sub("", part)
                named = {"generator": generator} if generator else {}
                long.append(row._replace(cells=rest | cells | named))
    found = {field for columns in parts.values() for field in columns}
    given = {field: field if field in found else column for field, column in given.items()}
    return LongTable(long, tuple(part.replace("#", " ") for part in parts), given)


def _parts_of_names(names: Sequence[str], shared: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the columns of each part, by field, where parts have columns that tell something; fields are
    told by common names, and by what `shared` says that names share.
    """
    parts: dict[str, dict[str, str]] = {}
    for name in names:
        number = _LAST.search(name)
        for whole, mark in ((name, ""), *([(name[: number.start()], f"#{number[1]}")] if number else ())):
            for match in _BREAK.finditer(whole):
                before, after = whole[: match.start()], whole[match.end() :]
                for part, rest in ((before, after), (after, before)):
                    fields = ((shared[rest], rest),) if rest in shared else _fields((rest,), True)
                    for field, _ in fields if part and rest else ():
                        parts.setdefault(part + mark, {}).setdefault(field, name)
    taken: set[str] = set()
    found: dict[str, dict[str, str]] = {}
    for part in sorted(parts, key=len):  # the longest field of a name goes first
        own = {field: column for field, column in parts[part].items() if column not in taken}
        if own.keys() & _TELLING:
            found[part] = own
            taken.update(own.values())
    return {part: found[part] for part in parts if part in found}


def _parts_of_verdicts(
    rows: Sequence[Row], names: Sequence[str], chosen: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return a part for each other column, where all of them hold verdicts and no prompt has two rows."""
    told_by = chosen.get("prompt_id", chosen.get("prompt"))
    if told_by is None or len({as_text(plain(row.cells.get(told_by))) for row in rows}) < len(rows):
        return {}
    others = [
        name
        for name in names
        if (_BREAK.split(name.strip().lower())[0] not in _FEATURES or _NUMBERED.fullmatch(name))
        and any(not is_missing(plain(row.cells.get(name))) for row in rows)
    ]
    if all(_is_verdict(plain(row.cells.get(name))) for name in others for row in rows):
        return {name: {"correct": name} for name in others}
    return {}


def _is_verdict(cell: Any) -> bool:
    try:
        as_verdict(cell, "a verdict")
    except InvalidLogError:
        return False
    return not isinstance(cell, (list, Mapping))
