"""Tuning: resumable, seeded, and honest about whether anything beats static."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.weight_spec import STATIC, PolicySpec
from difficulty.errors import InvalidInputError
from policies.course.allocation import Allocation
from training.menu.crossfit import CrossFit, Replay
from training.menu.tuning import Scorer, SearchPoint, Tuned, menu_mask, tune

MENU = (
    Allocation(generator="small", strategy="majority_vote", width=1),
    Allocation(generator="small", strategy="majority_vote", width=5),
    Allocation(generator="large", strategy="majority_vote", width=1),
    Allocation(generator="large", strategy="best_of_n", width=4, params={"verifier": "score"}),
)


def crossfit(seed: int, *, text_tells: bool, n_prompts: int = 100) -> CrossFit:
    """More compute pays for prompts of middle difficulty only; coordinates show it, or are dealt out."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n_prompts, 1))
    gains = np.array([0.0, 1.0, 1.5, 2.0])
    success = 1 / (1 + np.exp(-4 * level - gains + 0.4 * rng.normal(size=(n_prompts, 4))))
    value = rng.binomial(10, success) / 10
    cost = np.array([10.0, 50.0, 80.0, 320.0]) * rng.uniform(0.8, 1.25, size=(n_prompts, 4))
    shown = level if text_tells else rng.permutation(level)
    return CrossFit.of(shown, np.arange(n_prompts) % 5, value, cost, n_prices=20)


def run(fit: CrossFit, n_trials: int = 12, **more: Any) -> Tuned:
    return tune(fit, MENU, n_trials=n_trials, seed=0, **more)


def study_of(path: Path, name: str = "policy") -> optuna.Study:
    journal = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(journal))


def test_a_policy_that_tells_prompts_apart_is_deployed() -> None:
    tuned = run(crossfit(0, text_tells=True))
    assert tuned.deployed
    assert tuned.policy.family != "static"
    assert tuned.gain_interval[0] > 0
    assert tuned.gain_interval[0] <= tuned.gain <= tuned.gain_interval[1]
    assert tuned.n_trials == 12


@pytest.mark.parametrize("seed", range(6))
def test_shuffled_texts_fall_back_to_static(seed: int) -> None:
    tuned = run(crossfit(seed, text_tells=False), n_trials=25)
    assert not tuned.deployed
    assert tuned.policy == STATIC
    assert tuned.menu == "all"


def test_one_trial_is_the_static_mix_with_no_gain() -> None:
    tuned = run(crossfit(0, text_tells=True), n_trials=1)
    assert tuned.policy == STATIC
    assert tuned.gain == 0
    assert tuned.gain_interval == (0, 0)
    assert not tuned.deployed


def test_the_search_begins_with_static_and_known_points(tmp_path: Path) -> None:
    run(crossfit(0, text_tells=True), n_trials=6, storage=tmp_path / "journal")
    trials = study_of(tmp_path / "journal").trials
    assert trials[0].params == {"family": "static"}
    assert trials[0].value == 0
    assert [trial.params["family"] for trial in trials[:5]] == [
        "static",
        "kernel",
        "kernel",
        "kernel",
        "bins",
    ]


def test_static_scores_nothing_whatever_the_data() -> None:
    scorer = Scorer(crossfit(3, text_tells=True), MENU)
    assert scorer.score(SearchPoint(spec=PolicySpec())) == 0
    # All shrunk is static; weights are float32, so ties may turn.
    shrunk = SearchPoint(spec=PolicySpec(family="kernel", shrinkage=1.0))
    assert_allclose(scorer.score(shrunk), 0, atol=1e-6)


def test_a_resumed_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    fit = crossfit(0, text_tells=True)
    seen: list[tuple[int, int]] = []
    run(fit, n_trials=7, storage=tmp_path / "journal")
    resumed = run(
        fit,
        n_trials=26,
        storage=tmp_path / "journal",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(number, 26) for number in range(8, 27)]
    straight = run(fit, n_trials=26, storage=tmp_path / "straight")
    ours, theirs = (study_of(tmp_path / name).trials for name in ("journal", "straight"))
    assert [trial.params for trial in ours] == [trial.params for trial in theirs]
    assert [trial.value for trial in ours] == [trial.value for trial in theirs]
    assert resumed == straight
    drawn = [tuple(sorted(trial.params.items())) for trial in ours if trial.params["family"] != "static"]
    assert len(set(drawn)) == len(drawn)


def test_enough_trials_in_the_storage_run_none_more(tmp_path: Path) -> None:
    fit = crossfit(0, text_tells=True)
    first = run(fit, n_trials=8, storage=tmp_path / "journal")
    again = run(fit, n_trials=5, storage=tmp_path / "journal")
    assert len(study_of(tmp_path / "journal").trials) == 8
    assert again == first


def test_an_rdb_url_keeps_the_study_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    fit = crossfit(0, text_tells=True)
    run(fit, n_trials=6, storage=url)
    resumed = run(fit, n_trials=9, storage=url)
    assert resumed.n_trials == 9
    assert resumed == run(fit, n_trials=9)


def test_studies_of_other_names_do_not_mix(tmp_path: Path) -> None:
    run(crossfit(0, text_tells=True), n_trials=6, storage=tmp_path / "journal", study_name="one")
    run(crossfit(1, text_tells=True), n_trials=7, storage=tmp_path / "journal", study_name="other")
    assert len(study_of(tmp_path / "journal", "one").trials) == 6
    assert len(study_of(tmp_path / "journal", "other").trials) == 7


def test_equal_seeds_agree_and_others_search_elsewhere(tmp_path: Path) -> None:
    fit = crossfit(0, text_tells=True)
    assert run(fit) == run(fit)
    for seed in (0, 1):
        tune(fit, MENU, n_trials=9, seed=seed, storage=tmp_path / str(seed))
    zero, one = ([t.params for t in study_of(tmp_path / name).trials] for name in ("0", "1"))
    assert zero[:5] == one[:5]
    assert zero[5:] != one[5:]


def test_optuna_is_left_as_talkative_as_it_was() -> None:
    before = optuna.logging.get_verbosity()
    run(crossfit(0, text_tells=True), n_trials=2)
    assert optuna.logging.get_verbosity() == before


def test_no_trials_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_trials must be at least 1, got 0"):
        run(crossfit(0, text_tells=True), n_trials=0)


def test_menus_keep_what_they_say() -> None:
    value = np.tile([0.2, 0.5, 0.3, 0.4], (3, 1))
    cost = np.tile([1.0, 2.0, 3.0, 4.0], (3, 1))
    assert menu_mask("all", value, cost, MENU).all()
    assert_array_equal(menu_mask("votes", value, cost, MENU), [True, True, True, False])
    assert_array_equal(menu_mask("hull_generators", value, cost, MENU), [True, True, False, False])
    # A menu without any vote keeps all rather than nothing.
    assert menu_mask("votes", value[:, 3:], cost[:, 3:], MENU[3:]).all()


def test_what_cannot_be_bought_is_a_loss() -> None:
    fit = crossfit(0, text_tells=True)
    scorer = Scorer(fit, MENU)
    # Right every time, at the price of the dearest allocation: far beyond the lower budgets.
    only_dear = Replay(np.tile(fit.cost[:, 3:], 4), np.ones((100, 4)))
    gains = scorer.gains(only_dear, np.full((1, 100), 1 / 100))[0]
    assert gains[0] < -1
    assert np.all(np.diff(gains) > 0)
