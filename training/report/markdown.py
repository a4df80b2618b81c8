"""Write names that others chose into Markdown: as text, never as markup, HTML or the end of a cell.

Labels of figures are here too. It assumes one line per name; what steers a terminal is left to
`difficulty.printable`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from difficulty.printable import printable

__all__ = ["as_text", "figure_label", "table_lines"]

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


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def figure_label(name: str) -> str:
    """Return a name as a label of Matplotlib, which would read what stands between dollars as mathematics."""
    return printable(" ".join(name.split())).replace("$", r"\$")
