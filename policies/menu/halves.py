"""Which recorded samples are counted: all, or one of two halves, so that choosing and judging are apart.

Samples of a prompt are assumed exchangeable, so that every other one is a fair half. What they are worth is
left to `policies.menu.estimates` and `policies.table`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from difficulty.arguments import check_choice
from difficulty.log.sample_pool import SamplePool

Half: TypeAlias = Literal["all", "even", "odd"]


def half_pool(pool: SamplePool, half: Half, seed: int) -> SamplePool:
    """Put the recorded counts of counts-only lines in a random order, so that both halves are fair draws."""
    if half == "all" or not pool.counts_only.any():
        return pool
    rng = np.random.default_rng(seed)
    correct = pool.correct.copy()
    for row in np.flatnonzero(pool.counts_only):
        rng.shuffle(correct[row, : pool.n[row]])
    return replace(pool, correct=correct)


def half_slice(half: Half) -> slice:
    check_choice("half", half, get_args(Half))
    return {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[half]
