"""Answers of a new generator that others were graded for, and which of the others to grade."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from training.extension.factors import Factors, Places
from training.extension.known_answers import with_known_answers
from training.extension.next_prompts import next_answers


class OfKinds:
    """Prompts with a number at the end of their text, alike where it is the same."""

    def place(self, prompts: Sequence[Prompt]) -> Places:
        kinds = np.array([int((prompt.content or "").split()[-1]) for prompt in prompts])
        same = (kinds[:, None] == kinds).astype(np.float64)
        leaves = np.sqrt(same / same.sum(axis=1, keepdims=True))
        size = len(prompts)
        return Places(np.zeros((size, 1)), np.zeros((size, 1)), leaves, np.arange(size), np.zeros(size))


OF_KINDS = cast(Factors, OfKinds())


def lines(
    at: int, kind: int, old: list[tuple[str, bool]], new: list[tuple[str, bool | None]]
) -> list[dict[str, object]]:
    return [
        {
            "prompt_id": str(at),
            "prompt": f"kind {kind}",
            "generator": name,
            "samples": [{"answer": answer, "correct": right} for answer, right in samples],
        }
        for name, samples in (("old", old), ("new", new))
    ]


def log_of(records: list[dict[str, object]]) -> SampleLog:
    return SampleLog.from_records(records, {name: Generator(name=name) for name in ("old", "new")})


def test_answers_that_nobody_else_gave_have_the_chance_that_such_answers_have() -> None:
    """Others answered "a" and were right; of the new one's other answers, half of the graded were right."""
    rng = np.random.default_rng(0)
    records = []
    for at in range(120):
        old = [{"answer": "a", "correct": True}, {"answer": f"w{at % 3}", "correct": False}]
        records.append({"prompt_id": str(at), "prompt": "kind 0", "generator": "old", "samples": 2 * old})
        graded = at < 60
        answers = ["a", f"w{at % 3}", "b", "c", None]
        right = [True, False, bool(rng.random() < 0.5), bool(rng.random() < 0.5), False]
        mine = [
            {"answer": answer, "correct": ok if graded else None}
            for answer, ok in zip(answers, right, strict=True)
        ]
        records.append({"prompt_id": str(at), "prompt": "kind 0", "generator": "new", "samples": mine})
    log = SampleLog.from_records(records, {name: Generator(name=name) for name in ("old", "new")})

    found = with_known_answers(OF_KINDS, log, "new").log.pool("new").value[60:]
    assert (found[:, 0] == 1).all() and (found[:, 1] == 0).all() and (found[:, 4] == 0).all()
    assert found[:, 2:4].min() == found[:, 2:4].max() and 0.35 < found[0, 2] < 0.65


def test_such_answers_are_right_as_often_as_those_of_prompts_like_it() -> None:
    """Of kind 0 the new one's own answers were right where they were graded, of kind 1 they were wrong."""
    records: list[dict[str, object]] = []
    for at in range(80):
        graded = at < 8
        new = [(f"n{at}", at % 2 == 0 if graded else None), (f"w{at}", False if graded else None)]
        records += lines(at, at % 2, [(f"w{at}", False), (f"v{at}", False)], new)
    found = with_known_answers(OF_KINDS, log_of(records), "new")
    value = found.log.pool("new").value
    assert value[8::2, 0].min() > 0.6 and value[9::2, 0].max() < 0.3
    assert (value[8:, 1] == 0).all()
    # Half of the samples are unknown, and their verdicts no more than even.
    assert found.unknown.min() > 0.25 and found.unknown.max() <= 0.5 * 0.25**0.25


def test_samples_without_answers_are_told_nothing() -> None:
    records: list[dict[str, object]] = []
    for at in range(40):
        records += lines(at, 0, [(f"a{at}", True), (f"b{at}", False)], [])
        samples = [{"correct": at % 2 == 0 if at < 10 else None}] * 2
        records[-1]["samples"] = samples
    found = with_known_answers(OF_KINDS, log_of(records), "new")
    assert found.n_told == 0 and not found.unknown.any()


def test_verdicts_that_contradict_those_of_others_are_refused() -> None:
    records: list[dict[str, object]] = []
    for at in range(40):
        right, wrong = f"a{at}", f"b{at}"
        records += lines(at, 0, [(right, True), (wrong, False)], [(right, at % 4 > 0), (wrong, False)])
    with pytest.raises(InvalidInputError, match="10 of 80 graded samples of 'new' have another verdict"):
        with_known_answers(OF_KINDS, log_of(records), "new")


def test_first_are_answers_like_many_others_one_of_each_kind() -> None:
    prompts = [Prompt(id=str(at), text=f"kind {at // 10}") for at in range(40)]
    places = OF_KINDS.place(prompts)
    # All answers of kind 3 are known; kind 0 has the most that are not.
    unknown = np.repeat([1.0, 0.9, 0.9, 0.0], 10)
    nobody, all_of_them = np.zeros(40, dtype=bool), np.ones(40, dtype=bool)
    chosen = next_answers(places, unknown, nobody, all_of_them, 3)
    assert chosen[0] < 10 and sorted(row // 10 for row in chosen) == [0, 1, 2]
    # What is labelled already counts, and is not named again.
    labelled = np.arange(40) < 3
    assert sorted(row // 10 for row in next_answers(places, unknown, labelled, all_of_them, 2)) == [1, 2]
    # No more than there are, and none that cannot be labelled.
    few = np.isin(np.arange(40), [5, 35])
    assert next_answers(places, unknown, nobody, few, 3) == [5]
