"""Find the string that ends a text while its tokens come, for engines that know end tokens only.

It assumes that a tokenizer's text of many tokens holds that of the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class StopStrings:
    """Finds stop strings in tokens as they come, and cuts a text at the first of them."""

    def __init__(self, tokenizer: Any, strings: Sequence[str]) -> None:
        self._tokenizer, self._strings = tokenizer, strings
        # A token is at least one byte of text, so this many tokens hold any stop string that has just ended.
        self._window = max((len(string.encode()) for string in strings), default=0) + 4

    def reached(self, tokens: list[int]) -> bool:
        """Say whether a stop string stands near the end of the tokens."""
        if not self._strings:
            return False
        tail = self._tokenizer.decode(tokens[-self._window :], skip_special_tokens=True)
        return any(string in tail for string in self._strings)

    def cut(self, text: str) -> tuple[str, str]:
        """Return the text before the first stop string, and that string; ``""`` where there is none."""
        found = [(text.find(string), string) for string in self._strings if string in text]
        if not found:
            return text, ""
        at, string = min(found, key=lambda item: item[0])
        return text[:at], string
