"""Familiarity: about 1 for prompts like those of training, near 0 for strangers, and beliefs follow it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.familiarity import Familiarity
from difficulty.belief.familiarity_fit import HeldOut, fit_strangeness, fitted_fall, wording_clusters
from difficulty.belief.text_belief import TextBelief
from difficulty.belief.text_belief_fit import fit_text_belief
from difficulty.errors import InvalidInputError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.prompt import Prompt


def features(seed: int, n_prompts: int = 300) -> np.ndarray:
    """Return prompts of three kinds, each a cloud in six dimensions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_prompts, 6)) * 0.3 + 3 * np.eye(6)[np.arange(n_prompts) % 3]


BLOCKS = np.array([0, 0, 0, 1, 1, 1])


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    rows = features(0)
    return fit_strangeness(rows, np.arange(300) % 5, np.arange(300) % 3, blocks=BLOCKS, seed=0).familiarity


def test_prompts_like_those_of_training_are_familiar(familiarity: Familiarity) -> None:
    known = familiarity.of(features(1))
    assert known.mean() > 0.97
    assert (known < 0.5).mean() <= 0.02


def test_strangers_are_not(familiarity: Familiarity) -> None:
    assert familiarity.of(np.full((1, 6), 8.0))[0] < 0.01
    assert familiarity.of(features(1) - 6).max() < 0.01


def test_one_strange_block_is_enough(familiarity: Familiarity) -> None:
    odd = features(1)
    odd[:, 3:] += np.array([3.0, -3.0, 3.0])
    assert familiarity.of(odd).max() < 0.05


def test_a_prompt_without_features_is_a_stranger_and_one_missing_feature_is_no_reason(
    familiarity: Familiarity,
) -> None:
    rows = features(1)[:2]
    rows[0] = np.nan
    rows[1, 4] = np.nan
    known = familiarity.of(rows)
    assert known[0] == 0
    assert known[1] > 0.9


def test_wording_that_is_projected_to_nothing_is_strange_wherever_it_lies(familiarity: Familiarity) -> None:
    """Words that training never saw lie in the midst of its kinds, where distances find nothing strange."""
    rows = features(1)
    assert_array_equal(replace(familiarity, usual=0.5, wording=1).of(rows + 9), familiarity.of(rows + 9))
    rows[:, 3:] *= (0.3 / np.linalg.norm(rows[:, 3:], axis=1))[:, None]
    worded = replace(familiarity, usual=0.4, wording=1)
    assert_allclose(worded.of(rows), familiarity.of(rows) * 0.5)  # midway from half of the usual to all of it
    assert not replace(familiarity, usual=0.61, wording=1).of(rows).any()
    restored = Familiarity.from_arrays(worded.to_arrays())
    assert_array_equal(restored.of(rows), worded.of(rows))
    arrays = {**familiarity.to_arrays(), "fall": np.array([1.0, 0.25])}  # as bundles had it before
    assert_array_equal(Familiarity.from_arrays(arrays).of(rows), familiarity.of(rows))
    odd: dict[str, Any]
    for odd in ({"usual": -1.0}, {"usual": np.inf}, {"wording": 2}, {"wording": -1}):
        with pytest.raises(InvalidInputError, match="usual wording"):
            replace(familiarity, **odd)


def test_a_feature_that_never_varied_may_not_vary_a_little() -> None:
    rows = np.column_stack([features(0), np.full(300, 2.0)])
    fitted = fit_strangeness(
        rows, np.arange(300) % 5, np.arange(300) % 3, blocks=np.zeros(7, dtype=int), seed=0
    ).familiarity
    fresh = np.column_stack([features(1), np.full(300, 2.0)])
    assert fitted.of(fresh).mean() > 0.97
    fresh[:, 6] = 9.0
    assert fitted.of(fresh).max() < 0.2


def test_held_out_clusters_are_stranger_than_held_out_folds() -> None:
    rows = features(0)
    clusters = wording_clusters(rows, n_clusters=9, seed=0)
    assert len(np.unique(clusters)) == 9
    strangeness = fit_strangeness(rows, np.arange(300) % 5, np.arange(300) % 3, blocks=BLOCKS, seed=0)
    assert np.median(strangeness.by_fold) < 1
    assert strangeness.by_cluster.min() > 2


def test_many_prompts_are_told_by_their_kinds() -> None:
    rows = features(0, n_prompts=3000)
    fitted = fit_strangeness(rows, np.arange(3000) % 5, np.arange(3000) % 3, blocks=BLOCKS, seed=0)
    assert len(fitted.familiarity.landmarks) <= 512
    assert fitted.familiarity.of(features(1)).mean() > 0.97
    assert fitted.familiarity.of(features(1) - 6).max() < 0.01


def test_familiarity_falls_where_what_is_told_goes_wrong(familiarity: Familiarity) -> None:
    rng = np.random.default_rng(0)
    strange = rng.uniform(0, 2, size=4000)
    told = rng.uniform(size=4000)
    for wrong_from in (0.75, 1.5):
        came = np.where(strange < wrong_from, told, 0.5)
        way = HeldOut(strange, told, np.full(4000, 0.5), came)
        assert fitted_fall(familiarity, (way,), least=0.5).knee == pytest.approx(wrong_from, abs=0.26)
    usual = HeldOut(strange, told, np.full(4000, 0.5), np.where(strange < 0.5, told, 0.5))
    assert fitted_fall(familiarity, (usual,), least=0.9).knee == 1.0
    nothing_gained = HeldOut(strange, told, told, told)
    assert fitted_fall(familiarity, (nothing_gained,), least=0.0).knee == 1.0


def test_equal_prompts_are_equally_familiar_and_arrays_restore(familiarity: Familiarity) -> None:
    rows = np.concatenate([features(1) - 1, features(1)[::-1] - 1])
    known = familiarity.of(rows)
    assert_array_equal(known[:300], known[:299:-1])
    assert familiarity.of(rows[7:8])[0] == known[7]
    assert_array_equal(Familiarity.from_arrays(familiarity.to_arrays()).of(rows), known)


def test_damaged_arrays_are_refused(familiarity: Familiarity) -> None:
    good = familiarity.to_arrays()
    for change in (
        {"spread": good["spread"] * 0},
        {"centre": good["centre"] * np.nan},
        {"landmarks": good["landmarks"][:0]},
        {"landmarks": good["landmarks"][:, 1:]},
        {"blocks": good["blocks"] - 1},
        {"blocks": good["blocks"] + 10**9},
        {"blocks": good["blocks"].astype(float)},
        {"limits": good["limits"][1:]},
        {"limits": -good["limits"]},
        {"fall": good["fall"][:1]},
        {"fall": good["fall"] + np.inf},
        {"stranger": good["fall"]},
    ):
        with pytest.raises(InvalidInputError):
            Familiarity.from_arrays({**good, **change})
    for name in good:
        with pytest.raises(InvalidInputError):
            Familiarity.from_arrays({other: array for other, array in good.items() if other != name})
    with pytest.raises(InvalidInputError, match="features must"):
        familiarity.of(np.zeros((1, 5)))


def word_problem(rng: np.random.Generator) -> tuple[Prompt, float]:
    """Return a sum with two to six numbers, and the chance of getting it right."""
    numbers = rng.integers(1, 100, size=int(rng.integers(2, 7)))
    names = ("Tom", "Ann", "Eve", "Max")
    bags = ", then ".join(f"{number} apples" for number in numbers)
    return Prompt(text=f"{names[int(rng.integers(4))]} buys {bags}. How many are there?"), 1.1 - 0.17 * len(
        numbers
    )


@pytest.fixture(scope="module")
def read_texts() -> tuple[PromptFeatures, TextBelief]:
    rng = np.random.default_rng(0)
    prompts, rates = zip(*(word_problem(rng) for _ in range(160)), strict=True)
    read = PromptFeatures(embedding_dims=16).fit(prompts)
    n = np.full((160, 1), 8)
    n_correct = rng.binomial(n, np.array(rates)[:, None])
    fitted = fit_text_belief(
        read.transform(prompts),
        n,
        n_correct,
        np.arange(160) % 5,
        seed=0,
        options=BeliefOptions(n_trees=40, min_leaf=5),
        blocks=read.blocks_,
    )
    return read, fitted.belief


def test_texts_of_the_training_kind_are_believed(read_texts: tuple[PromptFeatures, TextBelief]) -> None:
    read, belief = read_texts
    rng = np.random.default_rng(1)
    prompts, rates = zip(*(word_problem(rng) for _ in range(80)), strict=True)
    reading = belief.read(read.transform(prompts))
    assert reading.familiarity.mean() > 0.9
    told = belief.success_rates(read.transform(prompts))[:, 0]
    assert np.corrcoef(told, rates)[0, 1] > 0.9


@pytest.mark.parametrize(
    "text",
    [
        "请证明黎曼猜想，并说明每一步的理由。",
        "Prove the Riemann hypothesis.",
        "x8!`~q}W\u00e9\u00ff\u0002 zz@@#|\\^^ 0o0o0 ]]]",
        "def f(x):\n    return sorted(x)[::-1]\n\nWrite unit tests for this function.",
        "?",
    ],
)
def test_foreign_texts_are_told_what_the_population_is(
    read_texts: tuple[PromptFeatures, TextBelief], text: str
) -> None:
    read, belief = read_texts
    row = read.transform([Prompt(text=text)])
    reading = belief.read(row)
    assert reading.familiarity[0] < 0.05
    assert_allclose(reading.weights(), 1 / 160, atol=0.01)
    assert belief.success is not None
    assert_allclose(belief.success_rates(row)[0], belief.success.process.offset, atol=0.05)
