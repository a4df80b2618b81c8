"""From which price on unsolved prompts can go on: where one generator draws until a checker accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    assert levels is not None and levels.start == 0


def test_several_generators_or_votes_do_not_go_on() -> None:
    assert batch_of(Planner.untrained(["a", "b"], objective="coverage")).levels(1e9) is None
    assert batch_of(Planner.untrained()).levels(1e9) is None


def test_a_policy_of_several_goes_on_where_one_of_them_is_left(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=8, seed=3)
    train(log, tmp_path / "policy", n_trials=1, seed=0, objective="coverage", unit="output_tokens")
    batch = batch_of(Planner.load(tmp_path / "policy"))
    used = [generators_at(batch, level) for level in range(batch.menu.cost.shape[1])]
    levels = batch.levels(1e9)
    assert levels is not None and levels.start > 0 and used[0] != used[-1] == {"model-1"}
    assert all(names == used[-1] for names in used[levels.start :])
    assert used[levels.start - 1] != used[-1]
    n_further = levels.samples.shape[1]
    assert levels.cost.shape[1] - n_further == len(used) - levels.start and n_further > 0
    widest = len(used) - levels.start - 1
    first, last, further = levels.at([3, 3, 3], [0, widest, widest + n_further])
    assert first.course is not None and set(first.course.generators) == used[-1]
    # Beyond the widest course it goes on with more samples, for which no value is promised.
    assert last.course is not None and further.course is not None
    n = len(last.course.steps)
    assert further.course.steps[:n] == last.course.steps and set(further.course.generators) == used[-1]
    assert further.expected_accuracy == last.expected_accuracy
    assert further.expected_cost > last.expected_cost
    # Too dear for everybody before it is known who needs it:
    assert batch.levels(1.9 * float(levels.cost[:, 0].sum())) is None
