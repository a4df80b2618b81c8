"""Rehearsals: exact where nothing is uncertain, honest about new prompts where something is."""

from pathlib import Path

import numpy as np
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan
from training.rehearsal.forecast import Range, Rehearsals
from training.rehearsal.rehearse import rehearse
from training.simulated.log import simulated_log
from training.train import train

TOKENS = Budget(limit=1000, unit="output_tokens")


def a_log(n_prompts=60, n_samples=5, *, tokens=10):
    """Answers right at random, every sample equally long, text that tells nothing of it."""
    rng = np.random.default_rng(4)
    records = [
        {
            "prompt_id": f"p{row}",
            "prompt": f"question {row}",
            "generator": "tiny",
            "samples": [
                {"answer": "yes" if ok else "no", "correct": bool(ok), "output_tokens": tokens}
                for ok in rng.random(n_samples) < 0.3 + 0.5 * (row % 2)
            ],
        }
        for row in range(n_prompts)
    ]
    return SampleLog.from_records(records, {"tiny": Generator(name="tiny", max_output_tokens=20)})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory):
    """Trained on `a_log`."""
    return train(a_log(), tmp_path_factory.mktemp("rehearsed") / "policy", n_trials=2)


def a_plan(accuracy=0.5, cost=10.0):
    return AllocationPlan(
        prompt_id="p",
        allocation=Allocation(generator="tiny", strategy="majority_vote", width=1),
        expected_accuracy=accuracy,
        accuracy_interval=(0.0, 1.0),
        expected_cost=cost,
        unit="output_tokens",
    )


def rehearsals(accuracy, cost=None, *, n_prompts=100, n_batch=50, limit=100.0, dearest=0.0):
    n = len(accuracy)
    return Rehearsals(
        budget=Budget(limit=limit, unit="output_tokens"),
        one_shot=False,
        n_prompts=n_prompts,
        n_batch=n_batch,
        fold=np.arange(n) % 2,
        fold_size=np.full(n, n_prompts // 2),
        accuracy=np.asarray(accuracy, dtype=float),
        cost=np.zeros(n) if cost is None else np.asarray(cost, dtype=float),
        dearest=dearest,
    )


def test_a_forecast_is_the_plans_mean_moved_by_what_rehearsals_came_to():
    forecast = rehearsals([0.1, 0.1, 0.1, 0.1], [3, 3, 3, 3]).forecast([a_plan(0.5, 10), a_plan(0.7, 20)])
    assert forecast.accuracy == pytest.approx((0.7, 0.7, 0.7))
    assert forecast.cost == pytest.approx((18, 18, 18))


def test_an_interval_holds_the_run_and_what_could_not_be_learned():
    # Deviations -0.1 and 0.1 around 0 in both folds: s² = 4 * 0.01 * (50 / 49) / 2, Student's with 2 degrees.
    forecast = rehearsals([-0.1, -0.1, 0.1, 0.1]).forecast([a_plan()] * 25)
    half = 4.302652729 * np.sqrt(0.02 * 50 / 49 * (50 / 25 + 50 / 100))
    assert forecast.accuracy.lower == pytest.approx(max(0.5 - half, 0.0))
    forecast = rehearsals([-0.01, -0.01, 0.01, 0.01]).forecast([a_plan()] * 25)
    assert forecast.accuracy.upper - 0.5 == pytest.approx(half / 10, rel=1e-6)


def test_no_cost_is_forecast_above_the_budget_or_the_dearest_rehearsal():
    wild = [-40, -40, 40, 40]
    assert rehearsals([0] * 4, wild).forecast([a_plan(0.5, 99)]).cost.upper == 100
    assert rehearsals([0] * 4, wild, dearest=101.5).forecast([a_plan(0.5, 99)]).cost.upper == 101.5


def test_a_range_holds_its_ends():
    assert Range(0.5, 0.4, 0.6).holds(0.6) and not Range(0.5, 0.4, 0.6).holds(0.61)


def test_samples_of_equal_length_cost_what_was_planned_however_often_a_prompt_is_drawn(bundle):
    modes = (True, False)
    found, reacting = rehearse(
        bundle, a_log(), budgets=[TOKENS], modes=modes, n_batch=90, n_rehearsals=4, n_folds=2, n_trials=1
    )
    assert found.cost == pytest.approx(np.zeros(4), abs=1e-4)
    # Where samples decide how many follow, so does chance; each is a whole number of ten tokens.
    assert reacting.cost.std() > 0 and reacting.dearest <= 50
    assert found.accuracy.std() > 0
    assert sorted(found.fold.tolist()) == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def fresh_runs(tmp_path_factory: pytest.TempPathFactory):
    """Forecasts of 12 batches of new prompts, and what they came to on their recorded samples."""
    log = simulated_log(150, n_samples=7, n_generators=1, seed=3)
    budget = Budget(limit=150, unit="output_tokens")
    folder: Path = tmp_path_factory.mktemp("rehearsal")
    planner = Planner(bundle=train(log, folder / "policy", n_trials=3, seed=1))
    (found,) = rehearse(planner.bundle, log, budgets=[budget], n_batch=100, n_trials=1, seed=1)
    fresh = simulated_log(1200, n_samples=7, n_generators=1, seed=4)
    runs = []
    for start in range(0, 1200, 100):
        prompts = fresh.prompts[start : start + 100]
        forecast = found.forecast(planner.plan(prompts, budget=budget))
        outcomes = planner.run(prompts, budget=budget, backend=ReplayBackend(fresh, seed=start))
        accuracy = np.mean([o.answer == p.gold for o, p in zip(outcomes, prompts, strict=True)])
        runs.append((forecast, accuracy, np.mean([outcome.cost for outcome in outcomes])))
    return runs


def test_runs_of_new_prompts_come_out_as_forecast(fresh_runs):
    """Twelve 95 % intervals: seven misses or more have a chance of 5e-7 where the intervals are exact."""
    assert sum(not forecast.accuracy.holds(accuracy) for forecast, accuracy, _ in fresh_runs) < 7
    assert sum(not forecast.cost.holds(cost) for forecast, _, cost in fresh_runs) < 7
    assert np.mean([f.accuracy.upper - f.accuracy.lower for f, _, _ in fresh_runs]) < 0.3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    """A small log whose text tells how hard a prompt is, and a bundle that reacts."""
    log = simulated_log(60, n_samples=6, n_generators=1, seed=5)
    return train(log, tmp_path_factory.mktemp("small") / "policy", n_trials=1), log


SMALL = {"n_batch": 30, "n_rehearsals": 4, "n_folds": 2, "n_trials": 1}
BUDGET = Budget(limit=150, unit="output_tokens")


def test_both_modes_are_rehearsed(small):
    found = rehearse(*small, budgets=[BUDGET], modes=(False, True), **SMALL)
    assert [one.one_shot for one in found] == [False, True]
    assert np.isfinite(found[1].cost).all() and found[1].dearest > 0


def test_a_rehearsal_is_the_same_again(small):
    (one,), (again,) = (rehearse(*small, budgets=[BUDGET], **SMALL) for _ in range(2))
    np.testing.assert_array_equal(one.accuracy, again.accuracy)
    np.testing.assert_array_equal(one.cost, again.cost)


@pytest.mark.parametrize(
    ("budgets", "error"),
    [
        ([], InvalidBudgetError),
        ([Budget(limit=9, unit="output_tokens", scope="batch")], InvalidBudgetError),
        ([TOKENS, Budget(limit=9, unit="samples")], InvalidBudgetError),
        ([Budget(limit=1, unit="output_tokens")], InvalidBudgetError),
    ],
)
def test_budgets_that_cannot_be_rehearsed_are_refused(budgets, error, bundle):
    with pytest.raises(error):
        rehearse(bundle, a_log(), budgets=budgets, n_rehearsals=4, n_folds=2, n_trials=1)


def test_numbers_out_of_range_are_refused(bundle):
    for wrong in ({"n_batch": 0}, {"n_folds": 1}, {"n_rehearsals": 3, "n_folds": 2}):
        with pytest.raises(InvalidInputError):
            rehearse(bundle, a_log(), budgets=[TOKENS], n_trials=1, **wrong)
    with pytest.raises(InvalidInputError):
        rehearsals([0, 0, 0, 0]).forecast([])


def test_another_log_than_the_bundles_is_refused(bundle):
    with pytest.raises(InvalidInputError, match="another log"):
        rehearse(bundle, a_log(tokens=11), budgets=[TOKENS], **SMALL)


def test_a_log_without_answers_cannot_be_replayed(tmp_path):
    records = [
        {"prompt_id": f"p{n}", "prompt": "?", "generator": "tiny", "n": 5, "n_correct": n % 5}
        for n in range(40)
    ]
    log = SampleLog.from_records(records, {"tiny": Generator(name="tiny")})
    bundle = train(log, tmp_path / "policy", n_trials=1)
    with pytest.raises(InvalidInputError, match="records no answers"):
        rehearse(bundle, log, budgets=[Budget(limit=3, unit="samples")])


def test_near_duplicates_stay_in_one_fold(tmp_path: Path) -> None:
    """A question in three wordings, 20 times: whole questions are left out."""
    log = a_log()
    words, rng = (
        ["amber", "birch", "coral", "dune", "elm", "fern", "gorse", "hazel"],
        np.random.default_rng(1),
    )
    texts = [" ".join(rng.choice(words, 12)) for _ in range(20)]
    forms = [str.capitalize, str.upper, lambda text: text + "?"]
    records = [
        {
            "prompt_id": prompt.id,
            "prompt": forms[row % 3](texts[row // 3]),
            "generator": "tiny",
            "samples": [
                {"answer": sample.answer, "correct": sample.correct, "output_tokens": 10}
                for sample in log.samples(prompt.id, "tiny")
            ],
        }
        for row, prompt in enumerate(log.prompts)
    ]
    copies = SampleLog.from_records(records, log.generators)
    found = train(copies, tmp_path / "policy", n_trials=1)
    (one,) = rehearse(found, copies, budgets=[TOKENS], n_batch=5, n_rehearsals=6, n_trials=1)
    assert set((one.fold_size % 3).tolist()) == {0}


@pytest.mark.parametrize("objective", ["contrast", "coverage"])
def test_what_rehearsals_cannot_count_is_refused(objective: str, tmp_path: Path) -> None:
    found = train(a_log(), tmp_path / "policy", n_trials=1, objective=objective)
    with pytest.raises(InvalidInputError, match=f"trained for {objective}"):
        rehearse(found, a_log(), budgets=[TOKENS])


def test_labels_are_no_verdicts_to_rehearse_by(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=4, seed=1).without_verdicts()
    found = train(log, tmp_path / "policy", n_trials=1, labels="agreement")
    with pytest.raises(InvalidInputError, match="trained on labels"):
        rehearse(found, log, budgets=[TOKENS])
