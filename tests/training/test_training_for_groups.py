import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.estimators.contrast import contrast_curve
from planner import Budget, Planner
from policies.cost.cost_model import CostModel
from training import evaluate, train
from training.policy.columns import measure_columns
from training.savings.savings import savings
from training.simulated.log import simulated_log


def test_columns_are_groups_and_their_chance_of_contrast() -> None:
    log = simulated_log(40, n_samples=6, n_generators=1)
    columns = measure_columns(log, CostModel(unit="samples", generators=log.generators), objective="contrast")
    pool = log.pool(next(iter(log.generators)))
    sizes = [course.n for course in columns.table.courses]
    assert all(course.one_shot and len(course.steps) == 1 for course in columns.table.courses)
    assert_allclose(columns.value, contrast_curve(pool.n, pool.n_correct, sizes), atol=1e-6)


@pytest.mark.parametrize("objective", ["contrast", "variance"])
def test_trains_plans_and_evaluates(objective: str, tmp_path: object) -> None:
    log = simulated_log(400, n_samples=8, n_generators=1, seed=3)
    left, right = log.split(test_fraction=0.4, seed=0)
    bundle = train(left, out=f"{tmp_path}/bundle", n_trials=2, objective=objective, unit="samples")  # type: ignore[arg-type]
    planner = Planner.load(f"{tmp_path}/bundle")
    plans = planner.plan(right.prompts, budget=Budget(limit=4, unit="samples"))
    assert {plan.objective for plan in plans} == {objective}
    assert sum(plan.allocation.n for plan in plans) <= 4 * len(plans)
    assert len({plan.allocation.n for plan in plans}) > 1
    report = evaluate(bundle, right, n_bootstrap=100)
    assert report.data["objective"] == objective


def test_first_groups_follow_the_text(tmp_path: object) -> None:
    log = simulated_log(160, n_samples=8, n_generators=2, seed=4)
    left, right = log.split(test_fraction=0.4, seed=0)
    train(left, out=f"{tmp_path}/bundle", n_trials=1, objective="contrast", unit="output_tokens")
    planner = Planner.load(f"{tmp_path}/bundle")
    name = next(iter(log.generators))
    groups = planner.groups(right.prompts, generator=name, floor=2, cap=8)
    truth = right.pool(name).n_correct / right.pool(name).n
    assert np.corrcoef(groups.belief.mean, truth)[0, 1] > 0.5
    plan = groups.plan(4 * float(groups.lengths.sum()))
    assert plan.cost.sum() <= 4 * groups.lengths.sum() * (1 + 1e-9)
    with pytest.raises(InvalidInputError, match="generator="):
        planner.groups(right.prompts)
    with pytest.raises(UnknownGeneratorError, match="nobody"):
        planner.groups(right.prompts, generator="nobody")
    with pytest.raises(InvalidInputError, match="at least one prompt"):
        planner.groups([], generator=name)


def test_without_a_log_groups_are_planned_by_their_own_planner() -> None:
    with pytest.raises(InvalidInputError, match=r"GroupPlanner\.start"):
        Planner.untrained(objective="contrast")


def test_savings_are_of_answers() -> None:
    with pytest.raises(InvalidInputError, match="groups of rollouts"):
        savings(simulated_log(30), objective="contrast")
