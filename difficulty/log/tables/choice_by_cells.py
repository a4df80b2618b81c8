"""Choose the columns of a table by their names, and take back guesses that its cells contradict.

It assumes rows in memory. Names alone are looked at by `difficulty.log.tables.choice`; what the cells of the
chosen columns hold is read by `difficulty.log.tables.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from difficulty.errors import InvalidLogError
from difficulty.log.tables.cells import Row, as_list, as_text, clear_verdicts, is_missing, is_records, plain
from difficulty.log.tables.choice import FAMILY, SAMPLE_FIELDS, ColumnChoice, choose_columns
from difficulty.log.tables.habits import is_own
from difficulty.log.tables.wide import opened_cells


class TableColumns(NamedTuple):
    """The columns of a table, and the fields of the objects in its list of samples, where it has one."""

    choice: ColumnChoice
    nested: ColumnChoice | None


def choose_by_cells(rows: Sequence[Row], given: Mapping[str, str] | None) -> TableColumns:
    """Choose the columns of rows.

    Parameters
    ----------
    rows : sequence of Row
    given : mapping of str to str, optional
        Column of each field, where its name does not say it.

    Raises
    ------
    InvalidInputError
        When a column that is named is not there.
    InvalidLogError
        When the table tells nothing about samples, or its list of samples holds something else.
    """
    names = dict.fromkeys(name for row in rows for name in row.cells)
    inside = _names_inside(rows)
    outside = {f: c for f, c in (given or {}).items() if c in names or c not in inside}
    choice = _looked_at(choose_columns(names, outside), rows)
    choice = choice._replace(unused=tuple(name for name in names if name in choice.unused))
    nested = _nested_choice(choice, given, rows)
    has = {*choice.columns, *(nested.columns if nested else ())}
    there = ", ".join(map(repr, list(names)[:30])) + (" …" if len(names) > 30 else "")
    if not has & {"prompt_id", "prompt", "messages"}:
        raise InvalidLogError(
            "no column tells the prompts apart; name the one with their ids or their texts (--id, --prompt)"
            f"; there are: {there}"
        )
    if not has & {"answer", "correct", "score", "reward", "text", "n_correct"}:
        raise InvalidLogError(
            "no column says what came of a sample; name the one with answers, verdicts or scores (--answer, "
            f"--correct, --score, --reward); there are: {there}"
        )
    return TableColumns(choice, nested)


def _looked_at(choice: ColumnChoice, rows: Sequence[Row]) -> ColumnChoice:
    """Take back guesses that the cells contradict."""
    columns = choice.columns
    if "samples" in choice.guessed and not _first(rows, columns["samples"], is_records):
        becomes = "text" if "text" not in columns else None
        choice = choice.without("samples", becomes=becomes)
        columns = choice.columns
    if not columns.keys() & {"correct", "n_correct"}:
        named = [
            name for name in choice.unused if len(clear_verdicts(row.cells.get(name) for row in rows)) == 2
        ]
        if len(named) == 1:  # of two nobody knows which is meant
            choice = choice.taking("correct", named[0])
            columns = choice.columns
    judged = is_own(choice) or {"correct", "reward"} & columns.keys()
    if "score" in choice.guessed and not judged and _are_flags(rows, columns["score"]):
        choice = choice.without(
            "score", becomes="correct"
        )  # only 0 and 1: what came, and no score to pick by
        columns = choice.columns
    listed = [
        field
        for field in SAMPLE_FIELDS
        if field in columns
        and field not in ("score", "step_scores")  # of the steps of one sample
        and _first(rows, columns[field], lambda cell: isinstance(cell, list))
    ]
    lists = [*listed, "samples"] if "samples" in columns else listed
    if any(_holds_several(row, columns[field]) for field in lists for row in rows):
        for field in ("output_tokens", "correct", "reward"):  # of one of them, or of all: nobody knows
            if field in choice.guessed and field not in listed:
                choice = choice.without(field)
        columns = choice.columns
    if listed and "answer" in choice.guessed and "answer" not in listed:
        # One answer to many samples is the right one, or that of all; a solution is the right one explained.
        worked_out = "gold" in choice.guessed and choice.columns["gold"] != choice.columns["answer"]
        if worked_out and "solution" in choice.columns["gold"].lower():
            choice = choice.without("gold")
        choice = choice.without("answer", becomes=None if "gold" in choice.columns else "gold")
        columns = choice.columns
    content = columns.get("prompt")
    if "prompt_id" in choice.guessed and content is not None:
        ids = [as_text(plain(row.cells.get(columns["prompt_id"]))) for row in rows]
        texts = {str(row.cells.get(content)) for row in rows}
        if len(set(ids)) == len(ids) and len(texts) < len(ids):  # it numbers the rows
            choice = choice.without("prompt_id")
    if FAMILY in choice.guessed and ("meta" in columns or not _are_families(rows, choice)):
        choice = choice.without(FAMILY)
    return choice


def _are_families(rows: Sequence[Row], choice: ColumnChoice) -> bool:
    """Say whether a column gives each prompt one name, and several prompts the same of several names."""
    told_by = next((field for field in ("prompt_id", "prompt", "messages") if field in choice.columns), None)
    if told_by is None:
        return False
    found: dict[str, set[str | None]] = {}
    for row in rows:
        prompt, name = (plain(row.cells.get(choice.columns[field])) for field in (told_by, FAMILY))
        found.setdefault(str(prompt), set()).add(as_text(name))
    names = {name for of_prompt in found.values() for name in of_prompt}
    return max(map(len, found.values())) == 1 and 1 < len(names) <= len(found) / 2


def _holds_several(row: Row, column: str) -> bool:
    cell = as_list(plain(row.cells.get(column)))
    return isinstance(cell, list) and len(cell) > 1


def _are_flags(rows: Sequence[Row], column: str) -> bool:
    """Say whether a column holds nothing but true and false, 0 and 1; lists of numbers are those of steps."""
    cells = [as_list(plain(row.cells.get(column))) for row in rows]
    held = [cell for cell in cells if not is_missing(cell)]
    flags = [
        all(isinstance(one, bool) or one is None for one in cell)
        if isinstance(cell, list)
        else str(cell).strip().lower() in ("0", "1", "0.0", "1.0", "true", "false")
        for cell in held
    ]
    return bool(flags) and all(flags)


def _names_inside(rows: Sequence[Row]) -> set[str]:
    """Return the names of all fields of objects that stand in lists inside the rows."""
    cells = (plain(cell) for row in rows for cell in row.cells.values())
    return {
        str(name)
        for cell in cells
        if is_records(cell)
        for one in cell
        for name in opened_cells(one, nested=True)
    }


def _nested_choice(
    choice: ColumnChoice, given: Mapping[str, str] | None, rows: Sequence[Row]
) -> ColumnChoice | None:
    column = choice.columns.get("samples")
    if column is None:
        return None
    names = [name for row in rows for sample in samples_in(row, column) for name in sample]
    return choose_columns(dict.fromkeys(names), given, nested=True)


def samples_in(row: Row, column: str) -> list[Mapping[str, Any]]:
    """Return the objects that a cell lists, one for each sample.

    Raises
    ------
    InvalidLogError
        When the cell holds something else.
    """
    cell = as_list(plain(row.cells.get(column)))
    if is_missing(cell) or cell == []:
        return []
    if not is_records(cell):
        raise InvalidLogError(f"{column!r} must hold a list of objects, one for each sample", line=row.place)
    return [opened_cells(one, nested=True) for one in cell]


def _first(rows: Sequence[Row], column: str, holds: Callable[[Any], bool]) -> bool:
    """Say whether the first cell of a column that holds anything is of a kind."""
    cells = (plain(row.cells.get(column)) for row in rows)
    return next((holds(as_list(cell)) for cell in cells if not is_missing(cell)), False)
