"""Write Markdown, with names that others chose as text, never as markup, HTML or the end of a cell.

Labels of figures are here too. It assumes one line per name; what steers a terminal is left to
`difficulty.printable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from difficulty.printable import printable

Table: TypeAlias = Mapping[str, Any]
"""A table of a report, or one of its records."""
Rows: TypeAlias = Sequence[Table]
Cell: TypeAlias = str | Callable[[Table], str]
"""What a column says of a record: a format of its fields, or a function of it."""
_MARKUP: Final = re.compile(r"([\\`*\[\]|~])")


def as_text(name: str) -> str:
    """Return Markdown that shows a name as it is, on one line.

    Examples
    --------
    >>> as_text("qwen_1.5b/cot"), as_text("<img src=x>|[a](b)")
    ('qwen_1.5b/cot', '&lt;img src=x&gt;\\\\|\\\\[a\\\\](b)')
    """
    line = " ".join(name.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return printable(_MARKUP.sub(r"\\\1", line))


def document(*parts: str) -> str:
    """Return headings, paragraphs and tables with a blank line between them; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Examples
    --------
    >>> print(table(["n", "value"], [["1", "0.5"]]))
    | n | value |
    |---|---|
    | 1 | 0.5 |
    """
    lines = [header, *rows]
    first, *others = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([first, "|" + "---|" * len(header), *others])


def table_of(records: Iterable[Table], columns: Mapping[str, Cell]) -> str:
    """Return a table of records, one row each, from what each column says of them.

    Examples
    --------
    >>> print(table_of([{"n": 4, "cost": 2.5}], {"samples": "{n}", "cost": "{cost:.2f}"}))
    | samples | cost |
    |---|---|
    | 4 | 2.50 |
    """
    rows = [
        [cell.format_map(record) if isinstance(cell, str) else cell(record) for cell in columns.values()]
        for record in records
    ]
    return table(list(columns), rows)


def figure_label(name: str) -> str:
    """Return a name as a label of Matplotlib, which would read what stands between dollars as mathematics."""
    return printable(" ".join(name.split())).replace("$", r"\$")
