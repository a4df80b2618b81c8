"""Directions that are rounding errors are no features."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.features.principal_axes import principal_axes
from difficulty.features.prompt_features import PromptFeatures
from difficulty.features.text.embedding import TextEmbedding
from difficulty.prompt import Prompt


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_as_many_axes_as_rows_vary_in(rank: int) -> None:
    rng = np.random.default_rng(rank)
    rows = rng.normal(size=(60, rank)) @ rng.normal(size=(rank, 40))
    sizes, axes = principal_axes(rows, 12, seed=0)
    assert axes.shape == (rank, 40)
    np.testing.assert_allclose(sizes, np.linalg.svd(rows, compute_uv=False)[:rank])


def test_small_directions_that_are_real_are_kept() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4)) * [1.0, 1e-1, 1e-3, 1e-9]
    assert len(principal_axes(rows, 4, seed=0)[1]) == 3


def test_rows_that_say_nothing_leave_one_axis() -> None:
    assert principal_axes(np.zeros((10, 5)), 3, seed=0)[1].shape == (1, 5)


def test_texts_of_one_template_get_few_dimensions() -> None:
    # Numbers count by their length only: lengths 1 and 2 at two places are all that varies.
    texts = [f"Add {10**first} and {10**second}" for first in (0, 1) for second in (0, 1)] * 40
    embedded = TextEmbedding(dims=16).fit(texts).transform(texts)
    assert 1 <= embedded.shape[1] <= 4
    spread = embedded.astype(float).std(axis=0)
    assert (spread[1:] > 1e-3 * spread.max()).all()


def test_hidden_states_of_few_directions_are_not_filled_up_with_noise() -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(96, 2)) @ rng.normal(size=(2, 30)) + rng.normal(size=(96, 30)) * 1e-9
    prompts = [Prompt(id=str(row), text=f"question {row}") for row in range(96)]
    names = PromptFeatures(hidden_dims=8).fit(prompts, hidden).names_
    assert [name for name in names if name.startswith("hidden")] == ["hidden_0", "hidden_1"]
