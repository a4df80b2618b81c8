"""From which price on unsolved prompts can go on: where one generator draws until a checker accepts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agent_runs import agent_runs

from difficulty.prompt import Prompt
from planner.planner import Planner
from planner.planning.batch import Batch
from planner.planning.request import Request
from policies.cost.budget import Budget
from training.simulated.log import simulated_log
from training.train import train

N_PROMPTS = 20

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


def batch_of(planner: Planner) -> Batch:
    prompts = [Prompt(text=f"Add up {n} + {n + 1} + {2 * n}.") for n in range(N_PROMPTS)]
    request = Request(budget=Budget(limit=1e9, unit=planner.bundle.unit))
    found = planner._preparer.batch(prompts, request)
    assert found is not None
    return found


def generators_at(batch: Batch, level: int) -> set[str]:
    return {
        name for at in batch.menu.course[:, level].tolist() for name in batch.writer.courses[at].generators
    }


def test_one_generator_goes_on_from_the_first_price() -> None:
    levels = batch_of(Planner.untrained(objective="coverage")).levels(1e9)
    assert levels is not None and levels.base[0] == 0


def test_several_generators_or_votes_do_not_go_on() -> None:
    assert batch_of(Planner.untrained(["a", "b"], objective="coverage")).levels(1e9) is None
    assert batch_of(Planner.untrained()).levels(1e9) is None


def test_chains_do_not_go_on_by_samples(tmp_path: Path) -> None:
    train(agent_runs(), tmp_path / "policy", n_trials=1, objective="coverage", unit="output_tokens")
    batch = batch_of(Planner.load(tmp_path / "policy"))
    assert any(batch.writer.courses[at].steps[-1].kind == "revise" for at in batch.menu.course[:, -1])
    assert batch.levels(1e9) is None


def test_a_policy_of_several_goes_on_where_one_of_them_is_left(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=8, seed=3)
    train(log, tmp_path / "policy", n_trials=1, seed=0, objective="coverage", unit="output_tokens")
    batch = batch_of(Planner.load(tmp_path / "policy"))
    used = [generators_at(batch, level) for level in range(batch.menu.cost.shape[1])]
    levels = batch.levels(1e9)
    assert levels is not None
    start, own = int(levels.base[0]), np.flatnonzero(np.diff(levels.base, prepend=-1))
    assert start > 0 and used[0] != used[-1] == {"model-1"} and used[start - 1] != used[-1]
    assert all(names == used[-1] for names in used[start:])
    assert levels.base[own].tolist() == list(range(start, len(used)))
    widest = int(own[-1])
    assert widest < levels.cost.shape[1] - 1
    first, last, further = levels.at([3, 3, 3], [0, widest, levels.cost.shape[1] - 1])
    assert first.course is not None and set(first.course.generators) == used[-1]
    # Beyond the widest course it goes on with more samples, for which no value is promised.
    assert last.course is not None and further.course is not None
    n = len(last.course.steps)
    assert further.course.steps[:n] == last.course.steps and set(further.course.generators) == used[-1]
    assert further.expected_accuracy == last.expected_accuracy
    assert further.expected_cost > last.expected_cost
    # Too dear for everybody before it is known who needs it:
    assert batch.levels(1.9 * float(levels.cost[:, 0].sum())) is None


def test_between_two_courses_prompts_go_on_by_single_samples() -> None:
    """No prompt may draw half as much again as another one that is as unsolved."""
    levels = batch_of(Planner.untrained(objective="coverage")).levels(1e9)
    assert levels is not None
    drawn = levels.samples[0]
    assert (np.diff(drawn) >= 0).all() and (drawn[1:] <= np.ceil(1.1 * drawn[:-1]).clip(drawn[:-1] + 1)).all()
    assert (np.diff(levels.cost, axis=1) >= -1e-9).all() and (np.diff(levels.value, axis=1) >= -1e-9).all()
    for column in np.flatnonzero(drawn <= 32).tolist():
        (plan,) = levels.at([0], [column])
        assert plan.course is not None and plan.course.n == drawn[column]
        assert plan.expected_cost == pytest.approx(levels.cost[0, column])
