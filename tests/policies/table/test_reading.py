"""What a reward model reads in the table: as recorded, else estimated, and free without a figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Success
from policies.menu.build import build_menu
from policies.table.measure import measure, prompt_lengths
from policies.table.reading import is_scored
from policies.table.recorded import Recorded
from policies.table.static import static_table
from policies.table.table import CourseTable
from training.simulated.strategies import simulated_strategies

BY_SCORE = Selection(by="best", signal="score")
TOKENS = CostModel(unit="total_tokens", verifier_params=0.0)
# Of the simulated log: the question has 20 tokens, every completion 50.
QUESTION, ANSWER = 20, 50


@pytest.fixture(scope="module")
def log() -> SampleLog:
    return simulated_strategies(12, n_samples=8, seed=3)


def read_of(table: CourseTable, course: Course) -> float:
    """Return what is read for a course, the same for every prompt."""
    (slot,) = table.slots.of(table.courses.index(course))
    assert_allclose(table.verifier_tokens[:, slot], table.verifier_tokens[0, slot])
    return float(table.verifier_tokens[0, slot])


def test_only_a_reward_model_reads() -> None:
    votes = waves("tiny", (2, 2))
    search = {"n": 4, "beam_width": 2}
    assert is_scored(Course(steps=votes, selection=BY_SCORE, stop=Agreement(count=2)))
    assert is_scored(Course(steps=(Step(generator="tiny", n=4, kind="search", strategy="dvts"),)))
    by_logprob = {**search, "verifier": "mean_logprob"}
    del by_logprob["n"]
    led = Step(generator="tiny", n=4, kind="search", strategy="beam_search", params=by_logprob)
    assert not is_scored(Course(steps=(led,)))
    assert not is_scored(Course(steps=votes, selection=Selection(signal="mean_logprob")))
    checked = Selection(by="first_success", signal="score")
    assert not is_scored(Course(steps=votes, selection=checked, stop=Success()))
    assert not is_scored(Course(steps=waves("tiny", (1,)), selection=BY_SCORE))


def test_it_is_estimated_as_prompt_and_completion_of_every_sample(log: SampleLog) -> None:
    menu = build_menu(log)
    waiting = Course(steps=waves("model", (2, 2)), selection=BY_SCORE, stop=BestScore(threshold=1e9))
    table = measure(log, Recorded.of(log), menu, [waiting])
    assert read_of(table, waiting) == pytest.approx(4 * (QUESTION + ANSWER))
    seen = set()
    for allocation, course in zip(menu, table.courses, strict=False):
        read = read_of(table, course)
        assert read == (allocation.n * (QUESTION + ANSWER) if is_scored(course) else 0)
        seen.add((allocation.traits.kind, is_scored(course)))
    assert {("parallel", True), ("parallel", False), ("revision", False), ("search", True)} <= seen


def test_what_was_recorded_is_taken_where_it_was(log: SampleLog, tmp_path: Path) -> None:
    log.write(tmp_path / "log.jsonl")
    header, *lines = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    for line in lines:
        if line.get("params", {}).get("n") == 8:
            line["samples"] = [sample | {"verifier_tokens": 5000} for sample in line["samples"]]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, [header, *lines])))
    known = SampleLog.read(tmp_path / "log.jsonl")
    menu = build_menu(known)
    plain, table = static_table(known, menu), measure(known, Recorded.of(known), menu, [])
    for allocation, course in zip(menu, table.courses, strict=True):
        if allocation.traits.kind == "search":
            recorded = allocation.n == 8
            assert read_of(table, course) == (5000 if recorded else allocation.n * (QUESTION + ANSWER))
            assert np.isnan(plain.verifier_tokens[:, plain.courses.index(course)]).all() != recorded


def test_it_is_free_without_a_figure(log: SampleLog) -> None:
    table = measure(log, Recorded.of(log), build_menu(log), [])
    lengths = prompt_lengths(log)
    priced = {"model": Generator(name="model", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)}
    scored = np.array([is_scored(course) for course in table.courses])
    for free, charged in (
        (CostModel(unit="total_tokens"), TOKENS),
        (
            CostModel(unit="usd", generators=priced),
            CostModel(unit="usd", generators=priced, usd_per_mtok_verifier=0.5),
        ),
    ):
        more = table.cost(charged, lengths) > table.cost(free, lengths)
        assert (more == scored).all()
