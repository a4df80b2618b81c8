"""Options of a belief: ranges are checked, arrays restore them, defaults go by the number of prompts."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.belief.belief_options import BeliefOptions
from difficulty.errors import InvalidInputError


def test_small_logs_mix_and_large_ones_do_not() -> None:
    small, large = BeliefOptions.for_prompts(999), BeliefOptions.for_prompts(1000)
    assert (small.min_leaf, small.needs_rates) == (5, True)
    assert (large.min_leaf, large.needs_rates) == (10, False)


def test_options_survive_their_array() -> None:
    options = BeliefOptions(n_trees=7, nearest=0.25, bandwidth=0.3)
    assert BeliefOptions.from_array(options.to_array()) == options
    for array in (options.to_array()[1:], options.to_array() * np.nan, np.zeros(10, dtype=int)):
        with pytest.raises(InvalidInputError, match="finite numbers"):
            BeliefOptions.from_array(array)
    halves = options.to_array()
    halves[0] = 7.5
    with pytest.raises(InvalidInputError, match="whole number"):
        BeliefOptions.from_array(halves)


@pytest.mark.parametrize(
    "wrong",
    [
        {"forest": 0.0},
        {"kernel": -1.0},
        {"nearest": float("nan")},
        {"n_trees": 0},
        {"n_trees": 1001},
        {"min_leaf": 0},
        {"n_nearest": 0},
        {"max_features": 0.0},
        {"floor": 1.5},
        {"bandwidth": 0.0},
        {"bandwidth": float("inf")},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        BeliefOptions(**wrong)
