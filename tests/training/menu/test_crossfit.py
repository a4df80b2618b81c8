"""Cross-fitted replay: no prompt meets its own samples, and every row is accounted for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.weight_spec import PolicyMixture, PolicySpec
from training.menu.crossfit import CrossFit

KERNEL = PolicySpec(family="kernel", level_bandwidth=0.3, deviation_bandwidth=1.0, floor=0.01)


def crossfit(seed: int = 0, n_prompts: int = 60) -> CrossFit:
    """Easy prompts have a high coordinate; dear allocations are better, and pay in the middle only."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n_prompts, 1))
    cost = np.tile([10.0, 30.0, 90.0], (n_prompts, 1)) * rng.uniform(0.8, 1.2, size=(n_prompts, 1))
    value = 1 / (1 + np.exp(-4 * level - np.array([0.0, 0.8, 1.2]) + 0.2 * rng.normal(size=(n_prompts, 3))))
    return CrossFit.of(level, np.arange(n_prompts) % 5, value, cost, n_prices=12)


def test_every_prompt_earns_one_of_its_own_values_at_its_cost() -> None:
    fit = crossfit()
    replay = fit.replay(KERNEL)
    assert replay.value.shape == (60, len(fit.prices))
    matches = (replay.value[:, :, None] == fit.value[:, None, :]) & (
        replay.cost[:, :, None] == fit.cost[:, None, :]
    )
    assert matches.any(axis=2).all()


def test_what_a_prompt_gets_never_depends_on_its_own_fold() -> None:
    fit = crossfit()
    before = fit.replay(KERNEL)
    fold = fit.folds == 2
    # Its own values upside down: the same allocations must be chosen, at the same cost.
    value = fit.value.copy()
    value[fold] = 1 - value[fold]
    after = replace(fit, value=value).replay(KERNEL)
    assert_array_equal(after.cost[fold], before.cost[fold])
    assert_array_equal(after.value[fold], 1 - before.value[fold])
    assert (after.cost[~fold] != before.cost[~fold]).any()


def test_static_gives_every_prompt_of_a_fold_the_same() -> None:
    fit = crossfit()
    cost = fit.cost / fit.cost[:, :1]
    replay = replace(fit, cost=np.round(cost, 9)).replay(PolicySpec())
    for fold in range(5):
        assert_allclose(replay.cost[fit.folds == fold], np.tile(replay.cost[fit.folds == fold][:1], (12, 1)))


def test_one_fold_at_a_time_adds_up_to_the_whole() -> None:
    fit = crossfit()
    whole = fit.replay(KERNEL)
    parts = [fit.replay(KERNEL, fold=fold) for fold in range(5)]
    for index in (0, 1):
        stacked = np.stack([part[index] for part in parts])
        assert (np.isnan(stacked).sum(axis=0) == 4).all()
        assert_array_equal(np.nansum(stacked, axis=0), whole[index])


def test_only_the_allowed_part_of_the_menu_is_used() -> None:
    fit = crossfit()
    replay = fit.replay(KERNEL, np.array([True, False, True]))
    assert not (replay.cost[:, :, None] == fit.cost[:, None, 1:2]).any()


def test_telling_prompts_apart_pays_on_the_planted_log() -> None:
    fit = crossfit(n_prompts=200)
    learned, static = fit.replay(KERNEL), fit.replay(PolicySpec())
    # Half way to the dearest, equal money buys more.
    budget = float(static.cost.mean(axis=0)[[0, -1]].mean())
    ours = np.interp(budget, learned.cost.mean(axis=0), learned.value.mean(axis=0))
    theirs = np.interp(budget, static.cost.mean(axis=0), static.value.mean(axis=0))
    assert ours > theirs + 0.005


def test_a_mixture_of_copies_is_the_specification_itself() -> None:
    fit = crossfit()
    assert_array_equal(fit.replay(PolicyMixture(members=(KERNEL, KERNEL))).cost, fit.replay(KERNEL).cost)
