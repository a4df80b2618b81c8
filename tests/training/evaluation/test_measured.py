"""Courses of a bundle on other logs: the same numbers as in training, and NaN where a log cannot tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.course.allocate import course_of
from policies.course.allocation import Allocation
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, Success
from policies.menu.build import build_menu
from policies.menu.curves import measure_curves
from policies.table.measure import measure
from policies.table.recorded import Recorded
from training.evaluation.measured import measure_courses
from training.menu.learned_verifiers import fit_learned_verifiers
from training.simulated.log import simulated_log
from training.simulated.strategies import simulated_strategies

ALLOCATIONS = [Allocation(generator="model-0", strategy="majority_vote", width=n) for n in (1, 3, 5)]
REACTING = [
    Course(steps=waves("model-0", (2, 2, 1)), stop=Agreement(count=2)),
    Course(steps=waves("model-0", (2,)) + waves("model-1", (1,)), stop=Agreement(count=2)),
]


def test_they_are_what_training_measures_in_any_order() -> None:
    log = simulated_log(12, n_samples=6, seed=3)
    static = [course_of(allocation) for allocation in ALLOCATIONS]
    expected = measure(log, Recorded.of(log, seed=1), ALLOCATIONS, REACTING, seed=1)
    mixed = [REACTING[1], static[2], REACTING[0], static[0], static[1]]
    found = measure_courses(log, mixed, seed=1)
    order = [list(expected.courses).index(course) for course in mixed]
    assert_allclose(found.value, expected.value[:, order], atol=1e-6)
    assert_allclose(found.rounds, expected.rounds[:, order])
    for at, column in enumerate(order):
        mine, theirs = found.slots.of(at), expected.slots.of(column)
        assert_allclose(found.output_tokens[:, mine], expected.output_tokens[:, theirs])
        assert_allclose(found.samples[:, mine], expected.samples[:, theirs])


def test_chains_and_searches_are_what_training_measures() -> None:
    log = simulated_strategies(10, n_samples=6, seed=3)
    menu = build_menu(log)
    assert {allocation.traits.kind for allocation in menu} == {"parallel", "revision", "search"}
    expected = measure(log, Recorded.of(log, seed=1), menu, [], seed=1)
    found = measure_courses(log, expected.courses, seed=1)
    for name in ("value", "rounds", "samples", "output_tokens", "resent_tokens", "verifier_tokens"):
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_what_a_log_does_not_have_is_not_known() -> None:
    log = simulated_log(8, n_samples=4, n_generators=1, seed=3)
    by_score = Course(steps=waves("model-0", (2,)), selection=Selection(by="best", signal="score"))
    waiting = Course(
        steps=waves("model-0", (1, 1)),
        selection=Selection(by="best", signal="score"),
        stop=Agreement(count=2),
    )
    learned = Course(steps=waves("model-0", (2,)), selection=Selection(by="best", signal="learned"))
    many = Course(steps=waves("model-0", (3, 2)), stop=Agreement(count=2))
    found = measure_courses(log, [REACTING[1], by_score, waiting, learned, many, course_of(ALLOCATIONS[1])])
    assert np.isnan(found.value[:, :5]).all()
    assert not np.isnan(found.value[:, 5]).any()


def counted(lines: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Return lines of which the first n hold counts alone."""
    kept = []
    for place, line in enumerate(lines):
        if place < n:
            samples = line.pop("samples")
            right = sum(sample["correct"] for sample in samples)
            line = line | {"n": len(samples), "n_correct": right}
        kept.append(line)
    return kept


def test_counts_alone_tell_no_votes_but_whether_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    simulated_log(10, n_samples=6, n_generators=1, seed=3).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    path.write_text("\n".join(map(json.dumps, [header, *counted(lines, 4)])))
    log = SampleLog.read(path)
    first = Course(steps=waves("model-0", (1, 1, 1)), selection=Selection(by="first_success"), stop=Success())
    found = measure_courses(log, [REACTING[0], first])
    assert_array_equal(np.isnan(found.value[:, 0]), log.pool("model-0").counts_only)
    assert not np.isnan(found.value[:, 1]).any()


def test_prompts_that_a_learned_verifier_cannot_read_are_not_known(tmp_path: Path) -> None:
    train_log = simulated_log(80, n_samples=8, n_generators=1, seed=4)
    models = fit_learned_verifiers(train_log, seed=0).models
    path = tmp_path / "log.jsonl"
    simulated_log(9, n_samples=6, n_generators=1, seed=3).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    del lines[2]["samples"][1]["output_tokens"]
    path.write_text("\n".join(map(json.dumps, [header, *lines])))
    log = SampleLog.read(path)
    courses = [
        course_of(
            Allocation(generator="model-0", strategy="best_of_n", width=3, params={"verifier": "learned"})
        ),
        Course(
            steps=waves("model-0", (1, 1)),
            selection=Selection(signal="learned"),
            stop=Agreement(count=2),
        ),
    ]
    assert models["model-0"].columns == ("output_tokens",)
    found = measure_courses(log, courses, verifiers=models)
    unreadable = np.array([prompt.id == lines[2]["prompt_id"] for prompt in log.prompts])
    assert_array_equal(np.isnan(found.value), np.stack([unreadable] * 2, axis=1))


@pytest.mark.parametrize("half", ["even", "odd"])
def test_halves_share_no_sample(half: Any) -> None:
    """Even samples are right, odd ones are wrong: each half is sure of it."""
    samples = [{"answer": "1" if at % 2 == 0 else "2", "correct": at % 2 == 0} for at in range(6)]
    log = SampleLog.from_records(
        [{"prompt_id": "a", "generator": "model-0", "samples": samples}],
        {"model-0": Generator(name="model-0")},
    )
    courses = [*(course_of(allocation) for allocation in ALLOCATIONS), REACTING[0]]
    short = Course(steps=waves("model-0", (2, 1)), stop=Agreement(count=2))
    found = measure_courses(log, [*courses, short], half=half)
    right = 1.0 if half == "even" else 0.0
    assert_allclose(found.value[0, [0, 1, 4]], right)
    assert np.isnan(found.value[0, [2, 3]]).all()  # five samples are more than a half has
    assert_allclose(measure_curves(log, ALLOCATIONS, half=half).value[0, :2], right)
