"""Known rules are judged on equal terms: they have every selector, cap and pair of models of the policy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray, Float32Array
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.course.selection import Selection
from policies.table.grid import cascades, early_stopping
from policies.table.recorded import Recorded
from policies.verifier.learned_verifier import LEARNED
from training.menu.learned_verifiers import fit_learned_verifiers
from training.policy.columns import measure_columns
from training.policy.learn import learn
from training.policy.masks import rule_masks
from training.report.names import BEST_RULE
from training.simulated.log import simulated_log


def log_of(n_prompts: int = 60) -> SampleLog:
    """Return a log of two generators with log-probabilities, scores and answers."""
    rng = np.random.default_rng(0)
    records = []
    for row in range(n_prompts):
        for name in ("small", "large"):
            right = rng.random(10) < rng.uniform(0.2, 0.9)
            samples = [
                {
                    "answer": "right" if good else f"wrong-{rng.integers(3)}",
                    "correct": bool(good),
                    "output_tokens": int(rng.integers(10, 50)),
                    "mean_logprob": float(-0.5 + 0.2 * good + 0.1 * rng.normal()),
                    "score": float(good + rng.normal()),
                }
                for good in right
            ]
            records.append(
                {"prompt_id": f"p{row}", "prompt": f"question {row}?", "generator": name, "samples": samples}
            )
    return SampleLog.from_records(records, {name: Generator(name=name) for name in ("small", "large")})


@pytest.fixture(scope="module")
def courses() -> list[Course]:
    """Return all courses that training tries on the log."""
    log = log_of()
    recorded = Recorded.of(log, learned=fit_learned_verifiers(log, seed=0).cross_fitted)
    early = early_stopping(recorded)
    return [*early, *cascades(recorded, ["small", "large"], {"small": 1.0, "large": 2.0})]


def of_rule(courses: list[Course], name: str) -> list[Course]:
    mask = rule_masks(courses)[name]
    return [course for course, mine in zip(courses, mask, strict=True) if mine and course.n > 1]


@pytest.mark.parametrize("rule", ["Adaptive-Consistency", "ESC", "k agree", "until 75 % agree"])
def test_stop_rules_have_every_selector_of_one_model(courses: list[Course], rule: str) -> None:
    alone = [course for course in courses if len(course.generators) == 1]
    selections = {(course.generators, course.selection) for course in alone}
    assert {selection.signal for _, selection in selections} == {"none", "mean_logprob", "score", LEARNED}
    mine = of_rule(courses, rule)
    assert {(course.generators, course.selection) for course in mine} == selections
    assert max(course.n for course in mine) == max(course.n for course in alone)


def test_two_agree_else_another_model_may_pool_its_votes(courses: list[Course]) -> None:
    mine = of_rule(courses, "two agree, else another model")
    assert {course.selection.pooled for course in mine} == {True, False}
    assert Selection(weights={"large": 2.0}) in {course.selection for course in mine}


def test_the_best_of_the_rules_has_all_of_them_and_what_is_static(courses: list[Course]) -> None:
    masks = rule_masks(courses)
    best = masks.pop(BEST_RULE)
    assert all((best | ~mask).all() for mask in masks.values())
    pooled = of_rule(courses, "one vote of several models")
    assert pooled and all(course.one_shot and len(course.generators) > 1 for course in pooled)


def test_a_rule_is_compared_at_its_best_also_where_others_are_better_at_every_price() -> None:
    log = simulated_log(60, n_samples=6, n_generators=3, seed=5)
    model = CostModel(unit="output_tokens", generators=log.generators)
    measured = measure_columns(log, model, objective="accuracy")
    kept = learn(log, model, objective="accuracy", weights=None, folds=np.arange(60) % 5)
    for name, mask in rule_masks(measured.table.courses).items():
        best = worth_of(measured.value, measured.cost, mask, measured.prices)
        mine = rule_masks(kept.table.courses)[name]
        np.testing.assert_allclose(worth_of(kept.value, kept.cost, mine, measured.prices), best, atol=1e-6)


def worth_of(
    value: Float32Array, cost: Float32Array, mask: BoolArray, prices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean worth of the best course of a mask at each price."""
    mean, spent = value[:, mask].mean(axis=0, dtype=float), cost[:, mask].mean(axis=0, dtype=float)
    return np.asarray((mean - prices[:, None] * spent).max(axis=1))
