"""Which reacting courses to try: the columns of the table that training chooses from.

Caps, waves and stop rules are laid out on a grid, a fine one or a coarse one that is a small part of it;
known rules stand on it at their own numbers. Which of the columns are worth anything is left to the table,
and what may be believed of them to `training.policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from policies.course.course import Course, Step, waves
from policies.course.selection import LOGPROB, PLAIN_VOTE, Selection
from policies.course.stop import Agreement, BestScore, Beta, Share, StopRule, Success, Unanimous
from policies.table.recorded import Recorded

_CAPS: Final = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 100, 128)
# First wave, later waves.
_WAVES: Final = ((1, 1), (2, 1), (2, 2), (3, 1), (3, 3), (4, 2), (4, 4), (6, 3), (8, 8))
_MOST_STEPS: Final = 20
# Of the coarse grid: caps, and sizes of the first and second step of a cascade.
_COARSE_CAPS: Final = (3, 5, 10, 20, 40, 80)
_COARSE_FIRST: Final = (1, 2, 4)
_COARSE_SECOND: Final = (1, 2, 5)
# A course is offered where at least this share of the prompts has the samples for it.
SHARE: Final = 0.3
# Levels of a signal from which on a course stops, as quantiles of what was recorded.
_SCORES: Final = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
# And of those of a first generator, from which on a dearer one is not asked.
_ENOUGH: Final = (0.5, 0.7, 0.9)
# Judging anew after each draw is slow, and beyond this wide it says little that is new.
_MOST_JUDGED: Final = 12
# A cascade goes from the cheaper generator to the dearer one, or between nearly equal ones.
SLACK: Final = 1.5


def usual(n: NDArray[np.int64]) -> int:
    """Return how many enough prompts have."""
    return int(np.sort(n)[::-1][min(len(n) - 1, int(np.ceil(SHARE * len(n))) - 1)])


def levels_of(values: Float32Array, shares: Sequence[float] = _SCORES) -> list[float]:
    """Return the levels of a recorded signal that courses stop at, of its finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return []
    return [float(level) for level in np.unique(np.quantile(finite, shares).astype(np.float32))]


def available(recorded: Recorded, generator: str) -> int:
    """Return how many samples of a generator enough prompts have."""
    return usual(recorded.samples[generator].n)


def _caps(most: int, *, coarse: bool) -> list[int]:
    caps = _COARSE_CAPS if coarse else _CAPS
    return sorted({cap for cap in caps if cap <= most} | ({most} if most > 1 else set()))


def _cuts(n: int, *, coarse: bool) -> list[tuple[int, ...]]:
    """Return ways to draw n samples in more than one wave."""
    found = []
    for first, later in ((1, 1), (2, 1), (4, 4)) if coarse else _WAVES:
        sizes = [min(first, n)]
        while sum(sizes) < n:
            sizes.append(min(later, n - sum(sizes)))
        found.append(tuple(sizes))
    if not coarse:
        found += [(first, n - first) for first in (1, 2, 3, 4) if n > first]
    doubling = [min(2, n)]
    while sum(doubling) < n:
        doubling.append(min(sum(doubling), n - sum(doubling)))
    found.append(tuple(doubling))
    return [cut for cut in dict.fromkeys(found) if 1 < len(cut) <= _MOST_STEPS]


def _rules(n: int, *, coarse: bool) -> list[StopRule]:
    share = Share(share=0.75, least=2)
    if coarse:
        return [*(Agreement(count=k) for k in (2, 3, 5) if k < n), Beta(threshold=0.85), share]
    rules: list[StopRule] = [Agreement(count=k) for k in (1, 2, 3, 4, 5, 6, 8) if k < n]
    rules += [Beta(threshold=sure) for sure in (0.75, 0.85, 0.95)]
    rules += [Beta(threshold=0.9, futile_from=m, futile_below=p) for m, p in ((4, 0.6), (8, 0.7)) if m < n]
    return [*rules, share]


def early_stopping(
    recorded: Recorded,
    *,
    coverage: bool = False,
    generators: Sequence[str] | None = None,
    coarse: bool = False,
) -> list[Course]:
    """Return courses that draw one generator in waves and may stop early.

    Parameters
    ----------
    recorded : Recorded
        Tells what is recorded: widths, signals.
    coverage : bool
        A checker recognises a correct sample.
    generators : sequence of str, optional
        Those to consider; all by default.
    coarse : bool
        Fewer caps, waves and rules.
    """
    names = list(recorded.samples) if generators is None else generators
    found = (course for name in names for course in _early(recorded, name, coverage, coarse))
    return list(dict.fromkeys(found))


def _early(recorded: Recorded, name: str, coverage: bool, coarse: bool) -> Iterator[Course]:
    samples, most = recorded.samples[name], available(recorded, name)
    if coverage:
        for cap in _caps(most, coarse=coarse):
            for cut in _cuts(cap, coarse=coarse):
                yield Course(steps=waves(name, cut), selection=Selection(by="first_success"), stop=Success())
        return
    selections = [PLAIN_VOTE] if samples.answered else []
    for signal in samples.signals:
        selections += [Selection(by="best", signal=signal)]
        if samples.answered:
            selections += [Selection(signal=signal)]
        if samples.answered and signal == LOGPROB:
            selections += [Selection(signal=LOGPROB, power=10.0)]
    if samples.judge is not None and not coarse:  # judging takes long; one-shot courses tell who is worth it
        selections += [Selection(signal="learned", power=power) for power in (1.0, 4.0)]
        selections += [Selection(by="best", signal="learned")]
    for selection in selections:
        widest = min(most, _MOST_JUDGED) if selection.signal == "learned" else most
        if samples.answered:
            yield from _waved(name, selection, widest, coarse)
        if selection.by == "best":
            levels = _levels(recorded, name, selection)[:: 2 if coarse else 1]
            for cap in _caps(widest, coarse=coarse):
                for cut in _cuts(cap, coarse=coarse):
                    for level in levels:
                        yield Course(
                            steps=waves(name, cut), selection=selection, stop=BestScore(threshold=level)
                        )


def _waved(name: str, selection: Selection, most: int, coarse: bool) -> Iterator[Course]:
    for cap in _caps(most, coarse=coarse):
        for cut in _cuts(cap, coarse=coarse):
            for rule in _rules(cap, coarse=coarse):
                yield Course(steps=waves(name, cut), selection=selection, stop=rule)
    for window in (2, 3, 4, 5, 8):
        if most // window > 1:
            cut = (window,) * (most // window)
            yield Course(steps=waves(name, cut), selection=selection, stop=Unanimous(window=window))


def _levels(
    recorded: Recorded, name: str, selection: Selection, shares: Sequence[float] = _SCORES
) -> list[float]:
    if selection.signal == "learned":
        return list(_SCORES)  # of chances
    samples = recorded.samples[name]
    drawn = np.arange(samples.answer.shape[2]) < samples.n[:, None]
    return levels_of(samples.signals[selection.signal][:, 0][drawn], shares)


def cascades(
    recorded: Recorded,
    generators: Sequence[str],
    cost: Mapping[str, float],
    *,
    coverage: bool = False,
    coarse: bool = False,
) -> list[Course]:
    """Return courses over several generators, the cheaper first.

    Parameters
    ----------
    recorded : Recorded
        Tells what is recorded.
    generators : sequence of str
        Those to combine.
    cost : mapping of str to float
        Cost of one sample of each, in any unit.
    coverage : bool
        A checker recognises a correct sample.
    coarse : bool
        Fewer sizes and rules of pairs that vote.
    """
    found = [
        course
        for first, second in permutations(generators, 2)
        if cost[first] <= SLACK * cost[second]
        for course in pair(recorded, first, second, coverage=coverage, coarse=coarse)
    ]
    if not coverage:
        for trio in combinations(sorted(generators, key=lambda name: cost[name]), 3):
            if _answered(recorded, trio):
                found += _trio(recorded, trio)
    return list(dict.fromkeys(found))


def pair(
    recorded: Recorded, first: str, second: str, *, coverage: bool = False, coarse: bool = False
) -> list[Course]:
    """Return courses that ask a first generator and then, where that is not enough, a second one."""
    if coverage:
        return list(_covering(recorded, first, second))
    voting = _answered(recorded, (first, second))
    return [
        *(_pair(recorded, first, second, coarse) if voting else ()),
        *_ranked(recorded, first, second),
    ]


def _answered(recorded: Recorded, generators: Sequence[str]) -> bool:
    """Return whether generators give answers that may agree."""
    return all(recorded.samples[name].answered for name in generators)


def _covering(recorded: Recorded, first: str, second: str) -> Iterator[Course]:
    for a in (1, 2, 4, 8, 16):
        for b in (1, 2, 4, 8, 16, 32):
            if a <= available(recorded, first) and b <= available(recorded, second):
                yield Course(
                    steps=waves(first, (a,)) + waves(second, (b,)),
                    selection=Selection(by="first_success"),
                    stop=Success(),
                )


def _ranked(recorded: Recorded, first: str, second: str) -> Iterator[Course]:
    """Yield courses that take the best of both by a signal, and leave out the second where the first has a
    good one.
    """
    for signal in recorded.samples[first].signals:
        if signal == LOGPROB or signal not in recorded.samples[second].signals:
            continue  # log-probabilities of two generators do not compare
        yield from _ranked_by(recorded, first, second, Selection(by="best", signal=signal))


def _ranked_by(recorded: Recorded, first: str, second: str, selection: Selection) -> Iterator[Course]:
    levels = _levels(recorded, first, selection, _ENOUGH)
    for a in (1, 2, 4):
        for b in (1, 2, 4, 8):
            if a <= available(recorded, first) and b <= available(recorded, second):
                steps = waves(first, (a,)) + waves(second, (b,))
                yield Course(steps=steps, selection=selection)
                for level in levels:
                    yield Course(steps=steps, selection=selection, stop=BestScore(threshold=level))


def _pair(recorded: Recorded, first: str, second: str, coarse: bool) -> Iterator[Course]:
    ways = [Selection(pooled=False)]
    if recorded.pooled:
        ways += [PLAIN_VOTE, Selection(weights={second: 2.0})]
    for selection in ways:
        for a in _COARSE_FIRST if coarse else (1, 2, 3, 4, 6):
            for b in _COARSE_SECOND if coarse else (1, 2, 3, 5, 8):
                if a > available(recorded, first) or b > available(recorded, second):
                    continue
                last = waves(second, (b,))
                if selection.pooled:
                    yield Course(steps=waves(first, (a,)) + last, selection=selection)
                singles = {(1,) * a, (2,) + (1,) * (a - 2)} if 2 <= a <= 4 and not coarse else set()
                for start in sorted({(a,)} | singles):
                    opening = waves(first, start)
                    for k in sorted({min(a, 2)} if coarse else {1, 2, 3, a, a - 1}):
                        if 1 <= k <= max(a, 2):
                            stop = Agreement(count=k)
                            yield Course(steps=opening + last, selection=selection, stop=stop)
                            if b > 1 and selection.pooled and not coarse:
                                singly = waves(second, (1,) * b)
                                yield Course(steps=opening + singly, selection=selection, stop=stop)
                    if a >= 3:
                        yield Course(steps=opening + last, selection=selection, stop=Beta(threshold=0.85))


def _trio(recorded: Recorded, trio: Sequence[str]) -> Iterator[Course]:
    for n in (1, 2, 3):
        if any(available(recorded, name) < n for name in trio):
            continue
        steps = tuple(Step(generator=name, n=n) for name in trio)
        if recorded.pooled:
            yield Course(steps=steps)
            for k in (2, 3):
                yield Course(steps=steps, stop=Agreement(count=k))
        for k in (1, 2):
            if k <= n:
                yield Course(steps=steps, stop=Agreement(count=k), selection=Selection(pooled=False))
