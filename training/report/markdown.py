"""Write Markdown, with names that others chose as text, never as markup, HTML or the end of a cell.

Labels of figures are here too. It assumes one line per name; what steers a terminal is left to
`difficulty.printable`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from difficulty.printable import printable

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


def figure_label(name: str) -> str:
    """Return a name as a label of Matplotlib, which would read what stands between dollars as mathematics."""
    return printable(" ".join(name.split())).replace("$", r"\$")
