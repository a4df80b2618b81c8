"""Tuning with and without the learned verifier: nothing that was shown to pay is lost by offering it."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.belief.weight_spec import STATIC, PolicyMixture, PolicySpec
from policies.course.allocation import Allocation
from training.frontier import interval
from training.menu.crossfit import CrossFit
from training.menu.menu_choice import gain_over_static, tune_menu

ONE = Allocation(generator="tiny", strategy="majority_vote", width=1)
NINE = Allocation(generator="tiny", strategy="majority_vote", width=9)
PICKED = Allocation(generator="tiny", strategy="best_of_n", width=2, params={"verifier": "learned"})
BINS = PolicyMixture(members=(PolicySpec(family="bins", n_bins=2),))
PLAIN = np.array([True, True, False])


def crossfit(picked: float) -> CrossFit:
    """Half of the prompts gain from nine votes, the others nothing; one pick is worth `picked` everywhere."""
    level = np.repeat([0.0, 1.0], 60)
    value = np.stack([np.full(120, 0.4), 0.4 + 0.4 * level, np.full(120, picked)], axis=1)
    cost = np.tile([1.0, 9.0, 2.0], (120, 1))
    return CrossFit.of(level[:, None], np.arange(120) % 5, value, cost, n_prices=20)


def test_a_policy_is_held_against_the_static_mix_of_the_whole_menu() -> None:
    worthless = gain_over_static(crossfit(0.4), (ONE, NINE, PICKED), BINS, PLAIN, seed=0)
    assert interval(worthless[1:], level=0.99)[0] > 0.01
    # Picking is cheaper than nine votes and nearly as good: the static mix of all wins.
    strong = gain_over_static(crossfit(0.6), (ONE, NINE, PICKED), BINS, PLAIN, seed=0)
    assert strong[0] < -0.05
    assert gain_over_static(crossfit(0.4), (ONE, NINE, PICKED), STATIC, PLAIN, seed=0)[0] == pytest.approx(0)


def test_the_whole_menu_is_kept_where_the_policy_pays_on_it() -> None:
    tuned, allowed = tune_menu(crossfit(0.4), (ONE, NINE, PICKED), n_trials=6, seed=0)
    assert tuned.deployed and allowed.shape == (3,) and allowed[:2].all()


def test_without_a_learned_verifier_it_is_plain_tuning() -> None:
    full = crossfit(0.4)
    two = CrossFit.of(full.coordinates, full.folds, full.value[:, :2], full.cost[:, :2], n_prices=20)
    tuned, allowed = tune_menu(two, (ONE, NINE), n_trials=1, seed=0)
    assert not tuned.deployed and tuned.n_trials == 1 and allowed.all()
