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


@pytest.mark.parametrize("tokens", [float("nan"), True, "3", -1, 2.5])
def test_tokens_that_are_no_count_are_refused(tokens: object) -> None:
    with pytest.raises(InvalidPromptError, match="prompt_tokens of a prompt must be at least 0"):
        Prompt(text="What?", prompt_tokens=tokens)  # type: ignore[arg-type]  # what a user may write


@pytest.mark.parametrize(
    "given",
    [
        {"id": 7, "text": "x"},
        {"text": 7},
        {"text": "x", "gold": 7},
        {"text": "x", "group": None},
        {"messages": "x"},
        {"messages": ["x"]},
    ],
)
def test_fields_of_another_type_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidPromptError, match="of a prompt must be"):
        Prompt(**given)  # type: ignore[arg-type]  # what a user may write
