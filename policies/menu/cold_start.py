"""What to believe and what votes are worth before anything was recorded.

A prior over per-sample success, taken at equally likely points, stands in for reference prompts; wrong
answers are assumed to spread geometrically over a few alternatives, which makes votes help where the right
answer leads and hurt where it does not. The first recorded log replaces all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.estimators.majority_vote import vote_accuracy_iid
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.menu.curves import CurveTable
from policies.plan.objective import Objective

__all__ = ["WRONG_SHARES", "ColdStart", "cold_start"]

# Beta(0.6, 0.6): recorded pass@1 is usually U-shaped. Each wrong answer is half as likely as the one before.
_PRIOR: Final = (0.6, 0.6)
_N_POINTS: Final = 48
WRONG_SHARES: Final = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
_VOTES: Final = (1, 3, 5, 7, 9, 13, 17, 25, 33)
_TRIES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_PSEUDO_SAMPLES: Final = 1000


class ColdStart(NamedTuple):
    """A belief's reference points and their curves."""

    references: ReferencePrompts
    curves: CurveTable


def cold_start(
    generators: Sequence[str], *, objective: Objective = "accuracy", output_tokens_per_sample: float = 512.0
) -> ColdStart:
    """Return prior reference points and curves for generators that nothing is known of.

    Parameters
    ----------
    generators : sequence of str
        The G generators; without data they are all alike.
    objective : {"accuracy", "coverage"}
        Majority vote, or at least one success that a checker recognises.
    output_tokens_per_sample : float
        Assumed length of one completion.

    Examples
    --------
    >>> start = cold_start(["qwen-1.5b"])
    >>> bool(start.curves.value.mean(axis=0)[-1] > start.curves.value.mean(axis=0)[0])
    True
    """
    from scipy.special import betaincinv

    success = betaincinv(*_PRIOR, (np.arange(_N_POINTS) + 0.5) / _N_POINTS)
    if objective == "coverage":
        widths = np.array(_TRIES)
        value = 1 - (1 - success[:, None]) ** widths
    else:
        widths = np.array(_VOTES)
        answers = np.column_stack([success, (1 - success)[:, None] * WRONG_SHARES])
        value = vote_accuracy_iid(answers, widths)
    strategy: StrategyName = "first_success" if objective == "coverage" else "majority_vote"
    allocations = tuple(
        Allocation(generator=name, strategy=strategy, width=int(width))
        for name in generators
        for width in widths
    )
    samples = np.tile(widths.astype(np.float64), (_N_POINTS, len(generators)))
    counts = np.full((_N_POINTS, len(generators)), _PSEUDO_SAMPLES)
    return ColdStart(
        references=ReferencePrompts(
            generators=tuple(generators),
            n=counts,
            n_correct=np.rint(counts * success[:, None]).astype(np.int64),
            output_tokens=np.full(counts.shape, output_tokens_per_sample),
            coordinates=np.zeros((_N_POINTS, 1)),
        ),
        curves=CurveTable(
            prompt_ids=tuple(f"prior-{point}" for point in range(_N_POINTS)),
            allocations=allocations,
            value=np.tile(value, (1, len(generators))),
            samples=samples,
            prompt_tokens=np.full(samples.shape, np.nan),
            output_tokens=samples * output_tokens_per_sample,
        ),
    )
