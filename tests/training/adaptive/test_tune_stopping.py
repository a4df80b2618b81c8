"""The search of recipes: resumable, repeatable, and taken only where it is clearly better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from difficulty.log.sample_pool import SamplePool
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Always
from policies.ladder.value_rule import JUDGED
from policies.replay.pools import ReplayPool, sample_scales
from policies.verifier.learned_verifier import CorrectnessModel, LearnedScorer
from training.adaptive.candidates import Bench, Contender
from training.adaptive.fit import AdaptiveFit, Search, fit_adaptive
from training.adaptive.proposals import Settings
from training.adaptive.recipes import Facts, Recipe, Route
from training.adaptive.tune import _params, _recipe, _suggest, tune_recipes, worth_over
from training.menu.storage import study_storage

PRICES = np.geomspace(0.1, 1e-4, 6)
SETTINGS = Settings(n_draws=600, features=("agreement",), sharpness=(0.0,), max_samples=8)


def pools(n_prompts: int = 120, *, sure: float = 2.5) -> dict[str, ReplayPool]:
    """Return samples that are right half of the time, and whose log-probability tells it."""
    rng = np.random.default_rng(0)
    right = rng.random((n_prompts, 8)) < 0.45
    nothing = np.full(right.shape, np.nan)
    pool = SamplePool(
        generator="g",
        n=np.full(n_prompts, 8),
        n_correct=right.sum(axis=1),
        correct=right.astype(np.int8),
        answer=np.where(right, 0, rng.integers(1, 3, size=right.shape)).astype(np.int32),
        output_tokens=nothing,
        score=nothing,
        mean_logprob=0.05 * (sure * right + rng.normal(size=right.shape)),
        truncated=np.zeros(right.shape, dtype=bool),
        prompt_tokens=np.full(n_prompts, np.nan),
        counts_only=np.zeros(n_prompts, dtype=bool),
    )
    return {"g": ReplayPool(pool=pool, cost=np.ones(right.shape), request_cost=np.zeros(n_prompts))}


def fitted(found: dict[str, ReplayPool], search: Search | None, settings: Settings = SETTINGS) -> AdaptiveFit:
    n = len(found["g"].pool.n)
    return fit_adaptive(
        found,
        difficulty=np.zeros((n, 0)),
        folds=np.arange(n) % 3,
        prices=PRICES,
        settings=settings,
        search=search,
    )


def bench(*, judged: bool = False) -> tuple[Bench, Facts]:
    found = pools()
    if judged:
        found = {"g": replace(found["g"], judge=LearnedScorer(models=(JUDGE,)))}
    scales = sample_scales(found)
    made = Bench(
        pools=found,
        scales=scales,
        difficulty=np.zeros((120, 0)),
        folds=np.arange(120) % 3,
        prices=PRICES,
        prompts=np.arange(120),
        objective="accuracy",
        settings=SETTINGS,
    )
    return made, Facts.of(found, scales)


def searched(storage: Path | None, *, n_trials: int, judged: bool = False, **first: Any) -> list[Contender]:
    made, facts = bench(judged=judged)
    routes = made.settings.routes(facts)
    return tune_recipes(
        made,
        facts,
        routes,
        reference=np.zeros((120, len(PRICES))),
        first=replace(Recipe(route=routes[0]), **first),
        n_trials=n_trials,
        seed=3,
        storage=storage,
    )


JUDGE = CorrectnessModel(
    generator="g",
    columns=(),
    centre=(0.0,) * 6,
    scale=(1.0,) * 6,
    weights=(4.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    intercept=-2.0,
    trees=None,
    log_loss=0.5,
    brier=0.2,
    base_brier=0.25,
    calibration_error=0.01,
)


def trials(journal: Path) -> list[optuna.trial.FrozenTrial]:
    storage = study_storage(journal)
    assert storage is not None
    return optuna.load_study(study_name="stopping", storage=storage).trials


def test_what_a_candidate_adds_counts_only_beyond_its_error() -> None:
    value = np.array([[0.6, 0.1], [0.8, 0.3]])
    one = Contender(
        name="one",
        ladder=Ladder(waves=(Wave(generator="g"),)),
        fit=lambda _: Always(),
        value=value,
        cost=np.ones((2, 2)),
    )
    prices, reference = np.array([0.2, 0.1]), np.full((2, 2), 0.15)
    # Value after cost is .4 and .6 at the first price, 0 and .2 at the second.
    plain = worth_over(reference, one, prices, caution=0.0)
    assert plain == pytest.approx(((0.5 - 0.15) + 0.0) / 2)
    careful = worth_over(reference, one, prices, caution=2.0)
    assert careful == pytest.approx((0.35 - 2 * 0.1 / np.sqrt(2)) / 2)


def test_a_resumed_study_runs_only_what_is_missing_and_finds_the_same(tmp_path: Path) -> None:
    whole = searched(None, n_trials=12)
    journal = tmp_path / "trials.log"
    searched(journal, n_trials=5)
    resumed = searched(journal, n_trials=12)
    assert len(trials(journal)) == 12
    assert [item.name for item in resumed] == [item.name for item in whole]
    for again, before in zip(resumed, whole, strict=True):
        assert again.value.tobytes() == before.value.tobytes()


def test_the_first_trial_is_the_recipe_that_training_starts_from(tmp_path: Path) -> None:
    journal = tmp_path / "trials.log"
    searched(journal, n_trials=1)
    (trial,) = trials(journal)
    assert trial.params["growth"] == Recipe(route=SETTINGS.routes(bench()[1])[0]).growth
    assert trial.params["ridge"] == SETTINGS.ridge


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize(
    "numbers", [{"singles": 3, "growth": 1.5}, {"sharpness": 3.0}, {"chance_weight": 4.0, "singles": 5}]
)
def test_the_first_trial_is_the_recipe_asked_for(
    tmp_path: Path, numbers: dict[str, Any], judged: bool
) -> None:
    if "chance_weight" in numbers and not judged:
        pytest.skip("no ladder is judged without a verifier")
    journal = tmp_path / "trials.log"
    searched(journal, n_trials=1, judged=judged, **numbers)
    made, facts = bench(judged=judged)
    routes = made.settings.routes(facts)
    (trial,) = trials(journal)
    recipe, features, ridge = _recipe(trial.params, routes)
    assert recipe == replace(Recipe(route=routes[0]), **numbers)
    assert (features, ridge) == (JUDGED if "chance_weight" in numbers else "agreement", SETTINGS.ridge)


@pytest.mark.parametrize("more", [{"starts": ("cheap",)}, {"partner": "cheap"}])
@pytest.mark.parametrize("pooled", [True, False])
def test_a_first_trial_has_all_numbers_of_its_route(more: dict[str, Any], pooled: bool) -> None:
    route = Route(strong="g", **more)
    same = {"g": 1.0, "cheap": 1.0}
    facts = Facts(
        accuracy=same, votes=same, cost=same, recorded={"g": 8, "cheap": 8}, logprob_sd=same, pooled=pooled
    )
    weight: dict[str, Any] = {"cheap_weight": 0.3} if pooled else {}
    numbers: dict[str, Any] = (
        {"cheap_samples": 3, **weight} if route.starts else {"partner_after": 2, "partner_weight": 0.5}
    )
    asked = replace(Recipe(route=route), **numbers)
    params = _params(asked, [Route(strong="g"), route], facts, "full", 0.05)
    fixed = optuna.trial.FixedTrial(params)
    drawn = _suggest(fixed, [Route(strong="g"), route], facts)  # type: ignore[arg-type]
    assert drawn == params, "what is not given would be drawn at random"
    assert _recipe(drawn, [Route(strong="g"), route]) == (asked, "full", 0.05)


def test_stored_trials_that_ask_a_missing_verifier_are_left_out(tmp_path: Path) -> None:
    journal = tmp_path / "trials.log"
    before = searched(journal, n_trials=6, judged=True, chance_weight=4.0)
    assert any(item.ladder.judged for item in before)
    again = searched(journal, n_trials=8)
    assert not any(item.ladder.judged for item in again)


def test_tuned_recipes_are_taken_where_they_are_clearly_better() -> None:
    found = pools()
    plain, tuned = fitted(found, None), fitted(found, Search(n_trials=16))
    steep = [move.ladder.steepness("g") for move in tuned.policy.moves]
    assert max(steep) > 1.0
    worth = [(fit.value - PRICES * fit.cost).mean() for fit in (plain, tuned)]
    assert worth[1] > worth[0] + 0.01
    never = fitted(found, Search(n_trials=16), replace(SETTINGS, tuned_caution=1e6))
    assert never.names == plain.names


def test_trials_change_nothing_where_samples_tell_nothing() -> None:
    plain, tuned = fitted(pools(sure=0.0), None), fitted(pools(sure=0.0), Search(n_trials=6))
    worth = [(fit.value - PRICES * fit.cost).mean() for fit in (plain, tuned)]
    assert worth[1] == pytest.approx(worth[0], abs=0.02)
