"""Which courses to try that go deeper where first samples disagree: chains extended, searches after a probe.

They are laid out for what the log has recorded runs of. Chains stop by agreement, by a good score, or once a
checker accepts an attempt; a probe decides whether a search is worth its price. What any of them is worth is
left to the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from policies.course.course import Course, Step, waves
from policies.course.selection import PLAIN_VOTE, Selection
from policies.course.stop import Agreement, BestScore, Beta, Share, StopRule, Success, Unanimous
from policies.table.grid import SHARE, SLACK, available, levels_of, usual
from policies.table.ordered import OrderedSamples
from policies.table.recorded import Recorded

_CHECKED: Final = Selection(by="first_success")
_MOST_CHAINS: Final = 8
# Samples before a chain is begun, and before a search.
_BEFORE_CHAINS: Final = ((1,), (2,), (1, 1), (3,))
_PROBES: Final = ((1,), (2,), (1, 1), (3,), (2, 1), (4,), (2, 1, 1), (2, 2, 2), (8,))


def deeper(recorded: Recorded, cost: Mapping[str, float], *, coverage: bool = False) -> list[Course]:
    """Return courses that extend chains, or end in a search, unless first samples are enough.

    Parameters
    ----------
    recorded : Recorded
        Tells what is recorded.
    cost : mapping of str to float
        Cost of one sample of each generator that may probe for another one, in any unit.
    coverage : bool
        A checker recognises a correct attempt; what a search asks is its own affair, and none is laid out.
    """
    found = dict.fromkeys(
        course
        for courses in (
            (_until_accepted(recorded, cost),)
            if coverage
            else (_chained(recorded, cost), _searching(recorded, cost))
        )
        for course in courses
        if recorded.lacks(course) is None
    )
    return list(found)


def _chained(recorded: Recorded, cost: Mapping[str, float]) -> Iterator[Course]:
    for name, chains in recorded.chains.items():
        most, depth = usual(chains.n), usual(chains.n_steps)
        for width in range(1, min(most, _MOST_CHAINS) + 1):
            step = Step(generator=name, n=width, kind="revise", params=chains.params)
            for steps in range(2, depth + 1):
                yield from _stopping((step,) * steps, width * steps, chains, chains.signals)
            yield from _followed_by(recorded, (step,) * depth, _BEFORE_CHAINS, cost)


def _until_accepted(recorded: Recorded, cost: Mapping[str, float]) -> Iterator[Course]:
    """Return courses that revise until a checker accepts an attempt, after some samples or none."""
    for name, chains in recorded.chains.items():
        most, depth = usual(chains.n), usual(chains.n_steps)
        for width in range(1, min(most, _MOST_CHAINS) + 1):
            step = Step(generator=name, n=width, kind="revise", params=chains.params)
            before = [
                waves(other, sizes)
                for other in recorded.samples
                if other == name or cost.get(other, np.inf) <= SLACK * cost.get(name, -np.inf)
                for sizes in _BEFORE_CHAINS
                if sum(sizes) <= available(recorded, other)
            ]
            for steps in range(2, depth + 1):
                for first in ((), *before):
                    yield Course(steps=first + (step,) * steps, selection=_CHECKED, stop=Success())


def _searching(recorded: Recorded, cost: Mapping[str, float]) -> Iterator[Course]:
    for step, search in recorded.searches.items():
        if (~np.isnan(search.value)).mean() >= SHARE and step.generator in recorded.samples:
            yield from _followed_by(recorded, (step,), _PROBES, cost)


def _stopping(
    steps: tuple[Step, ...], n: int, drawn: OrderedSamples, signals: Collection[str]
) -> Iterator[Course]:
    """Return courses that stop when answers among `n` agree, or when one is good enough by a signal."""
    for selection in (PLAIN_VOTE, *(Selection(signal=signal) for signal in signals)):
        for rule in _agreeing(n):
            yield Course(steps=steps, selection=selection, stop=rule)
    for signal in signals:
        for level in levels_of(drawn.signals[signal][drawn.answer >= 0]):
            selection = Selection(by="best", signal=signal)
            yield Course(steps=steps, selection=selection, stop=BestScore(threshold=level))


def _followed_by(
    recorded: Recorded, last: tuple[Step, ...], probes: Sequence[tuple[int, ...]], cost: Mapping[str, float]
) -> Iterator[Course]:
    """Return courses that draw samples first, of the same generator or of a cheaper one."""
    owner = last[0].generator
    for name in recorded.samples:
        if name != owner and not cost.get(name, np.inf) <= SLACK * cost.get(owner, -np.inf):
            continue
        samples = recorded.samples[name]
        signals = samples.signals if last[0].kind == "search" else {}
        for sizes in probes:
            if sum(sizes) <= available(recorded, name):
                yield from _stopping(waves(name, sizes) + last, sum(sizes), samples, signals)


def _agreeing(n: int) -> list[StopRule]:
    rules: list[StopRule] = [Agreement(count=k) for k in (2, 3, 4, 6) if k <= n]
    rules += [Beta(threshold=sure) for sure in (0.75, 0.85, 0.95)]
    rules += [Unanimous(window=k) for k in (2, 3) if k <= n]
    return [*rules, Share(share=0.75, least=2)]
