"""Groups with a floor and a cap, from the command line to the frame that trainers read."""

import json
from pathlib import Path

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner import Budget, Planner
from planner.cli import main
from planner.exports.group_plans import group_plans
from training import train
from training.simulated.log import simulated_log


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    left, right = simulated_log(240, n_samples=8, n_generators=1, seed=6).split(test_fraction=0.4, seed=0)
    train(left, out=folder / "policy", n_trials=1, objective="contrast", unit="samples")
    right.write(folder / "right.jsonl.gz")
    return folder


@pytest.mark.parametrize("unit", ["samples", "output_tokens"])
def test_groups_keep_to_floor_cap_and_budget(files: Path, unit: str) -> None:
    planner = Planner.load(files / "policy")
    prompts = simulated_log(60, seed=9).prompts
    budget = Budget(limit=3 if unit == "samples" else 150, unit=unit)  # type: ignore[arg-type]
    plans = group_plans(planner, prompts, budget=budget, floor=4, cap=6)
    sizes = [plan.allocation.n for plan in plans]
    assert {plan.unit for plan in plans} == {unit} and {plan.objective for plan in plans} == {"contrast"}
    assert min(sizes) >= 4 and max(sizes) <= 6 and 0 < len(plans) < len(prompts)
    assert sum(plan.expected_cost for plan in plans) <= budget.limit * len(prompts) * (1 + 1e-9)
    # Those that are left out promise less than those that are drawn.
    promised = planner.groups(prompts).plan(price=0.0)
    drawn = np.isin([prompt.id for prompt in prompts], [plan.prompt_id for plan in plans])
    assert promised.value[drawn].min() > promised.value[~drawn].mean()


def test_intervals_hold_what_is_expected(files: Path) -> None:
    plans = group_plans(Planner.load(files / "policy"), simulated_log(30, seed=2).prompts, price=0.001, cap=8)
    assert all(
        plan.accuracy_interval[0] <= plan.expected_accuracy <= plan.accuracy_interval[1] for plan in plans
    )
    assert any(plan.accuracy_interval[1] - plan.accuracy_interval[0] < 0.9 for plan in plans)


def test_the_command_writes_plans_and_the_frame_of_rollouts(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "plan",
        f"{files}/policy",
        f"{files}/right.jsonl.gz",
        "--budget",
        "2",
        "--floor",
        "4",
        "--cap",
        "8",
    ]
    assert main([*given, "--out", f"{files}/plans.jsonl"]) == 0
    shown = capsys.readouterr()
    assert "prompts have a group of 4 to 8 rollouts" in shown.err
    plans = [json.loads(line) for line in (files / "plans.jsonl").read_text().splitlines()]
    assert {4 <= plan["allocation"]["width"] <= 8 for plan in plans} == {True}
    assert main([*given, "--out", f"{files}/n.jsonl", "--out-format", "rollouts"]) == 0
    rows = [json.loads(line) for line in (files / "n.jsonl").read_text().splitlines()]
    assert sorted(row["rollout.n"] for row in rows) == sorted(plan["allocation"]["width"] for plan in plans)
    assert sum(row["rollout.n"] for row in rows) <= 2 * 96


def test_what_cannot_be_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planner, prompts = Planner.load(files / "policy"), simulated_log(5).prompts
    with pytest.raises(InvalidInputError, match="not in total_tokens"):
        group_plans(planner, prompts, budget=Budget(limit=100, unit="total_tokens"))
    with pytest.raises(InvalidInputError, match="no group of the least size"):
        group_plans(planner, prompts, budget=Budget(limit=0.5, unit="samples"), floor=4)
    with pytest.raises(InvalidInputError, match="floor"):
        group_plans(planner, prompts, price=0.1, floor=9, cap=8)
    with pytest.raises(InvalidBudgetError, match="exactly one"):
        group_plans(planner, prompts)
    given = ["plan", f"{files}/policy", f"{files}/right.jsonl.gz", "--floor", "4"]
    assert main([*given, "--target-accuracy", "0.5"]) == 2
    assert main([*given, "--budget", "2", "--max-per-prompt", "5"]) == 2
    assert main([*given, "--budget", "2", "--generator", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
