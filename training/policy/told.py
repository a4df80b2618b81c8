"""Fit what is told of plans: realised value and cost, out of fold, against what was expected of them.

Three coefficients per level, held where they were not shown to be elsewhere, and intervals from what is left.
It assumes beliefs out of fold; what was recorded is noisy itself, so the intervals are rather too wide than
too narrow, the more so the fewer samples a prompt has.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from policies.choice.telling import Telling, rising
from training.policy.bench import Bench, paired
from training.policy.offers import Believed, choose
from training.policy.population import best_static

# Prompts whose worth of evidence stands behind slopes of 1 and 0 before any is seen.
_PRIOR: Final = 20.0
_MOST: Final = 1.5
_N_KNOTS: Final = 41
_TAIL: Final = 0.025
# Prompts told nearly the same, by which it is known how far the truth lies from what is told.
_N_NEAR: Final = 40
# Parts of the groups of which each is left out once, to see how much a line owes to them.
_N_BLOCKS: Final = 20


class _Chosen(NamedTuple):
    """What P prompts take at each of L levels: what is expected of it and what came, shape (P, L)."""

    usual: FloatArray
    expected: FloatArray
    near: FloatArray
    value: FloatArray
    cost: FloatArray
    spent: FloatArray


def fit_telling(
    bench: Bench, believed: Believed, offered: NDArray[np.bool_], sharp: NDArray[np.float32] | None = None
) -> Telling:
    """Return what choices on offer bring, by level.

    Parameters
    ----------
    bench : Bench
        P training prompts.
    believed : Believed
        Their beliefs out of fold.
    offered : ndarray of bool, shape (L, C)
        Courses on offer at each price.
    sharp : ndarray of float32, shape (P, P), optional
        Weights out of fold that are too narrow to choose by (`difficulty.belief.mixture.sharp_weights`).

    Notes
    -----
    What levels gain over the static mix of equal cost is shrunk by its uncertainty (James-Stein, positive
    part, of all levels that gain), so that lucky ones do not look better than what costs more and is sure.
    All are shrunk alike: by its own error alone a level would fall below the mix of its neighbours, and plans
    would leave out what known rules play (`notebooks/LOG.md`, 2026-11-30). The slope on what made the choice
    is shrunk towards 1, the one on narrower weights towards 0, as if twenty more prompts had said so, and
    both lie in [0, 1.5]: a line is enough, and on fewer than a thousand prompts it is better than isotonic
    regression (`notebooks/LOG.md`, 2026-11-29). An interval holds 95 % of what came of the prompts that were
    told nearly the same, a fifth of all and at least forty. What all plans err by together is known by lines
    that are fitted without a twentieth of the groups each (delete-a-group jackknife).
    """
    found = _chosen(bench, believed, offered, sharp)
    seen = [found.expected - found.usual] + ([] if sharp is None else [found.near - found.usual])
    centred, span = np.stack(seen, axis=2), bench.scale.span
    line = _line(found.usual, centred, found.value, _shrunk(bench, found.value, found.spent), span)
    told = rising(line.at(found.usual, centred))
    lower, upper = _intervals(bench.scale.share(found.value), bench.scale.share(told))
    apart = (found.value - told) ** 2 / span**2
    error, spread = _by_told(bench.scale.share(told), _line_variance(bench, found, centred) / span**2, apart)
    ratio = np.maximum(found.spent.mean(axis=0) / np.maximum(found.cost.mean(axis=0), 1e-300), 1e-6)
    cost_lower, cost_upper = _cost_intervals(found.spent, ratio * found.cost)
    return Telling(
        offset=line.offset,
        slope=line.slopes[:, 0],
        lean=np.zeros(len(line.offset)) if sharp is None else line.slopes[:, 1],
        lower=lower,
        upper=upper,
        error=error,
        spread=spread,
        cost=ratio,
        cost_lower=cost_lower,
        cost_upper=cost_upper,
        scale=bench.scale,
    )


def _chosen(
    bench: Bench, believed: Believed, offered: NDArray[np.bool_], sharp: NDArray[np.float32] | None
) -> _Chosen:
    taken = choose(believed, offered, bench.prices)
    rows = np.arange(len(bench))[:, None]
    usual = bench.value.mean(axis=0, dtype=np.float64)[taken]
    used, place = np.unique(taken, return_inverse=True)
    # Where nobody chooses by text, all are told the same of cost, so that budgets treat them alike.
    by_text = bool((offered.sum(axis=1) > 1).any())
    cost = believed.cost[rows, taken] if by_text else bench.cost.mean(axis=0)[taken]
    return _Chosen(
        usual=usual,
        expected=believed.value[rows, taken].astype(np.float64),
        near=usual
        if sharp is None
        else row_product(sharp, bench.value[:, used])[rows, place.reshape(taken.shape)].astype(np.float64),
        value=bench.value[rows, taken].astype(np.float64),
        cost=cost.astype(np.float64),
        spent=bench.cost[rows, taken].astype(np.float64),
    )


class _Line(NamedTuple):
    """Offset, shape (L,), and slopes on K predictions, shape (L, K), of each level."""

    offset: FloatArray
    slopes: FloatArray

    def at(self, usual: FloatArray, centred: FloatArray) -> FloatArray:
        """Return what is told of P prompts, shape (P, L)."""
        return np.asarray(self.offset + usual + (self.slopes * centred).sum(axis=2))


def _line(usual: FloatArray, centred: FloatArray, value: FloatArray, mean: FloatArray, span: float) -> _Line:
    """Return the line of each level through what is to be told on average, shape (L,).

    `centred` are the predictions less the usual value, shape (P, L, K).
    """
    means, gained = centred.mean(axis=0), value - usual
    slopes = _slopes(centred - means, gained - gained.mean(axis=0), span)
    return _Line(mean - usual.mean(axis=0) - (slopes * means).sum(axis=1), slopes)


def _line_variance(bench: Bench, found: _Chosen, centred: FloatArray) -> FloatArray:
    """Return how much the lines vary with the training prompts, at each of these, shape (P, L)."""
    block = np.random.default_rng(0).permutation(int(bench.groups.max()) + 1)[bench.groups] % _N_BLOCKS
    names = np.unique(block)
    total, squares = np.zeros_like(found.value), np.zeros_like(found.value)
    for name in names:
        kept = block != name
        value = found.value[kept]
        part = _line(found.usual[kept], centred[kept], value, value.mean(axis=0), bench.scale.span)
        told = part.at(found.usual, centred)
        total += told
        squares += told**2
    n = len(names)
    return np.asarray(np.maximum(squares - total**2 / n, 0.0) * (n - 1) / n)


def _by_told(told: FloatArray, *squares: FloatArray) -> list[FloatArray]:
    """Return the roots of mean squares at even knots, of the prompts told nearly the same at any level."""
    near = _n_near(len(told)) * told.shape[1]
    order = np.argsort(told, axis=None, kind="stable")
    start = np.searchsorted(told.ravel()[order], np.linspace(0, 1, _N_KNOTS)) - near // 2
    start = start.clip(0, len(order) - near)
    found = []
    for each in squares:
        sums = np.concatenate([[0.0], np.cumsum(each.ravel()[order])])
        found.append(np.sqrt(np.maximum(sums[start + near] - sums[start], 0.0) / near))
    return found


def _n_near(n: int) -> int:
    """Return how many of n prompts are told nearly the same."""
    return min(max(_N_NEAR, n // 5), n)


def _slopes(seen: FloatArray, gained: FloatArray, span: float) -> FloatArray:
    """Return the slopes of each level on K centred predictions, shape (P, L, K), by ridge regression, (L, K).

    The first is held at 1, the others at 0.
    """
    _, n_levels, n_predictions = seen.shape
    prior = np.eye(n_predictions)[0]
    result = np.empty((n_levels, n_predictions))
    for level in range(n_levels):
        at, came = seen[:, level], gained[:, level]
        held = _PRIOR * np.maximum((at**2).mean(axis=0), 1e-9 * span**2)
        moments = at.T @ at + np.diag(held)
        result[level] = np.linalg.solve(moments, at.T @ came + held * prior)
    return result.clip(0.0, _MOST)


def _intervals(value: FloatArray, told: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals at even knots, of prompts like these and of strangers, (2, L, K) each.

    All in shares of the scale.
    """
    knots = np.linspace(0, 1, _N_KNOTS)
    # Prompts that are told the same must not be taken in the order of their log.
    rows = np.random.default_rng(0).permutation(len(value))
    order = rows[np.argsort(told[rows], axis=0, kind="stable")]
    told, value = np.take_along_axis(told, order, axis=0), np.take_along_axis(value, order, axis=0)
    ends = []
    for near, errors in ((_n_near(len(value)), True), (len(value), False)):
        lower, upper = np.empty((2, told.shape[1], _N_KNOTS))
        margin = 1 / (near + 2)
        for level in range(told.shape[1]):
            start = np.searchsorted(told[:, level], knots) - near // 2
            at = start.clip(0, len(value) - near)[:, None] + np.arange(near)
            window = np.sort(value[at, level] - (told[at, level] if errors else 0.0), axis=1)
            middle = knots if errors else 0.0
            lower[level] = middle + window[:, _n_out(near)] - margin
            upper[level] = middle + window[:, -1 - _n_out(near)] + margin
        ends.append((lower, upper))
    lower, upper = np.stack([end[0] for end in ends]), np.stack([end[1] for end in ends])
    # Whoever is told more is not held to be worse.
    lower = np.minimum.accumulate(lower[..., ::-1], axis=-1)[..., ::-1]
    upper = np.maximum.accumulate(upper, axis=-1)
    # Many prompts are always answered rightly, or never: an end that is within a step of there is there.
    step = knots[1]
    lower, upper = np.where(lower < step, 0.0, lower), np.where(upper > 1 - step, 1.0, upper)
    return np.minimum(lower, knots).clip(0, 1), np.maximum(upper, knots).clip(0, 1)


def _n_out(n: int) -> int:
    """Return how many of n values lie beyond either end of an interval that holds 95 % of their like."""
    return max(int(_TAIL * (n + 1)) - 1, 0)


def _cost_intervals(spent: FloatArray, told: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals of cost over what is told, like these and strangers, (2, L) each."""
    ratios = np.stack([spent / np.maximum(told, 1e-300), spent / np.maximum(spent.mean(axis=0), 1e-300)])
    ratios = np.sort(np.where(told > 0, ratios, 1.0), axis=1)
    out = _n_out(len(spent))
    return np.minimum(ratios[:, out], 1.0), np.maximum(ratios[:, -1 - out], 1.0)


def _shrunk(bench: Bench, realised: FloatArray, spent: FloatArray) -> FloatArray:
    """Return the mean of each level, gains over the static mix of equal cost shrunk alike, shape (L,)."""
    columns = np.unique(best_static(bench))
    value, cost = bench.value[:, columns].astype(float), bench.cost[:, columns].astype(float)
    order = np.argsort(cost.mean(axis=0))
    value, paid = value[:, order], cost.mean(axis=0)[order]
    mixed, gain, error = np.empty((3, realised.shape[1]))
    for level, asked in enumerate(spent.mean(axis=0)):
        above = min(int(np.searchsorted(paid, asked)), len(paid) - 1)
        below = max(above - 1, 0)
        apart = paid[above] - paid[below]
        share = min(max((asked - paid[below]) / apart, 0.0), 1.0) if apart > 0 else 1.0
        mix = (1 - share) * value[:, below] + share * value[:, above]
        mixed[level] = mix.mean()
        gain[level], error[level] = paired(realised[:, level] - mix, bench.groups)
    better = gain > 0
    squares = (gain[better] ** 2).sum()
    kept = max(1 - (error[better] ** 2).sum() / squares, 0.0) if squares > 0 else 0.0
    return np.asarray(mixed + np.where(better, kept * gain, gain))
