"""List the hull steps of a batch from the steepest down, as far as they may matter for a limit.

It assumes that a solution uses the first k steps of that list. Among equal slopes the order of prompts is
random but seeded, and first steps come before second ones, so that equal prompts are lifted one by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from policies.solver.bracket import Bracket, bracket_price, whole_range
from policies.solver.feasible import Feasible, IntArray
from policies.solver.hull import Increments, hull_increments

# Above this many values the price is bracketed on a sample of prompts first; below, one pass over all is
# quicker.
_LARGE: Final = 1 << 17
# Values walked at a time: temporaries are float64, some ten of them.
_AT_ONCE: Final = 1 << 18


def ordered_steps(
    menu: Feasible, wanted: float, *, by_value: bool, seed: int
) -> tuple[Increments, Bracket, IntArray]:
    """Return the steps that may matter, steepest first, the bracket that they start from, and each prompt's
    place among equals."""
    order = np.random.default_rng(seed).permutation(menu.n_prompts)
    if menu.value.size <= _LARGE:
        bracket = whole_range(menu)
    else:
        bracket = bracket_price(menu, wanted, by_value=by_value, order=order)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    active = bracket.active[np.argsort(rank[bracket.active], kind="stable")]
    rows = max(1, _AT_ONCE // menu.n_allocations)
    parts = []
    for begin in range(0, active.size, rows):
        index = active[begin : begin + rows]
        value, cost = menu.rows(index)
        start, last = bracket.start[index], bracket.last[index]
        # Prompts that are alike differ in a few allocations only, between the two ends of the bracket.
        first = np.broadcast_to(cost, value.shape)[np.arange(index.size), start]
        columns = np.flatnonzero(((cost >= first[:, None]) & (cost <= last[:, None])).any(axis=0))
        if columns.size < menu.n_allocations:
            value, cost, start = value[:, columns], cost[:, columns], np.searchsorted(columns, start)
        steps = hull_increments(value, cost, start=start, last=last)
        if columns.size < menu.n_allocations:
            steps = steps._replace(lower=columns[steps.lower], upper=columns[steps.upper])
        parts.append(steps._replace(prompt=index[steps.prompt]))
    steps = Increments.concatenate(parts)
    return steps.take(np.argsort(-steps.slope, kind="stable")), bracket, rank


def apply_steps(start: IntArray, steps: Increments, taken: int) -> IntArray:
    """Return the choice after the first `taken` steps."""
    choice = start.copy()
    # Later steps of a prompt come later in the order, and the last assignment to an index is the one that
    # stays.
    choice[steps.prompt[:taken]] = steps.upper[:taken]
    return choice
