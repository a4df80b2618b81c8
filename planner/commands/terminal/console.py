"""The console of tables and sentences: names that others wrote are shown as they are, and steer nothing.

No text is read as markup or emoji codes, and what would steer a terminal is written out, wherever it stands
in a table. It assumes that style is given as style, never inside a text.
"""

from __future__ import annotations

from typing import IO, Any

from rich.console import Console
from rich.text import Text

from difficulty.printable import printable


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
