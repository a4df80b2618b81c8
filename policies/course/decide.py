"""Who wins among what was drawn: the one place that carries out a `Selection` on live samples.

It is told answers, signals and who drew them, and returns the samples that share the lead; ties are left to
the caller. Replays of logs select in the same way on arrays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from math import fsum
from typing import Final, NamedTuple

from policies.course.selection import LOGPROB, NO_SIGNAL, Selection

# Sums of weights that differ by less count as equal, as in the replay, which adds in single precision.
SAME: Final = 1e-5
# The exponential of more than this has no single-precision number.
MOST_SURPRISE: Final = 60.0


class Draw(NamedTuple):
    """One sample, in the order in which it was asked for.

    Attributes
    ----------
    generator : str
        Who drew it.
    answer : str, optional
        Its canonical answer; None abstains.
    signal : float, optional
        What the selection reads of it; None where it is not known.
    chain : int
        Number of its chain; -1 where it belongs to none.
    """

    generator: str
    answer: str | None
    signal: float | None = None
    chain: int = -1


class Decision(NamedTuple):
    """Positions of the samples that share the lead, one per tied answer, and whether signals decided."""

    tied: tuple[int, ...]
    by_signal: bool


def decide(selection: Selection, draws: Sequence[Draw]) -> Decision:
    """Return who shares the lead.

    Where no sample that answered has a signal, the plain vote decides, and the decision says so; otherwise
    samples without one take no part.

    Examples
    --------
    >>> votes = [Draw("tiny", "41"), Draw("tiny", "42"), Draw("tiny", "42"), Draw("tiny", None)]
    >>> decide(Selection(), votes)
    Decision(tied=(1,), by_signal=False)
    """
    places = [place for place in _deciding(selection, draws) if draws[place].answer is not None]
    if selection.of_chain != "all":
        places = _finalists(selection, draws, places)
    known = [place for place in places if draws[place].signal is not None]
    reads = selection.signal != NO_SIGNAL and selection.by != "first_success"
    if reads and known:
        if selection.by == "best":
            best = max(known, key=lambda place: (draws[place].signal, -place))
            return Decision((best,), True)
        return Decision(_heaviest(selection, draws, known, weighed=True), True)
    return Decision(_heaviest(selection, draws, places, weighed=False), False)


def _deciding(selection: Selection, draws: Sequence[Draw]) -> Sequence[int]:
    """Return the places whose votes count: all, or the latest stretch of one generator that answered."""
    places = range(len(draws))
    if selection.pooled or selection.by == "best":
        return places
    last = next((place for place in reversed(places) if draws[place].answer is not None), None)
    if last is None:
        return places
    start = last
    while start and draws[start - 1].generator == draws[last].generator:
        start -= 1
    return range(start, last + 1)


def _heaviest(
    selection: Selection, draws: Sequence[Draw], places: Sequence[int], *, weighed: bool
) -> tuple[int, ...]:
    """Return, for each answer that leads, its sample with the highest signal, the first among equals."""
    members: dict[str, list[tuple[float, int]]] = {}
    for place in places:
        draw = draws[place]
        if draw.answer is not None:
            weight = _weight(selection, draw) if weighed else selection.weight(draw.generator)
            members.setdefault(draw.answer, []).append((weight, place))
    # fsum rounds once, so that totals do not depend on the order of arrival.
    totals = {answer: fsum(weight for weight, _ in rows) for answer, rows in members.items()}
    top = max(totals.values(), default=0.0)
    winners = [answer for answer, total in totals.items() if total >= top * (1 - SAME)]
    return tuple(min(members[answer], key=lambda row: (-row[0], row[1]))[1] for answer in winners)


def _weight(selection: Selection, draw: Draw) -> float:
    signal = 0.0 if draw.signal is None else draw.signal
    if selection.signal == LOGPROB:
        surprise = selection.power * (signal - selection.usual_of(draw.generator))
        factor = math.exp(min(max(surprise, -MOST_SURPRISE), MOST_SURPRISE))
    else:
        factor = max(signal, 0.0) ** selection.power
    return selection.weight(draw.generator) * factor


def _finalists(selection: Selection, draws: Sequence[Draw], places: Sequence[int]) -> list[int]:
    """Return the attempt that stands for each chain; ties go to the latest, which saw the others."""
    chains: dict[int, list[int]] = {}
    alone: list[int] = []
    for place in places:
        if draws[place].chain < 0:
            alone.append(place)
        else:
            chains.setdefault(draws[place].chain, []).append(place)
    return sorted(alone + [_finalist(selection, draws, members) for members in chains.values()])


def _finalist(selection: Selection, draws: Sequence[Draw], members: Sequence[int]) -> int:
    if selection.of_chain == "last":
        return members[-1]
    scored = [(draws[place].signal, place) for place in members]
    known = [(signal, place) for signal, place in scored if signal is not None]
    if known and selection.signal != NO_SIGNAL:
        return max(known)[1]
    counts = Counter(draws[place].answer for place in members)
    return max(members, key=lambda place: (counts[draws[place].answer], place))
