"""A thinking budget: counted from the opening tag, enforced by the closing one, and only where needed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from difficulty.errors import InvalidInputError
from planner.backends.thinking import Thought

TAGS = ("<t>", "</t>")


def decode(tokens: Sequence[int]) -> str:
    return "".join(map(chr, tokens))


def codes(text: str) -> list[int]:
    return list(map(ord, text))


def written(model: str, *, budget: int, open_already: bool) -> str:
    """Return the text of a model that says one letter after the other, unless a token is forced."""
    thought = Thought(
        budget=budget, tags=TAGS, closing=codes("</t>"), open_already=open_already, decode=decode
    )
    said, tokens = iter(codes(model)), list[int]()
    for _ in range(40):
        forced = thought.next_token(tokens)
        token = next(said, None) if forced is None else forced
        if token is None:
            break
        tokens.append(token)
    return decode(tokens)


def test_a_thought_is_cut_at_its_budget_and_the_answer_follows() -> None:
    assert written("abcdefgh", budget=3, open_already=True) == "abc</t>defgh"
    assert written("abcdef", budget=0, open_already=True) == "</t>abcdef"


def test_tokens_count_from_the_opening_tag() -> None:
    assert written("\n<t>abcdef", budget=3, open_already=False) == "\n<t>abc</t>def"


def test_a_thought_that_ends_in_time_is_left_alone() -> None:
    assert written("ab</t>cdefghij", budget=9, open_already=True) == "ab</t>cdefghij"


def test_a_text_without_a_thought_is_left_alone() -> None:
    text = "no thought here, and a late <t> in a quotation"[:40]
    assert written(text, budget=1, open_already=False) == text


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="budget"):
        Thought(budget=-1, tags=TAGS, closing=[1], open_already=True, decode=decode)
