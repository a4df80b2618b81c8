"""Near-duplicates: contexts under other ids are found, templates and other numbers are not."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty import Generator, Prompt, SampleLog
from difficulty.log.near_duplicates import find_near_duplicates

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ri", "su", "ta", "vo")


def prompts(texts: list[str]) -> list[Prompt]:
    return [Prompt(id=f"q{place}", text=text) for place, text in enumerate(texts)]


def groups(texts: list[str]) -> list[str]:
    return list(find_near_duplicates(prompts(texts)).groups)


def story(number: int) -> str:
    """A context of its own: two sentences in words of a small language, and a number."""
    rng = np.random.default_rng(number)
    words = ["".join(rng.choice(SYLLABLES, size=2)) for _ in range(18)]
    return f"{' '.join(words[:9])} and {rng.integers(100)} {' '.join(words[9:])}."


def test_case_spaces_and_punctuation_do_not_tell_prompts_apart() -> None:
    same = ["Why is the SKY blue?", "why is the sky  blue", "\u201cWhy is the sky blue?\u201d"]
    assert groups([*same, "Why is the sea blue?"]) == ["q0", "q0", "q0", "q3"]
    assert len(set(groups(["Name a colour.", "Name a colour!", "Name a colour?!", "«Name a colour»"]))) == 1
    assert len(set(groups(["天空是蓝色的", "天空是蓝色的。", "天空是蓝色的！", "「天空是蓝色的．」"]))) == 1


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("3 + 5 = ?", "3 - 5 = ?"),
        ("What is 12 plus 30?", "What is 12 plus 31?"),
        ("(2 + 3) * 4", "2 + (3 * 4)"),
        ("f'(x) at 0", "f(x) at 0"),
        ("What is 5!?", "What is 5?"),
        ("Divide n! by k", "Divide n by k"),
        ("while left != right", "while left = right"),
        ("Who wrote Hamlet?", "Who wrote Faust?"),
        ("天空为什么是蓝色的？", "大海为什么是咸的？"),
    ],
)
def test_signs_and_numbers_tell_short_prompts_apart(one: str, two: str) -> None:
    assert groups([one, two]) == ["q0", "q1"]


def test_contexts_are_found_and_the_questions_about_them_are_no_reason() -> None:
    questions = [f"What was the date {n} days before, in MM/DD/YYYY?" for n in range(1, 10)]
    texts = [f"{story(context)} {question}" for context in range(41) for question in questions]
    found = find_near_duplicates(prompts(texts))
    assert [int(name[1:]) // 9 for name in found.groups] == [place // 9 for place in range(len(texts))]
    assert len(set(found.groups)) == 41
    assert (found.n_prompts, found.n_groups) == (369, 41)


def test_a_template_groups_nothing() -> None:
    rng = np.random.default_rng(0)
    rule = (
        "Sort the numbers below in ascending order. Put one on each line, and write nothing else after them."
    )
    sums = "Your task is to add up all the numbers that are given here, then to double the result: "
    texts = [f"{rule} {rng.integers(1000, size=8).tolist()}" for _ in range(40)]
    texts += [f"{sums} {rng.integers(1000, size=5).tolist()}" for _ in range(40)]
    texts += [story(number) for number in range(40)]
    assert len(set(groups(texts))) == 120


def test_long_texts_with_another_number_are_one_question() -> None:
    long = " ".join(story(number) for number in range(3))
    texts = [f"{long} How far is {n} times that way?" for n in (3, 4)]
    assert len(set(groups(texts))) == 1


def test_six_numbers_in_the_same_order_are_one_question_and_fewer_are_not() -> None:
    same = [
        "Add up 10 + 34 + 27 + 24 + 41 + 8.",
        "Please, what is the sum of 10 + 34 + 27 + 24 + 41 + 8 now?",
    ]
    others = [
        "Add up 10 + 34 + 27 + 24 + 41 + 16 + 9 + 2 + 7 + 5.",
        "Add up 10 + 34 + 27.",
        "Sum 10 + 34 + 27 once.",
    ]
    assert groups([*same, *others]) == ["q0", "q0", "q2", "q3", "q4"]


def test_numbers_that_many_texts_have_are_of_a_template() -> None:
    example = "for example, 1, 3, 5, 7, 9, 11 becomes 11, 9, 7, 5, 3, 1."
    assert len(set(groups([f"Turn {number} words round, {example}" for number in range(40)]))) == 40


def test_recorded_groups_stay_together_and_are_joined() -> None:
    known = [
        Prompt(id="a", group="x"),
        Prompt(id="b", text="Why is the sky blue?", group="x"),
        Prompt(id="c", text="why is the sky blue"),
        Prompt(id="d", text="Who?"),
    ]
    found = find_near_duplicates(known)
    assert found.groups == ("c", "c", "c", "d")
    assert (found.n_prompts, found.n_groups) == (3, 1)


def test_the_order_of_prompts_does_not_change_who_belongs_together() -> None:
    texts = [f"{story(n // 3)} Question number {n % 3}, please?" for n in range(60)]
    order = np.random.default_rng(1).permutation(60)
    plain, shuffled = groups(texts), groups([texts[place] for place in order])
    pairs = {(plain[a] == plain[b]) for a in range(60) for b in range(60) if a // 3 == b // 3}
    assert pairs == {True}
    for a in range(60):
        for b in range(60):
            assert (shuffled[a] == shuffled[b]) == (plain[order[a]] == plain[order[b]])


def test_ten_thousand_prompts_are_grouped() -> None:
    texts = [f"{story(n // 2)} {'Where' if n % 2 else 'When'} did they meet?" for n in range(10_000)]
    assert find_near_duplicates(prompts(texts)).n_groups == 5_000


def test_a_split_keeps_them_on_one_side() -> None:
    records = [
        {"prompt_id": f"q{n}", "prompt": f"{story(n // 6)} {n % 6}: why?", "generator": "g"}
        | {"n": 2, "n_correct": 1}
        for n in range(150)
    ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    assert log.near_duplicates().n_groups == 25
    train, test = log.split(0.4)
    sides = [{int(prompt.id[1:]) // 6 for prompt in side.prompts} for side in (train, test)]
    assert not sides[0] & sides[1]
    apart = log.split(0.4, near_duplicates=False)
    assert apart[1].near_duplicates_of(apart[0]) != {}
    assert test.near_duplicates_of(train) == {}
    assert train.about["split"]["near_duplicates"] is True  # type: ignore[index]
