"""Weights from text: they predict, they keep folds apart, and equal prompts get equal ones."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.skill import skill_of
from difficulty.belief.text_belief import TextBelief
from difficulty.belief.text_belief_fit import FittedBelief, fit_text_belief
from difficulty.errors import InvalidInputError
from difficulty.predictor.success_rates import success_rates

FOREST = BeliefOptions(n_trees=40, min_leaf=5)
MIXTURE = BeliefOptions(n_trees=40, min_leaf=5, nearest=1.0, kernel=1.0)


def planted(seed: int = 0, n_prompts: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features, counts and folds of two generators, each good at one kind of prompt."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_prompts, 6)).astype(np.float32)
    rate = 1 / (1 + np.exp(-3 * np.stack([features[:, 0], -features[:, 0]], axis=1)))
    n = np.full((n_prompts, 2), 10)
    return features, n, rng.binomial(n, rate), np.arange(n_prompts) % 5


@pytest.fixture(scope="module", params=[FOREST, MIXTURE], ids=["forest", "mixture"])
def fitted(request: pytest.FixtureRequest) -> FittedBelief:
    return fit_text_belief(*planted(), seed=0, options=request.param)


def test_weights_tell_which_generator_is_good(fitted: FittedBelief) -> None:
    _, n, n_correct, _ = planted()
    fresh = np.zeros((2, 6))
    fresh[:, 0] = 1.5, -1.5
    told = fitted.belief.weights(fresh) @ (n_correct / n)
    assert told[0, 0] - told[0, 1] > 0.4
    assert told[1, 1] - told[1, 0] > 0.4
    assert (fitted.skill > 0.3).all()


def test_skill_is_that_of_the_mixture_that_is_used(fitted: FittedBelief) -> None:
    options = fitted.belief.options
    other = fitted.mixed(replace(options, forest=0.0, nearest=1.0, kernel=0.0, n_nearest=20))
    _, n, n_correct, folds = planted()
    assert_allclose(other.skill, skill_of(other.out_of_fold, success_rates(n, n_correct), folds))
    assert (other.skill != fitted.skill).all()
    assert_allclose(other.mixed(options).skill, fitted.skill)


def test_weights_of_some_prompts_are_those_of_all_and_take_no_more_than_their_rows(
    fitted: FittedBelief,
) -> None:
    assert fitted.parts is not None
    rows = np.array([3, 77, 4])
    assert_array_equal(fitted.parts.weights(fitted.belief.options, rows), fitted.out_of_fold[rows])
    many = replace(
        fitted.parts,
        shared=np.broadcast_to(np.float32(1), (4000, 4000)),
        rates=np.resize(fitted.parts.rates, (4000, 2)),
        share=np.ones(4000),
        folds=np.arange(4000) % 5,
        familiarity=np.ones(4000),
    )
    tracemalloc.start()
    many.weights(fitted.belief.options, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6  # all of them would take 64 MB


def test_rows_sum_to_one_and_own_folds_get_nothing(fitted: FittedBelief) -> None:
    folds = planted()[3]
    assert fitted.out_of_fold.dtype == np.float32
    assert_allclose(fitted.out_of_fold.sum(axis=1), 1, atol=1e-5)
    assert (fitted.out_of_fold >= 0).all()
    assert not fitted.out_of_fold[folds[:, None] == folds].any()


def test_narrow_weights_are_sharper_and_only_where_rates_are_predicted(fitted: FittedBelief) -> None:
    features, n, n_correct, folds = planted()
    reading = fitted.belief.read(np.concatenate([features, np.full((1, 6), np.nan)]))
    narrow = reading.sharp()
    if not fitted.belief.options.needs_rates:
        assert narrow is None and fitted.sharp is None
        return
    assert narrow is not None and fitted.sharp is not None
    for sharp, wide in ((narrow[:-1], reading.weights()[:-1]), (fitted.sharp, fitted.out_of_fold)):
        assert_allclose(sharp.sum(axis=1), 1, atol=1e-5)
        assert np.median((sharp**2).sum(axis=1) / (wide**2).sum(axis=1)) > 1.5
    assert_allclose(narrow[-1], 1 / len(features))
    assert not fitted.sharp[folds[:, None] == folds].any()
    told = fitted.sharp @ (n_correct / n)
    assert np.corrcoef(told[:, 0], n_correct[:, 0])[0, 1] > 0.7


def test_strangers_are_like_all_references_also_by_narrow_weights() -> None:
    belief = fit_text_belief(*planted(), seed=0, options=MIXTURE).belief
    reading = belief.read(np.full((1, 6), 1e6))
    narrow = reading.sharp()
    assert narrow is not None and reading.familiarity[0] < 0.01
    assert_allclose(narrow, 1 / len(belief), rtol=0.05)


def test_a_prompts_own_outcome_does_not_move_its_forest_weights() -> None:
    features, n, n_correct, folds = planted()
    before = fit_text_belief(features, n, n_correct, folds, seed=0, options=FOREST).out_of_fold
    changed = n_correct.copy()
    changed[folds == 0] = 10 - changed[folds == 0]
    after = fit_text_belief(features, n, changed, folds, seed=0, options=FOREST).out_of_fold
    assert_array_equal(after[folds == 0], before[folds == 0])


def test_equal_prompts_get_equal_weights_however_they_are_batched(fitted: FittedBelief) -> None:
    fresh = np.random.default_rng(1).normal(size=(700, 6))
    fresh[3, 2] = np.nan
    batch = fitted.belief.weights(np.concatenate([fresh, fresh[::-1]]))
    assert_array_equal(batch[:700], batch[:699:-1])
    for row in (0, 3, 123, 699):
        assert_array_equal(fitted.belief.weights(fresh[row : row + 1])[0], batch[row])


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    first = fit_text_belief(*planted(), seed=3, options=MIXTURE)
    again = fit_text_belief(*planted(), seed=3, options=MIXTURE)
    other = fit_text_belief(*planted(), seed=4, options=MIXTURE)
    assert first.out_of_fold.tobytes() == again.out_of_fold.tobytes()
    ours, theirs = first.belief.to_arrays(), again.belief.to_arrays()
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in theirs.items()
    }
    assert first.out_of_fold.tobytes() != other.out_of_fold.tobytes()


def test_a_belief_survives_its_arrays(fitted: FittedBelief) -> None:
    fresh = np.random.default_rng(2).normal(size=(20, 6))
    restored = TextBelief.from_arrays(fitted.belief.to_arrays())
    assert_array_equal(restored.weights(fresh), fitted.belief.weights(fresh))


def test_some_references_share_the_weight_that_all_had() -> None:
    belief = fit_text_belief(*planted(), seed=0, options=FOREST).belief
    fresh = np.random.default_rng(2).normal(size=(20, 6))
    rows = np.arange(0, 150, 2)
    part = belief.take(rows)
    assert len(part) == 75
    assert_allclose(part.weights(fresh).sum(axis=1), 1, atol=1e-5)
    whole = belief.weights(fresh)[:, rows]
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(part.weights(fresh), whole, strict=True)]
    assert min(correlations) > 0.8


def test_a_prompt_that_meets_no_reference_gets_equal_weights() -> None:
    belief = fit_text_belief(*planted(), seed=0, options=BeliefOptions(n_trees=1)).belief
    fresh = np.zeros((1, 6))
    assert belief.forest is not None
    strangers = np.flatnonzero(belief.forest.weights(fresh)[0] == 0)
    assert_allclose(belief.take(strangers).weights(fresh), 1 / len(strangers), rtol=1e-6)


def test_prompts_without_features_get_equal_weights_and_lend_none() -> None:
    features, n, n_correct, folds = planted()
    features[::7] = np.nan
    fitted = fit_text_belief(features, n, n_correct, folds, seed=0, options=MIXTURE)
    mute = fitted.belief.weights(np.full((1, 6), np.nan))
    assert_allclose(mute, 1 / 150)
    assert not fitted.belief.weights(np.zeros((1, 6)))[:, ::7].any()
    assert_allclose(fitted.out_of_fold[7, folds != folds[7]], 1 / 120, rtol=1e-5)
    assert not fitted.out_of_fold[1, ::7].any()
    assert_allclose(fitted.belief.take(np.arange(0, 150, 7)).weights(np.zeros((1, 6))), 1 / 22)


@pytest.mark.parametrize("options", [FOREST, MIXTURE])
def test_ragged_counts_are_learnt_from(options: BeliefOptions) -> None:
    features, n, n_correct, folds = planted()
    rng = np.random.default_rng(5)
    gone = rng.random(n.shape) < 0.4
    fitted = fit_text_belief(
        features, np.where(gone, 0, n), np.where(gone, 0, n_correct), folds, seed=0, options=options
    )
    assert np.isfinite(fitted.out_of_fold).all()
    assert (fitted.skill > 0.2).all()


def test_a_generator_that_was_never_asked_crashes_nothing() -> None:
    features, n, n_correct, folds = planted()
    n[:, 1] = n_correct[:, 1] = 0
    fitted = fit_text_belief(features, n, n_correct, folds, seed=0, options=MIXTURE)
    assert fitted.skill[0] > 0.3
    assert fitted.skill[1] == 0


def test_rates_that_never_vary_give_weights_all_the_same() -> None:
    features, n, _, folds = planted()
    fitted = fit_text_belief(features, n, n, folds, seed=0, options=MIXTURE)
    assert_allclose(fitted.out_of_fold.sum(axis=1), 1, atol=1e-5)
    assert_array_equal(fitted.skill, 0)


def test_features_that_say_nothing_have_no_skill() -> None:
    features, n, n_correct, folds = planted()
    dealt = np.random.default_rng(1).permutation(len(n))
    fitted = fit_text_belief(features[dealt], n, n_correct, folds, seed=0, options=MIXTURE)
    assert fitted.skill.max() < 0.05


def test_a_single_generator_is_enough() -> None:
    features, n, n_correct, folds = planted()
    fitted = fit_text_belief(features, n[:, :1], n_correct[:, :1], folds, seed=0, options=MIXTURE)
    assert fitted.skill[0] > 0.3


def test_few_prompts_get_equal_weights() -> None:
    features, n, n_correct, folds = (array[:8] for array in planted())
    fitted = fit_text_belief(features, n, n_correct, folds, seed=0)
    assert fitted.belief.forest is None
    assert_allclose(fitted.belief.weights(features), 1 / 8)
    assert_allclose(TextBelief.from_arrays(fitted.belief.to_arrays()).weights(features), 1 / 8)
    assert_allclose(fitted.belief.take(np.arange(4)).weights(features), 1 / 4)


def test_huge_and_infinite_features_are_no_error() -> None:
    features, n, n_correct, folds = planted()
    features[0, 1], features[1, 1] = np.inf, -np.inf
    belief = fit_text_belief(features, n, n_correct, folds, seed=0, options=MIXTURE).belief
    assert_allclose(belief.weights(np.array([[1e300, -np.inf, 0, np.inf, 0, 0]])).sum(), 1, atol=1e-5)


def test_wrong_shapes_and_a_single_fold_are_refused() -> None:
    features, n, n_correct, folds = planted()
    with pytest.raises(InvalidInputError, match="P = 150"):
        fit_text_belief(features[1:], n, n_correct, folds, seed=0)
    with pytest.raises(InvalidInputError, match="two folds"):
        fit_text_belief(features, n, n_correct, np.zeros(150, dtype=int), seed=0)
    with pytest.raises(InvalidInputError, match="at most n"):
        fit_text_belief(features, n, n_correct + 10, folds, seed=0)
    belief = fit_text_belief(features, n, n_correct, folds, seed=0, options=FOREST).belief
    with pytest.raises(InvalidInputError, match="features must"):
        belief.weights(features[:, 1:])
    with pytest.raises(InvalidInputError, match="features must"):
        belief.weights(features[0])


def test_damaged_arrays_are_refused() -> None:
    good = fit_text_belief(*planted(), seed=0, options=MIXTURE).belief.to_arrays()
    rng = np.random.default_rng(0)
    leaves = good["forest.leaves"].copy()
    leaves[3, 2] = leaves[3, 1]
    damaged = [
        {"forest.leaves": leaves},
        {"forest.leaves": good["forest.leaves"][:-1]},
        {"rates": good["rates"] * np.nan},
        {"rates": good["rates"][:, :1]},
        {"share": good["share"] * 0.5},
        {"options": good["options"][:-1]},
        {"options": -good["options"]},
        {"success.slope": good["success.slope"] * np.inf},
        {"success.boosted.ends": good["success.boosted.ends"] + 1},
        {"success.process.spread": good["success.process.spread"] * 0},
        {"success.process.rows": good["success.process.rows"][:, 1:]},
        {"stranger": rng.random(3)},
    ]
    for change in damaged:
        with pytest.raises(InvalidInputError):
            TextBelief.from_arrays({**good, **change})
    for name in good:
        with pytest.raises(InvalidInputError):
            TextBelief.from_arrays({other: array for other, array in good.items() if other != name})
