"""Texts that are remembered by hashes alone are found in other words; templates are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.log.known_texts import KnownTexts

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ri", "su", "ta", "vo")


def story(number: int, n_words: int = 24) -> str:
    """Words of a small language, and a number between them."""
    rng = np.random.default_rng(number)
    words = ["".join(rng.choice(SYLLABLES, size=2)) for _ in range(n_words)]
    return f"{' '.join(words[: n_words // 2])} and {rng.integers(100)} {' '.join(words[n_words // 2 :])}."


def again(known: KnownTexts) -> KnownTexts:
    """As a bundle keeps them."""
    return KnownTexts.from_arrays(known.to_arrays())


def test_case_spaces_and_punctuation_do_not_hide_a_text() -> None:
    known = again(KnownTexts.of([story(number) for number in range(20)]))
    asked = [story(3).upper(), f"  {story(4).replace(' ', '  ')} ", story(5).replace(".", "?!"), story(99)]
    found = known.find(asked)
    assert found.same.tolist() == [3, 4, 5, -1]
    assert found.near.tolist() == [3, 4, 5, -1]


@pytest.mark.parametrize("n_words", [24, 60, 400])
def test_other_words_here_and_there_do_not_hide_a_text(n_words: int) -> None:
    texts = [story(number, n_words) for number in range(60)]
    asked = []
    for text in texts:
        words = text.split()
        words[len(words) // 2] = "quite"
        asked.append(f"Tell me: {' '.join(words)} How many?")
    found = again(KnownTexts.of(texts)).find(asked)
    assert found.near.tolist() == list(range(60))
    assert (found.same == -1).all()


def test_what_only_wraps_the_known_texts_does_not_hide_them() -> None:
    texts = [story(number) for number in range(40)]
    wrapped = [f"{story(999, 60)} Now answer this: {text} {story(998, 60)}" for text in texts]
    assert KnownTexts.of(texts).find(wrapped).near.tolist() == list(range(40))


def test_another_number_in_a_template_is_another_question() -> None:
    rule = story(1, 40)
    texts = [f"{rule} {number} plus {number * number}" for number in range(60)]
    asked = [f"{rule} {number} plus {number * number}" for number in range(30, 90)]
    found = KnownTexts.of(texts).find(asked)
    assert found.near.tolist() == [*range(30, 60), *[-1] * 30]


def test_short_texts_are_found_whole_only() -> None:
    known = KnownTexts.of(["What is 12 plus 30?", "Who wrote Hamlet?"])
    assert known.find(["what is 12 plus 30", "What is 12 plus 31?", "Who wrote Faust?"]).near.tolist() == [
        0,
        -1,
        -1,
    ]


def test_copies_among_the_known_texts_do_not_make_a_template_of_each_other() -> None:
    texts = [f"{story(number // 6)} Question {number % 6}?" for number in range(150)]
    found = KnownTexts.of(texts).find([f"{story(number)} Question 9?" for number in range(25)])
    assert (found.near // 6).tolist() == list(range(25))


def test_texts_that_are_missing_or_blank_are_never_found() -> None:
    known = KnownTexts.of([None, "...", story(1)])
    assert len(known) == 3
    assert known.find([None, "???", story(1)]).near.tolist() == [-1, -1, 2]
    assert KnownTexts.of([]).find([story(1), None]).near.tolist() == [-1, -1]
    assert known.find([]).near.tolist() == []


def test_ten_thousand_texts_take_a_few_hashes_each() -> None:
    texts = [story(number) for number in range(10_000)]
    known = again(KnownTexts.of(texts))
    assert sum(array.nbytes for array in known.to_arrays().values()) < 200 * len(texts)
    found = known.find([f"{text} Why?" for text in texts[:1000]] + [story(20_000 + n) for n in range(1000)])
    assert found.near.tolist() == [*range(1000), *[-1] * 1000]


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("common"),
        lambda arrays: arrays.update(more=np.zeros(1)),
        lambda arrays: arrays.update(runs=arrays["runs"][:-1]),
        lambda arrays: arrays.update(runs=arrays["runs"][::-1]),
        lambda arrays: arrays.update(content=arrays["content"].astype(np.int64)),
        lambda arrays: arrays.update(content=arrays["content"][:-1]),
        lambda arrays: arrays.update(sizes=np.zeros_like(arrays["sizes"])),
        lambda arrays: arrays.update(counts=arrays["counts"] + np.uint8(1)),
    ],
)
def test_arrays_that_are_no_sketches_are_refused(change: Any) -> None:
    arrays = KnownTexts.of([story(number) for number in range(5)]).to_arrays()
    change(arrays)
    with pytest.raises(InvalidInputError, match="sketches of texts"):
        KnownTexts.from_arrays(arrays)


def test_hashes_made_up_by_a_stranger_are_no_trouble() -> None:
    n_texts = 2000
    arrays = {
        "content": np.zeros(n_texts, dtype=np.uint64),
        "sizes": np.full((n_texts, 3), 2**32 - 1, dtype=np.uint32),
        "counts": np.full((n_texts, 2), 48, dtype=np.uint8),
        "runs": np.full(48 * n_texts, 7, dtype=np.uint32),
        "numbers": np.full(48 * n_texts, 7, dtype=np.uint32),
        "common": np.full(9, 3, dtype=np.uint32),
    }
    assert KnownTexts.from_arrays(arrays).find([story(n) for n in range(50)]).near.tolist() == [-1] * 50
