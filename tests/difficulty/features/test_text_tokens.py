"""Tokens: cut as described, hashed alike everywhere, independent of the other texts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from difficulty.features.text.tokens import chunks, hash_words, tokenize

_TEXT = st.text(alphabet=st.characters(codec=None), max_size=30)


def _cut(text: str) -> list[str]:
    tokens = tokenize([text])
    return [text[start:end] for start, end in zip(tokens.start, tokens.end, strict=True)]


def test_words_and_marks_are_cut() -> None:
    assert _cut("x_1 = f(a, 22)  # é!") == ["x_1", "=", "f", "(", "a", ",", "22", ")", "#", "é", "!"]


def test_empty_and_blank_texts_have_no_tokens() -> None:
    tokens = tokenize(["", " \n\t", "a"])
    assert tokens.owner.tolist() == [2]
    assert tokens.offsets.tolist() == [0, 1, 5, 7]


@given(st.lists(_TEXT, min_size=1, max_size=5))
def test_tokens_are_the_visible_characters_of_each_text(texts: list[str]) -> None:
    tokens = tokenize(texts)
    lengths = np.bincount(tokens.owner, tokens.end - tokens.start, minlength=len(texts))
    visible = np.add.reduceat(tokens.classes > 0, tokens.offsets[:-1])
    np.testing.assert_array_equal(lengths, visible)


@given(st.lists(_TEXT, min_size=1, max_size=4))
def test_hashes_do_not_depend_on_other_texts(texts: list[str]) -> None:
    together = tokenize(texts)
    for index, text in enumerate(texts):
        np.testing.assert_array_equal(together.hashes[together.owner == index], tokenize([text]).hashes)


def test_hashes_tell_words_apart_by_letters_and_order() -> None:
    words = ["ab", "ba", "a", "b", "aa", "aaa", "abc", "x" * 70, "x" * 71]
    assert len(set(hash_words(words).tolist())) == len(words)
    np.testing.assert_array_equal(hash_words(["While"]), hash_words(["while"]))


def test_hashes_are_equal_in_another_process() -> None:
    code = (
        "from difficulty.features.text.tokens import hash_words; print(hash_words(['while', 'é']).tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert run.stdout.strip() == str(hash_words(["while", "é"]).tolist())


def test_chunks_cover_all_texts_in_order() -> None:
    texts = ["a" * 100_000, "b" * 175_000, "", "c" * 500_000, "d"]
    parts = list(chunks(texts))
    assert [text for part in parts for text in texts[part]] == texts
    assert [len(texts[part]) for part in parts] == [1, 2, 1, 1]
    assert list(chunks([])) == []
