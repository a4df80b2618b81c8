"""Make text that others wrote safe to print: what steers a terminal is written out instead of sent.

Names of generators come from logs and bundles of strangers. An escape sequence in one can clear a screen, set
a window's title or hide what follows; marks of writing direction turn a line around. HTML is made here with
everything escaped; other markup (Markdown, rich) is left to whoever writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# Control characters but tab and line feed, marks and overrides of writing direction, other line ends, the
# byte order mark, and halves of surrogate pairs, which no encoding can write.
_STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return text with everything that steers a terminal written out.

    Examples
    --------
    >>> printable("tiny\\x1b[2J")
    'tiny\\\\x1b[2J'
    """
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_json(document: str) -> str:
    """Return JSON, which may hold such characters in its strings only, with the same meaning.

    Examples
    --------
    >>> printable_json('{"name": "a\\x9b2J"}')
    '{"name": "a\\\\u009b2J"}'
    """
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def html_facts(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Return HTML for a notebook: a line, and a table of names and values, all of it escaped.

    Examples
    --------
    >>> html_facts("a < b", [("x", "1 & 2")])
    '<p>a &lt; b</p><table><tr><th>x</th><td>1 &amp; 2</td></tr></table>'
    """
    rows = "".join(f"<tr><th>{_html(name)}</th><td>{_html(value)}</td></tr>" for name, value in facts)
    return f"<p>{_html(title)}</p><table>{rows}</table>"


def _html(text: str) -> str:
    from html import escape  # not at module level: it loads tables of entities that printing does not need

    return escape(printable(text)).replace("\n", "<br>")
