"""The console of tables and sentences: names that others wrote are shown as they are, and steer nothing.

No text is read as markup or emoji codes, and what would steer a terminal is written out, wherever it stands
in a table. It assumes that style is given as style, never inside a text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import IO, Any, Final

from rich.console import Console, ConsoleOptions
from rich.text import Text

from difficulty.printable import printable

_TOGETHER: Final = re.compile(r"\[[^\[\]]{1,24}\]|\d %")
_UNBROKEN: Final = "\u00a0"


class Paragraph:
    """A text that is broken between words, and never inside an interval or before a per cent sign."""

    def __init__(self, text: str, *, style: str = "") -> None:
        self._text, self._style = printable(text), style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines, as wide as the console."""
        bound = _TOGETHER.sub(lambda found: found.group().replace(" ", _UNBROKEN), self._text)
        lines = textwrap.wrap(bound, options.max_width, break_long_words=False, break_on_hyphens=False)
        yield Text("\n".join(lines).replace(_UNBROKEN, " "), style=self._style, no_wrap=True)


class PlainConsole(Console):
    """A console of rich that shows every text as it is; `stderr` chooses standard error, `file` another."""

    def __init__(
        self, *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
    ) -> None:
        super().__init__(
            stderr=stderr, file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as rich renders it, without what steers a terminal."""
        return super().render_str(printable(text), **options)
