"""Rows of JSON documents: a list of objects, one such list in an object, columns, or samples by their prompt.

It assumes a document that fits in memory. JSON Lines are read by `difficulty.importers.tables`; what columns
mean is left to `difficulty.log.tables`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difficulty.errors import InvalidLogError
from difficulty.importers.shared import load_document
from difficulty.log.tables.cells import Row
from difficulty.log.tables.choice import choose_columns


def json_rows(path: Path) -> list[Row]:
    """Return the objects of a document: of a list, or of the one list in an object.

    Raises
    ------
    InvalidFileError
        When the file is no text.
    InvalidLogError
        When it is no JSON, or no such document.
    """
    found = load_document(path)
    records: Any = found
    if isinstance(found, dict):
        lists = [value for value in found.values() if _are_objects(value)]
        named = [found[name] for name in ("results", "rows", "data") if _are_objects(found.get(name))]
        records = (named or lists)[0] if named or len(lists) == 1 else _of_columns(found) or [found]
    if not _are_objects(records):
        raise InvalidLogError(
            "the document must be a list of objects, or an object with one such list", path=str(path)
        )
    return [Row(place, record) for place, record in enumerate(records, start=1)]


def _of_columns(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of an object that holds columns or rows by name, as pandas writes; else none."""
    names, data = found.get("columns"), found.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(map(str, names), row, strict=False)) for row in data]
    for inner in (found, *found.values()):  # lists of samples by the id of their prompt
        if isinstance(inner, dict) and inner and all(map(_are_objects, inner.values())):
            return [{"prompt_id": key, **sample} for key, samples in inner.items() for sample in samples]
    fields = choose_columns(found).columns
    told_by = found.get(fields.get("prompt_id", fields.get("prompt", "")))
    values = list(found.values())
    if all(isinstance(value, dict) for value in values) and len(set(map(tuple, values))) == 1:
        if len(fields) > 1:
            return [{name: column[key] for name, column in found.items()} for key in values[0]]
        return [{"prompt_id": key, **row} for key, row in found.items()]
    sizes = {len(value) if isinstance(value, list) else -1 for value in values}
    if isinstance(told_by, list) and len(sizes) == 1 and not _are_objects(told_by):
        return [dict(zip(found, row, strict=True)) for row in zip(*values, strict=True)]
    return []


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
