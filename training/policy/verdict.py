"""How much of what was learned is deployed: chosen out of fold, in bands of price, by its gain over less.

Each procedure is learned anew without a fold and realised on it. From the static mix on, the next procedure
that asks for more belief replaces the present one where it gained some standard errors over groups. The first
that asks for a new kind of belief must be far beyond them in some band, so that a log without signal deploys
nothing that was learned; once answers or scores tell right samples from wrong ones, it is not without signal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from difficulty.arithmetic.arrays import BoolArray
from policies.course.course import Course
from policies.course.selection import NO_SIGNAL
from policies.plan.objective import Objective
from training.policy.bench import Bench, paired
from training.policy.offers import Believed, believe, choose, offers
from training.policy.population import best_for_all, best_static, stopping_early

Procedure: TypeAlias = Callable[[Bench, Believed], BoolArray]

# Standard errors over groups, as of a normal deviate, by which a step must gain in some band to be believed
# at all: for everybody's courses, and for choices by text. The best of hundreds of courses that are worth the
# same is lucky by three, and lucky on every fold (`notebooks/LOG.md`, 2026-11-29).
SHOWN: Final = (3.5, 2.75)
CHECKED: Final = (2.5, 2.75)
"""The same where a checker ends a course: it finds what the whole course finds, and little luck is left."""

VOTED: Final = (2.75, 2.75)
"""The same where all answers are taken by plain votes: with no scores to pick by, the best is less lucky."""

# What a gain must come to besides, in value: savings that nobody would notice show nothing. Where the static
# mix was itself shown to be worth more than its cheapest course, a share of its bill is noticed, too.
_MATERIAL: Final = 0.001
_NOTICED: Final = 0.05
# And in each band once it is: over the static mix, other courses for all over early stopping, choices by
# text, and another way to choose by text.
_ADMITTED: Final = (1.0, 0.5, 2.5, 2.0)
# Where answers or scores tell right samples from wrong ones by the first of these, or text explains single
# samples by the second, out of fold, what is at stake is no longer whether there is anything to learn but
# which course is better: less is asked, and courses for all give way in a band only where they lost there.
_TELLS: Final = (3.0, 3.0)
_SHOWN_THEN: Final = (1.5, 2.0)
_ADMITTED_THEN: Final = (-1.0, -1.0, 2.0, 2.0)
_N_BANDS: Final = 4


class Verdict(NamedTuple):
    """What is deployed, and why.

    Attributes
    ----------
    bands : list of ndarray of intp
        Levels of each band of price.
    chosen : list of str
        Name of the procedure deployed in each band.
    gain, error : dict of str to list of float
        Mean worth out of fold over the static mix, and its standard error, by procedure and band. Where a
        course costs much at a price, its worth is a share of that cost, so that no price outweighs others.
    """

    bands: list[NDArray[np.intp]]
    chosen: list[str]
    gain: dict[str, list[float]]
    error: dict[str, list[float]]


def _one(columns: NDArray[np.intp], bench: Bench) -> BoolArray:
    """Return everybody's course at each price as the only one on offer."""
    return np.asarray(columns[:, None] == np.arange(bench.value.shape[1]))


def _all(mask: BoolArray, bench: Bench) -> BoolArray:
    return np.tile(mask, (len(bench.prices), 1))


_EARLY: Final = "early stopping for all"

# In the order of what they ask to be believed.
PROCEDURES: Final[Mapping[str, Procedure]] = {
    "static mix": lambda bench, believed: _one(best_static(bench), bench),
    _EARLY: lambda bench, believed: _one(stopping_early(bench), bench),
    "courses for all": lambda bench, believed: _one(best_for_all(bench), bench),
    "sure choices by text": lambda bench, believed: offers(
        bench, best_for_all(bench), believed, admitted=2.0
    ),
    "choices by text": lambda bench, believed: offers(bench, best_for_all(bench), believed, admitted=1.0),
    "static courses by text": lambda bench, believed: _all(bench.static, bench),
    "all courses by text": lambda bench, believed: _all(np.ones_like(bench.static), bench),
}

BY_TEXT: Final = frozenset(name for name in PROCEDURES if name.endswith("by text"))
"""Procedures that let a prompt's text choose."""


def shown_for(courses: Sequence[Course], objective: Objective) -> tuple[float, float]:
    """Return the standard errors that a gain must exceed before anything of its kind is deployed."""
    if objective == "coverage":
        return CHECKED
    voted = all(item.selection.by == "vote" and item.selection.signal == NO_SIGNAL for item in courses)
    return VOTED if voted and objective == "accuracy" else SHOWN


def on_offer(bench: Bench, verdict: Verdict) -> BoolArray:
    """Return the courses on offer at each price under a verdict, shape (L, C)."""
    believed = believe(bench, bench.weights)
    found = {name: PROCEDURES[name](bench, believed) for name in set(verdict.chosen)}
    offered = np.zeros((len(bench.prices), bench.value.shape[1]), dtype=bool)
    for name, band in zip(verdict.chosen, verdict.bands, strict=True):
        offered[band] = found[name][band]
    return offered


def verdict(
    bench: Bench, *, by_text: bool = True, shown: tuple[float, float] = SHOWN, apart: float = 0.0
) -> Verdict:
    """Choose, out of fold, how much is deployed in each band of price.

    Parameters
    ----------
    bench : Bench
        P training prompts.
    by_text : bool
        Whether beliefs come from text, so that choices by it mean anything.
    shown : tuple of float
        Standard errors that a gain must exceed in some band before anything of its kind is deployed: courses
        for everybody, choices by text. Few groups need more (Student's t).
    apart : float
        Standard errors by which answers or scores tell right samples from wrong ones
        (`training.policy.told_apart`).

    Notes
    -----
    The best of many courses of equal worth is lucky by three errors, and deployed where there is nothing to
    learn if no more is asked. That votes, scores or text tell right from wrong is shown with far fewer
    prompts than what any course gains by it. Where it is shown, little more is asked, since that cost .005 on
    120 prompts of eleven simulated kinds (`notebooks/LOG.md`, 2026-11-29).
    """
    names = [name for name in PROCEDURES if by_text or name not in BY_TEXT]
    realised = {name: np.zeros((len(bench), len(bench.prices))) for name in names}
    static = best_static(bench)
    spent = np.maximum(bench.cost.mean(axis=0, dtype=float)[static], 0.0)
    share = bench.scale.span + bench.prices * spent
    for fold in np.unique(bench.folds):
        held, kept = np.flatnonzero(bench.folds == fold), np.flatnonzero(bench.folds != fold)
        part = bench.take(kept)
        inside, outside = believe(part, part.weights), believe(part, bench.weights[np.ix_(held, kept)])
        for name in names:
            taken = choose(outside, PROCEDURES[name](part, inside), bench.prices)
            at = held[:, None], taken
            realised[name][held] = (bench.value[at] - bench.prices * bench.cost[at]) / share
    bands = _bands(bench)
    judged = [_payable(band, bench.prices * spent, bench.scale.span) for band in bands]
    n_groups = int(bench.groups.max()) + 1

    def gains(name: str, over: Sequence[str]) -> list[tuple[float, float]]:
        """Return mean gain and error in each band, over a procedure for each."""
        pairs = zip(over, judged, strict=True)
        return [paired(_mean(realised[name] - realised[now], band), bench.groups) for now, band in pairs]

    chosen = ["static mix"] * len(bands)
    signals = apart, _explained(bench) if by_text else 0.0
    tells = [signal > _errors(least, n_groups) for signal, least in zip(signals, _TELLS, strict=True)]
    needed = [
        min(most, then) if told else most for most, then, told in zip(shown, _SHOWN_THEN, tells, strict=True)
    ]
    enough = [_errors(least, n_groups) for least in needed]
    noticed = _noticed(bench, static, judged, bench.prices * spent / share, _errors(shown[0], n_groups))
    believed = [False, False]
    for name in names[1:]:
        kind = int(name in BY_TEXT)
        pairs = gains(name, chosen)
        errors = _in_errors(pairs)
        shown_gains = [
            mean if gained > enough[kind] else 0.0 for gained, (mean, _) in zip(errors, pairs, strict=True)
        ]
        believed[kind] |= any(mean > _MATERIAL for mean in shown_gains)
        saving = name == _EARLY and any(mean > some for mean, some in zip(shown_gains, noticed, strict=True))
        if believed[kind] or saving:
            for place, gained in enumerate(errors):
                another = chosen[place] in BY_TEXT if kind else chosen[place] != "static mix"
                admitted = (_ADMITTED_THEN if tells[kind] else _ADMITTED)[2 * kind + another]
                if gained > _errors(admitted, n_groups):
                    chosen[place] = name
    told = {name: gains(name, ["static mix"] * len(bands)) for name in names}
    return Verdict(
        bands,
        chosen,
        {name: [mean for mean, _ in pairs] for name, pairs in told.items()},
        {name: [error for _, error in pairs] for name, pairs in told.items()},
    )


def _in_errors(gains: list[tuple[float, float]]) -> list[float]:
    """Return gains in their standard errors; what is the same is never better."""
    return [mean / error if error > 0 else -np.inf for mean, error in gains]


def _explained(bench: Bench) -> float:
    """Return what beliefs out of fold explain of single samples, in its standard errors over groups."""
    cost = np.where(bench.static, bench.cost.mean(axis=0, dtype=float), np.inf)
    owners = np.unique(bench.owner[bench.static])
    cheapest = [np.where(bench.owner == owner, cost, np.inf).argmin() for owner in owners]
    once = bench.value[:, cheapest].astype(np.float64)
    usual = np.empty_like(once)
    for fold in np.unique(bench.folds):
        held = bench.folds == fold
        usual[held] = once[~held].mean(axis=0)
    explained = (once - usual) ** 2 - (once - bench.weights @ once) ** 2
    return _in_errors([paired(explained.mean(axis=1), bench.groups)])[0]


def _noticed(
    bench: Bench,
    static: NDArray[np.intp],
    bands: list[NDArray[np.intp]],
    bill: NDArray[np.float64],
    enough: float,
) -> list[float]:
    """Return the gain by stopping early that is noticed in each band, at equal answers or not.

    Where the static mix is not shown to be worth more than its cheapest course, nobody would pay its bill, so
    that a share of it is nothing.
    """
    more = (bench.value[:, static] - bench.value[:, static[:1]]).astype(np.float64)
    found = []
    for band in bands:
        mean, error = paired(_mean(more, band), bench.groups)
        found.append(_NOTICED * float(bill[band].mean()) if mean > enough * error else np.inf)
    return found


def _errors(normal: float, n_groups: int) -> float:
    """Return the standard errors that a mean over groups exceeds as seldom as a normal one exceeds these."""
    return float(stats.t.isf(stats.norm.sf(normal), max(n_groups - 1, 1)))


def _mean(difference: NDArray[np.float64], band: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(difference[:, band].mean(axis=1))


def _payable(band: NDArray[np.intp], bill: NDArray[np.float64], span: float) -> NDArray[np.intp]:
    """Return the levels that judge a band: where its static course costs less than a sure answer is worth.

    At higher prices nobody buys anything, and one dear mistake would outweigh what all others gain.
    """
    payable = band[bill[band] <= span]
    return payable if len(payable) else band


def _bands(bench: Bench) -> list[NDArray[np.intp]]:
    """Cut the prices into bands by what the static mix spends at them, on a logarithmic scale."""
    spent = np.log(np.maximum(bench.cost.mean(axis=0, dtype=float)[best_static(bench)], 1e-300))
    share = (spent - spent.min()) / max(float(np.ptp(spent)), 1e-12)
    number = np.minimum((share * _N_BANDS).astype(int), _N_BANDS - 1)
    return [band for k in range(_N_BANDS) if len(band := np.flatnonzero(number == k))]
