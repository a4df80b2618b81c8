"""Prompts that no server and no file could take are refused where they are made."""

from __future__ import annotations

import pytest

from difficulty.errors import InvalidPromptError
from difficulty.prompt import Prompt

HALF = "a\ud800b"


@pytest.mark.parametrize(
    "given",
    [{"text": HALF}, {"id": HALF, "text": "x"}, {"messages": ({"role": "user", "content": HALF},)}],
)
def test_half_a_character_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidPromptError, match="lone surrogate"):
        Prompt(**given)  # type: ignore[arg-type]  # one field each


def test_whole_characters_are_not() -> None:
    assert Prompt(text="😀\u2028").content == "😀\u2028"
