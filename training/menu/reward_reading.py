"""Say whether the tokens that a reward model reads were recorded or are estimated.

Reports and bundles say so, since estimates have been wrong by a factor of four
(`training.menu.pricing.Pricing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from policies.menu.curves import CurveTable
from training.menu.pricing import Pricing

__all__ = ["ReadingName", "how_readings_are_known"]

ReadingName: TypeAlias = Literal["recorded", "partly recorded", "estimated"]


def how_readings_are_known(
    curves: CurveTable, pricing: Pricing, groups: Sequence[Sequence[int]]
) -> list[ReadingName | None]:
    """Say of each group of allocations whether what a reward model reads for them is recorded.

    Parameters
    ----------
    curves : CurveTable
        T prompts × A allocations.
    pricing : Pricing
        Tells what is paid for.
    groups : sequence of sequences of int
        Columns of the allocations of each group.

    Returns
    -------
    list
        ``"recorded"``, ``"partly recorded"`` or ``"estimated"`` for each group; None where nothing is read.
    """
    reading = pricing.reading(curves)
    if reading is None:
        return [None] * len(groups)
    recorded = np.full(reading.shape, np.nan) if curves.verifier_tokens is None else curves.verifier_tokens
    known = ~np.isnan(recorded)
    paid = known | (reading > 0)
    found: list[ReadingName | None] = []
    for columns in map(list, groups):
        told = known[:, columns][paid[:, columns]]
        name: ReadingName = "recorded" if told.all() else "partly recorded" if told.any() else "estimated"
        found.append(name if told.size else None)
    return found
