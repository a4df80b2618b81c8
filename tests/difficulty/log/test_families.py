"""Families of prompts that a log names, and splits that leave whole ones out."""

from __future__ import annotations

from typing import Any

import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError

GENERATORS = {"g": Generator(name="g"), "h": Generator(name="h")}


def log_of(metas: list[dict[str, Any] | None], **more: Any) -> SampleLog:
    records = [
        {"prompt_id": f"q{place}", "generator": "g", "n": 2, "n_correct": 1, "meta": meta, **more}
        for place, meta in enumerate(metas)
    ]
    return SampleLog.from_records(records, GENERATORS)


def test_families_are_read_by_the_usual_keys_or_the_one_that_is_given() -> None:
    log = log_of([{"task": "sums", "level": 2}, {"level": 3}, None])
    assert log.families() == ("task", ("sums", None, None))
    assert log.families("level") == ("level", ("2", "3", None))
    assert log.meta_keys == {"task", "level"}
    assert log_of([{"family": "f", "task": "t"}]).families() == ("family", ("f",))
    assert log_of([{"level": 1}, None]).families() is None


def test_a_key_that_names_no_families_is_refused() -> None:
    log = log_of([{"task": "sums"}, {"task": ["a"]}])
    with pytest.raises(InvalidInputError, match=r"no line of the log has 'kind' in its meta.*meta has task"):
        log.families("kind")
    with pytest.raises(InvalidInputError, match=r"meta.task of prompt 'q1' must be a text .* got list"):
        log.families()
    line = {"prompt_id": "a", "n": 2, "n_correct": 1}
    two = [
        {**line, "generator": "g", "meta": {"task": "x"}},
        {**line, "generator": "h", "meta": {"task": "y"}},
    ]
    with pytest.raises(InvalidInputError, match=r"prompt 'a' has two families by meta.task: 'x', 'y'"):
        SampleLog.from_records(two, GENERATORS).families()


def test_a_split_by_family_leaves_whole_ones_out_and_is_recorded() -> None:
    log = log_of([{"task": f"t{place % 10}"} for place in range(100)])
    train, test = log.split(0.3, by="task")
    sides = [set(side.families().names) for side in (train, test)]  # type: ignore[union-attr]
    assert (len(train), len(test)) == (70, 30)
    assert not sides[0] & sides[1]
    assert test.about["split"]["by"] == "task"  # type: ignore[index]
    assert "by" not in log.split(0.3)[1].about["split"]  # type: ignore[operator]


def test_prompts_without_a_family_go_by_their_groups() -> None:
    metas = [{"task": "t"} if place < 20 else None for place in range(40)]
    train, test = log_of(metas).split(0.5, by="task")
    for side in (train, test):
        assert sum(int(prompt.id[1:]) < 20 for prompt in side.prompts) in (0, 20)


def test_near_duplicates_join_families() -> None:
    same = "Why is the sky blue at noon and red in the evening, while the sea is green all day?"
    metas: list[dict[str, Any] | None] = [{"task": f"t{place // 2}"} for place in range(20)]
    records = [
        {"prompt_id": f"q{place}", "generator": "g", "n": 2, "n_correct": 1, "meta": meta}
        | {"prompt": same if place in (1, 2) else f"Question {place}"}
        for place, meta in enumerate(metas)
    ]
    train, test = SampleLog.from_records(records, GENERATORS).split(0.4, by="task")
    ids = [{prompt.id for prompt in side.prompts} for side in (train, test)]
    assert {"q0", "q1", "q2", "q3"} <= ids[0] or {"q0", "q1", "q2", "q3"} <= ids[1]
