"""Halves of what was recorded, and means over what is known."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from difficulty import Generator, SampleLog
from difficulty.arithmetic.rows import row_mean
from policies.menu.halves import half_pool, half_slice


def test_halves_part_the_samples() -> None:
    samples = np.arange(7)
    assert_array_equal(np.sort([*samples[half_slice("even")], *samples[half_slice("odd")]]), samples)
    assert_array_equal(samples[half_slice("all")], samples)


def test_counts_alone_are_dealt_to_both_halves_and_stay_the_same_in_all() -> None:
    records = [{"prompt_id": f"p{n}", "generator": "tiny", "n": 40, "n_correct": 20} for n in range(50)]
    pool = SampleLog.from_records(records, {"tiny": Generator(name="tiny")}).pool("tiny")
    assert half_pool(pool, "all", seed=0) is pool
    dealt = half_pool(pool, "even", seed=0).correct
    assert_array_equal(dealt.sum(axis=1), 20)
    # As recorded, right ones come first, and every other place holds ten of them. Dealt out, a half of one
    # prompt has standard deviation 1.6, the mean of fifty .23; six of them, two halves: < 1e-8.
    for half in ("even", "odd"):
        assert abs(dealt[:, half_slice(half)].sum(axis=1).mean() - 10) < 1.4
    assert len({tuple(row) for row in dealt.tolist()}) > 40


def test_means_leave_out_what_is_not_known() -> None:
    nan = np.nan
    assert_array_equal(row_mean(np.array([[1.0, nan, 3.0], [nan, nan, nan]])), [2.0, nan])
