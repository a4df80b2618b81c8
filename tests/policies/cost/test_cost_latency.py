"""The decode model: what it says about parallel and sequential samples, and how it is fitted."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from policies.cost.latency import DecodeModel, DecodeRun

TRUE = DecodeModel(
    per_step=0.02,
    per_sample=5e-4,
    per_context_token=1e-7,
    per_prompt_token=2e-4,
    per_request=0.05,
    length_spread=0.3,
)


# Expected maxima of so many standard normals, by numerical integration.
NORMAL_MAXIMA = {1: 0.0, 2: 0.5642, 4: 1.0294, 8: 1.4236, 32: 2.0697}


def runs(noise: float = 0.0) -> list[DecodeRun]:
    rng = np.random.default_rng(0)
    result = []
    for width in (1, 2, 8, 32):
        for prompt in (20, 500, 3000):
            for output in (30, 300, 900):
                # As the model takes it to be, so that nothing but noise is in the way of the fit.
                usual = NormalDist().inv_cdf((width - 0.375) / (width + 0.25))
                longest = output * (1 + TRUE.length_spread * usual)
                seconds = float(TRUE.seconds(width=width, prompt_tokens=prompt, output_tokens=output))
                result.append(
                    DecodeRun(
                        width=width,
                        prompt_tokens=prompt,
                        output_tokens=output,
                        longest_output_tokens=longest,
                        seconds=seconds * math.exp(noise * rng.normal()),
                    )
                )
    return result


@pytest.mark.parametrize("width", NORMAL_MAXIMA)
def test_the_longest_of_many_is_as_long_as_normals_say(width: int) -> None:
    model = DecodeModel(per_step=1.0, length_spread=0.3)
    longest = 100 * (1 + 0.3 * NORMAL_MAXIMA[width])
    assert float(model.seconds(width=width, output_tokens=100)) == pytest.approx(longest, rel=0.01)


def test_a_step_by_hand() -> None:
    model = replace(TRUE, length_spread=0.0)
    tokens, context = 4 * 100, 50 + 100 / 2
    expected = 0.05 + 2e-4 * 50 + 0.02 * 100 + 5e-4 * tokens + 1e-7 * tokens * context
    assert float(model.seconds(width=4, prompt_tokens=50, output_tokens=100)) == pytest.approx(expected)


def test_depth_adds_rounds_with_growing_prompts() -> None:
    model = replace(TRUE, length_spread=0.0)
    by_hand = sum(
        float(model.seconds(width=1, prompt_tokens=50 + min(step, 2) * 100, output_tokens=100))
        for step in range(5)
    )
    deep = model.seconds(width=1, depth=5, prompt_tokens=50, output_tokens=100, revision_window=2)
    assert float(deep) == pytest.approx(by_hand)


def test_parallel_is_quicker_than_sequential_where_steps_are_bound_by_weights() -> None:
    parallel = TRUE.seconds(width=16, prompt_tokens=100, output_tokens=200)
    sequential = TRUE.seconds(width=1, depth=16, prompt_tokens=100, output_tokens=200)
    assert float(parallel) < float(sequential) / 4


def test_arrays_are_like_scalars() -> None:
    width, depth, output = np.array([1.0, 4.0, 2.0]), np.array([1, 2, 8]), np.array([[50.0], [70.0]])
    table = TRUE.seconds(width=width, depth=depth, prompt_tokens=30.0, output_tokens=output)
    assert table.shape == (2, 3)
    for row in range(2):
        for column in range(3):
            one = TRUE.seconds(
                width=width[column],
                depth=int(depth[column]),
                prompt_tokens=30.0,
                output_tokens=output[row, 0],
            )
            assert table[row, column] == pytest.approx(float(one))


def test_fit_finds_the_times_again() -> None:
    fitted = DecodeModel.fit(runs())
    for name in DecodeModel.__dataclass_fields__:
        assert getattr(fitted, name) == pytest.approx(getattr(TRUE, name), rel=1e-6), name


def test_fit_under_noise_predicts_within_the_noise() -> None:
    fitted = DecodeModel.fit(runs(noise=0.05))
    for run in runs():
        seconds = fitted.seconds(
            width=run.width, prompt_tokens=run.prompt_tokens, output_tokens=run.output_tokens
        )
        assert float(seconds) == pytest.approx(run.seconds, rel=0.1)


def test_runs_that_cannot_be() -> None:
    good = runs()
    with pytest.raises(InvalidInputError, match="at least 5"):
        DecodeModel.fit(good[:4])
    for change in ({"seconds": 0.0}, {"seconds": math.nan}, {"width": 0}, {"longest_output_tokens": 1.0}):
        with pytest.raises(InvalidInputError, match="run 1"):
            DecodeModel.fit([good[0], replace(good[1], **change), *good[2:]])
    with pytest.raises(InvalidInputError, match="per_step"):
        DecodeModel(per_step=-1.0)
