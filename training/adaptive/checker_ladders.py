"""Search ladders for a checker: whose samples to draw, and how many at once, at each price.

A local search over sizes and generators of a few waves; `training.adaptive.checker_table` says what each
ladder is worth and costs. Whether a rule should end such a ladder earlier is left to `training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.ladder.ladder import Ladder, Wave
from policies.replay.pools import ReplayPool
from policies.replay.trajectories import Trajectories
from training.adaptive.candidates import Bench, Contender
from training.adaptive.checker_table import CheckerTable, Steps
from training.adaptive.proposals import Settings
from training.adaptive.recipes import Facts

__all__ = ["first_success", "propose_checker_ladders", "search_ladder", "search_ladders"]

FloatArray: TypeAlias = NDArray[np.float64]

# Sizes of a wave that is put in anew, and what a wave's size is multiplied by.
_NEW_SIZES: Final = (1, 2, 5, 15)
_FACTORS: Final = (0.5, 0.77, 1.3, 2.0)
_SHIFTS: Final = (-3, -1, 1, 3)
# A gain below this is rounding.
_LEAST_GAIN: Final = 1e-10
# A penalty that leaves nothing of a learned rule but its constants.
_CONSTANTS_ONLY: Final = 1e9


def propose_checker_ladders(
    pools: Mapping[str, ReplayPool],
    facts: Facts,
    prices: FloatArray,
    starts: Sequence[Ladder],
    settings: Settings,
) -> list[Ladder]:
    """Search ladders over all generators, and over each of the starts' generators alone.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        Training prompts.
    facts : Facts
        What is recorded.
    prices : ndarray of float64, shape (L,)
        Falling prices above 0.
    starts : sequence of Ladder
        Where the search starts.
    settings : Settings
        ``checker_waves`` and ``escalation`` are read.

    Returns
    -------
    list of Ladder
        Empty where no prompt has all the samples that ladders may draw.
    """
    known = [(pools[name].pool.correct >= 0).sum(axis=1) >= n for name, n in facts.recorded.items()]
    if not np.all(known, axis=0).any():
        return []
    table = CheckerTable.of(pools, recorded=facts.recorded)
    alone = dict.fromkeys(ladder.generators for ladder in starts if len(ladder.generators) == 1)
    groups = [*alone, *([tuple(table.miss)] if settings.escalation else [])]
    found: list[Ladder] = []
    for group in dict.fromkeys(groups):
        among = [ladder for ladder in starts if set(ladder.generators) <= set(group)]
        found += search_ladders(table.only(group), prices, n_waves=settings.checker_waves, starts=among)
    return list(dict.fromkeys(found))


def first_success(bench: Bench, runs: Trajectories) -> Contender:
    """Return the rule that goes by failures alone: whatever else is known, all unsolved prompts are alike.

    Parameters
    ----------
    bench : Bench
        Training prompts.
    runs : Trajectories
        A replayed ladder of at least two waves, objective ``"coverage"``.

    Notes
    -----
    The gain and the cost of going on are one number each per wave and price, fitted out of fold as with other
    rules. Every learned rule has to beat this one.
    """
    rule = bench.learned(runs, features="agreement", ridge=_CONSTANTS_ONLY)
    return replace(rule, name=f"first success on {runs.ladder}", learned=False)


def search_ladders(
    table: CheckerTable, prices: FloatArray, *, n_waves: int, starts: Sequence[Ladder]
) -> list[Ladder]:
    """Return the ladders that are worth most at the prices, each once.

    Parameters
    ----------
    table : CheckerTable
        What is known of training prompts.
    prices : ndarray of float64, shape (L,)
        Falling prices, value per unit of cost, above 0.
    n_waves : int
        Waves of a ladder, at most; at least 1.
    starts : sequence of Ladder
        Where the search starts, beside one sample of each generator: at each price from the best of them, and
        from what the price before it found.
    """
    known: list[Steps] = [((name, 1),) for name in table.miss]
    known += [tuple((wave.generator, wave.n) for wave in ladder.waves) for ladder in starts]
    known = [steps for steps in dict.fromkeys(known) if len(steps) <= n_waves and table.fits(steps)]
    climbs = [table.climb(steps) for steps in known]
    found: list[Steps] = []
    for price in prices.tolist():
        worth = [climb.coverage - price * climb.cost for climb in climbs]
        origins = dict.fromkeys([known[int(np.argmax(worth))], *found[-1:]])
        ends = [search_ladder(table, price, n_waves=n_waves, start=start) for start in origins]
        found.append(max(ends, key=lambda steps: _worth(table, steps, price)))
    return [
        Ladder(
            waves=tuple(Wave(generator=name, n=size) for name, size in steps),
            pooled=False,
            logprob_weight=0.0,
        )
        for steps in dict.fromkeys(found)
    ]


def search_ladder(table: CheckerTable, price: float, *, n_waves: int, start: Steps) -> Steps:
    """Climb from a ladder to one that no single change makes better.

    Parameters
    ----------
    table : CheckerTable
        What is known of training prompts.
    price : float
        λ, value per unit of cost.
    n_waves : int
        Waves, at most.
    start : tuple of pairs
        A ladder that fits.

    Notes
    -----
    Changes are another size or generator of a wave, samples moved to the next wave, and waves left out, put
    in or swapped; the best of all is made until none helps. On simulated prompts, the better end of two
    starts came within 1 % of the exact optimum for ladders of one generator.
    """
    current, best = start, _worth(table, start, price)
    while True:
        step, top = current, best
        for changed in dict.fromkeys(_changes(current, tuple(table.miss), n_waves)):
            if table.fits(changed):
                worth = _worth(table, changed, price)
                if worth > top + _LEAST_GAIN:
                    step, top = changed, worth
        if step == current:
            return current
        current, best = step, top


def _changes(steps: Steps, generators: Sequence[str], n_waves: int) -> Iterator[Steps]:
    """Yield the neighbours of a ladder, some of which may not fit."""
    for at, (name, size) in enumerate(steps):
        before, after = steps[:at], steps[at + 1 :]
        sizes = [size + shift for shift in _SHIFTS] + [round(size * factor) for factor in _FACTORS]
        for other in sizes:
            yield (*before, (name, other), *after)
        for generator in generators:
            if generator != name:
                for other in (size, (size + 1) // 2, 2 * size):
                    yield (*before, (generator, other), *after)
        yield (*before, *after)
        if after:
            yield (*before, after[0], (name, size), *after[1:])
            for shift in _SHIFTS:
                yield (*before, (name, size + shift), (after[0][0], after[0][1] - shift), *after[1:])
    if len(steps) < n_waves:
        for at in range(len(steps) + 1):
            for generator in generators:
                for size in _NEW_SIZES:
                    yield (*steps[:at], (generator, size), *steps[at:])


def _worth(table: CheckerTable, steps: Steps, price: float) -> float:
    climb = table.climb(steps)
    return climb.coverage - price * climb.cost
