"""The simulated log of rewards: what is planted is there."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from training.simulated.rewards import simulated_rewards


def test_judges_know_what_they_are_said_to() -> None:
    known = {}
    for judge in ("faithful", "fooled", "blind"):
        pool = simulated_rewards(150, judge=judge, seed=3).valued_by("reward").pool("writer-1")  # type: ignore[arg-type]
        apart = (axis - axis.mean(axis=1, keepdims=True) for axis in (pool.value, pool.score))
        known[judge] = np.corrcoef(*(axis.ravel() for axis in apart))[0, 1]
    assert known["faithful"] > 0.9 > 0.4 > known["fooled"] and abs(known["blind"]) < 0.1


def test_equal_arguments_give_equal_logs_and_text_tells_how_far_samples_lie_apart() -> None:
    log = simulated_rewards(60, seed=1)
    assert log.digest == simulated_rewards(60, seed=1).digest != simulated_rewards(60, seed=2).digest
    spread = log.valued_by("reward").pool("writer-0").value.std(axis=1)
    poem = np.array(["poem" in str(prompt.text) for prompt in log.prompts])
    assert spread[poem].min() > spread[~poem].mean()


def test_numbers_and_judges_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        simulated_rewards(0)
    with pytest.raises(InvalidInputError, match="judge must be one of"):
        simulated_rewards(3, judge="wise")  # type: ignore[arg-type]
