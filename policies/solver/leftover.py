"""Spend what the relaxation leaves over, or close the last gap to a target, with single upgrades.

It assumes a choice that is already good: the steepest upgrades were taken until one did not fit. Upgrades
here may leave the hull, because a dominated allocation that fits is worth more than one that does not.
"""

from __future__ import annotations

import heapq
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.solver.feasible import Feasible, IntArray

# Upgrades kept in the queue between two scans of the whole batch.
_QUEUE: Final = 4096


def fill(menu: Feasible, choice: IntArray, left: float, rank: IntArray) -> float:
    """Take the steepest upgrade that fits, again and again, until none does; change `choice` in place.

    Parameters
    ----------
    menu : Feasible
        Values and costs.
    choice : (P,) int
        Present choice.
    left : float
        What may be spent.
    rank : (P,) int
        Place of each prompt; the first decides between prompts with equal slopes.

    Returns
    -------
    float
        What is still left.

    Notes
    -----
    The total value never falls when `left` grows: an upgrade that comes within reach and is steeper
    than all others is worth at least as much as everything that could be bought before, and the rest follows
    by induction. As `left` only shrinks, slopes in the queue are upper bounds, and looking again at the head
    of the queue is enough.

    Examples
    --------
    >>> menu = Feasible.of([[0.1, 0.4, 0.5], [0.3, 0.5, 0.9]], [1, 2, 9])
    >>> choice = np.array([0, 0])
    >>> fill(menu, choice, 2.5, np.array([0, 1])), choice.tolist()
    (0.5, [1, 1])
    """
    while left > 0:
        slope, least = _scan(menu, choice, left)
        if left < least:
            break
        head = np.flatnonzero(slope > 0)
        floor = 0.0
        if head.size > _QUEUE:
            floor = float(np.partition(slope[head], head.size - _QUEUE)[head.size - _QUEUE])
            head = head[slope[head] >= floor]
        queue = [(-float(slope[prompt]), int(rank[prompt]), int(prompt)) for prompt in head]
        heapq.heapify(queue)
        while queue and left >= least:
            known, place, prompt = heapq.heappop(queue)
            if -known < floor:
                break
            best, allocation, extra = _steepest(menu, prompt, int(choice[prompt]), left)
            if best <= 0:
                continue
            if best == -known:
                choice[prompt] = allocation
                left -= extra
                best, _, _ = _steepest(menu, prompt, allocation, left)
            if best > 0:
                heapq.heappush(queue, (-best, place, prompt))
        if not queue and floor == 0.0:
            break
    return left


def cheapest_upgrade(menu: Feasible, choice: IntArray, need: float, rank: IntArray) -> tuple[int, int]:
    """Return the one upgrade that adds at least `need` value at the least extra cost.

    Parameters
    ----------
    menu : Feasible
        Values and costs.
    choice : (P,) int
        Present choice.
    need : float
        Value that is missing.
    rank : (P,) int
        Place of each prompt; the first decides between equally cheap upgrades.

    Returns
    -------
    prompt, allocation : int
        Which prompt to move where.

    Examples
    --------
    >>> menu = Feasible.of([[0.1, 0.4, 0.5], [0.3, 0.5, 0.9]], [1, 2, 9])
    >>> cheapest_upgrade(menu, np.array([0, 0]), 0.25, np.array([1, 0]))
    (0, 1)
    """
    found = (np.inf, 0, 0, 0)
    for chunk in menu.chunks():
        gain, extra = _upgrades(menu, choice, chunk)
        # The step that the relaxation takes next is one of them, up to the rounding of the sums.
        price = np.where(gain >= need * (1 - 1e-9), np.maximum(extra, 0.0), np.inf)
        least = price.min(axis=1)
        rows = np.flatnonzero(least == least.min())
        row = int(rows[rank[chunk][rows].argmin()])
        prompt = chunk.start + row
        found = min(found, (float(least[row]), int(rank[prompt]), prompt, int(price[row].argmin())))
    return found[2], found[3]


def _upgrades(
    menu: Feasible, choice: IntArray, chunk: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gain and extra cost of every allocation against the present one, (R, A) each."""
    value, cost = menu.rows(chunk)
    here = np.arange(value.shape[0])
    present = choice[chunk]
    cost = np.broadcast_to(cost, value.shape)
    gain = value.astype(np.float64) - value[here, present].astype(np.float64)[:, None]
    extra = cost.astype(np.float64) - cost[here, present].astype(np.float64)[:, None]
    return gain, extra


def _scan(menu: Feasible, choice: IntArray, left: float) -> tuple[NDArray[np.float64], float]:
    """Return each prompt's steepest slope among upgrades that fit, and the cost of the cheapest of them."""
    slopes = np.zeros(menu.n_prompts)
    least = np.inf
    for chunk in menu.chunks():
        value, cost = menu.rows(chunk)
        cost = np.broadcast_to(cost, value.shape)
        here = np.arange(value.shape[0])
        present = choice[chunk]
        paid = cost[here, present].astype(np.float64)
        # Few upgrades fit as a rule: find those by cost alone, a little generously for float32, and look
        # closer.
        reach = (paid + left) * (1 + 1e-6)
        near = (cost > paid.astype(cost.dtype)[:, None]) & (cost <= reach.astype(cost.dtype)[:, None])
        row, column = np.divmod(np.flatnonzero(near), value.shape[1])
        gain = value[row, column].astype(np.float64) - value[row, present[row]].astype(np.float64)
        extra = cost[row, column].astype(np.float64) - paid[row]
        fits = (gain > 0) & (extra > 0) & (extra <= left)
        if fits.any():
            row, gain, extra = row[fits], gain[fits], extra[fits]
            first = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
            slopes[chunk.start + row[first]] = np.maximum.reduceat(gain / extra, first)
            least = min(least, float(extra.min()))
    return slopes, least


def _steepest(menu: Feasible, prompt: int, present: int, left: float) -> tuple[float, int, float]:
    """Return slope, allocation and extra cost of the steepest upgrade of one prompt that fits; slope 0 if
    none does."""
    value, cost = menu.rows(slice(prompt, prompt + 1))
    gain = value[0].astype(np.float64) - float(value[0, present])
    extra = cost[0].astype(np.float64) - float(cost[0, present])
    fits = (gain > 0) & (extra > 0) & (extra <= left)
    slope = np.zeros(gain.shape)
    np.divide(gain, extra, out=slope, where=fits)
    allocation = int(slope.argmax())
    return float(slope[allocation]), allocation, float(extra[allocation])
