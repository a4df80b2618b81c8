"""The belief that costs are expected by: as sharp as recorded costs bear out, none where nothing is told."""

from __future__ import annotations

import numpy as np
import pytest

from training.adaptive.cost_belief import fit_cost_belief

N_PROMPTS = 150
ALONE = np.arange(N_PROMPTS).astype(str)


@pytest.fixture(scope="module")
def level() -> np.ndarray:
    return np.random.default_rng(0).normal(size=N_PROMPTS)


def fitted(level: np.ndarray, cost: np.ndarray, groups: np.ndarray = ALONE) -> float:
    found = fit_cost_belief(level[:, None], cost[:, None], groups=groups, seed=0)
    assert found is not None
    assert found.shrinkage == 0
    return found.level_bandwidth


def test_costs_that_turn_with_the_level_are_told_sharply_and_noise_is_not(level: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=N_PROMPTS)
    told = np.where(level > -0.5, 300.0, 20.0)
    assert fitted(level, told + 5 * noise) <= 0.15
    assert fitted(level, 200 + 50 * noise) >= 1.5


def test_near_duplicates_do_not_tell_of_each_other(level: np.ndarray) -> None:
    # Five copies of each of thirty prompts, and costs that only copies share.
    copies = np.repeat(np.arange(30), 5)
    place = level[:30][copies] + 1e-3 * level
    cost = 100 + 50 * np.random.default_rng(2).normal(size=30)[copies]
    assert fitted(place, cost) < 0.3, "copies of other groups tell everything"
    assert fitted(place, cost, copies.astype(str)) > 1.0


def test_prompts_that_were_not_replayed_are_left_out(level: np.ndarray) -> None:
    cost = np.where(level > 0, 300.0, 20.0)[:, None].repeat(2, axis=1)
    cost[:, 1] = 40.0  # a level at which all cost the same tells nothing
    whole = fit_cost_belief(level[:, None], cost, groups=ALONE, seed=0)
    holes = np.concatenate([cost, np.full((30, 2), np.nan)])
    at = np.concatenate([level, np.full(30, 9.0)])[:, None]
    groups = np.arange(N_PROMPTS + 30).astype(str)
    assert fit_cost_belief(at, holes, groups=groups, seed=0) == whole


def test_of_many_prompts_a_sample_is_looked_at() -> None:
    rng = np.random.default_rng(3)
    level = rng.normal(size=(2000, 2))
    cost = (100 + 30 * level[:, :1] + 10 * rng.normal(size=(2000, 1))).clip(1, None)
    groups = np.arange(2000).astype(str)
    found = fit_cost_belief(level, cost, groups=groups, seed=5)
    assert found is not None
    assert found.deviation_bandwidth >= 1, "the second coordinate tells nothing"


def test_without_anything_that_varies_there_is_none(level: np.ndarray) -> None:
    same = np.full((N_PROMPTS, 3), 70.0)
    assert fit_cost_belief(level[:, None], same, groups=ALONE, seed=0) is None
    assert fit_cost_belief(np.zeros((N_PROMPTS, 1)), level[:, None], groups=ALONE, seed=0) is None
    assert fit_cost_belief(level[:, None], np.full((N_PROMPTS, 1), np.nan), groups=ALONE, seed=0) is None
