"""The columns of a training log: every course worth trying, measured, and screened to those that may pay.

One-shot courses and early stopping are measured for every generator; cascades among the few generators that
come nearest to the best at some price. Where that makes too many courses, a coarse grid tells for whom a fine
one is worth its time. Screening keeps what is near the best at some price, for everybody or by text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.errors import UnknownUnitError
from difficulty.log.sample_log import SampleLog
from difficulty.scale import UNIT, Scale
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.course.strategies import StrategyName
from policies.menu.build import build_menu
from policies.plan.objective import GROUP_OBJECTIVES, Objective
from policies.solver.hull import hull_of_one
from policies.table.grid import cascades, early_stopping, pair
from policies.table.grid_deeper import deeper
from policies.table.measure import measure, measure_more, prompt_lengths
from policies.table.recorded import Recorded
from policies.table.table import CourseTable
from policies.verifier.learned_verifier import LearnedScorer
from training.policy.gaps import filled
from training.policy.narrowing import best_first
from training.policy.offers import Believed

# Share of the prompts that must have the samples for a course.
_SHARE: Final = 0.3
_MOST_GENERATORS: Final = 6
# Courses of a fine grid that are measured at most, of one generator and of several, beyond those of the best.
_MOST_FINE: Final = 4000
_N_PRICES: Final = 40
# Text may see prompts that gain this many times more, or less, per unit of cost than all do on average.
_STEEPER: Final = 30.0
_FLATTER: Final = 30.0
# Courses kept at each price for everybody, and prompts that are asked what they would take.
_TOP: Final = 6
_ASKED: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Columns:
    """A measured table with its costs.

    Parameters
    ----------
    table : CourseTable
        P prompts × C courses.
    value, cost : ndarray of float32, shape (P, C)
        Without gaps (`training.policy.gaps`).
    prices : ndarray of float64, shape (L,)
        Falling.
    scale : Scale
        Of the values.
    """

    table: CourseTable
    value: Float32Array
    cost: Float32Array
    prices: NDArray[np.float64]
    scale: Scale = UNIT

    def keep(self, columns: NDArray[np.intp]) -> Columns:
        """Return some of the courses."""
        table, value, cost = self.table.columns(columns), self.value[:, columns], self.cost[:, columns]
        return replace(self, table=table, value=value, cost=cost)


def measure_columns(
    log: SampleLog,
    model: CostModel,
    *,
    objective: Objective,
    learned: Mapping[str, LearnedScorer] | None = None,
    offered: Mapping[str, StrategyName] | None = None,
    wanted: Callable[[Course], bool] | None = None,
    weights: Float32Array | None = None,
    seed: int = 0,
) -> Columns:
    """Measure every course worth trying on every prompt of a log.

    Parameters
    ----------
    log : SampleLog
        P training prompts, valued as the objective says (`policies.plan.objective.valued`).
    model : CostModel
        Prices a usage; courses that it cannot price are left out.
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
        What the selector delivers, or what a group of rollouts holds.
    learned : mapping of str to LearnedScorer, optional
        Cross-fitted learned verifiers by generator.
    offered : mapping of str to str, optional
        Generators whose samples they may pick from, and how they pick best alone.
    wanted : callable, optional
        Tells which of the courses that react or draw several generators are worth their time; all by default.
    weights : ndarray of float32, shape (P, P), optional
        Beliefs out of fold, by which many courses are narrowed down.
    seed : int
        Of orders and of estimates that draw.

    Raises
    ------
    InvalidInputError
        When no sample is labelled.
    UnknownUnitError
        When nothing can be priced in the model's unit.
    """
    coverage = objective == "coverage"
    judges = {name: scorer for name, scorer in (learned or {}).items() if name in (offered or {})}
    recorded = Recorded.of(log, learned=judges, seed=seed, checked=coverage)
    menu = build_menu(log, objective=objective, learned=offered, share=_SHARE)
    grouped = objective in GROUP_OBJECTIVES  # a group is drawn whole: stopping early would bias its rewards
    going_deeper = objective in ("accuracy", "coverage")
    lengths, trying = prompt_lengths(log), wanted or (lambda course: True)

    def refined(table: CourseTable, of: Callable[[tuple[str, ...]], Sequence[Course]]) -> CourseTable:
        """Add the fine grids of the best generators, or of the best pairs."""
        tried, more = set(table.courses), list[Course]()
        for owners in best_first(table, table.cost(model, lengths), weights, seed=seed):
            fine = [course for course in of(owners) if trying(course) and course not in tried]
            if more and len(more) + len(fine) > _MOST_FINE:
                break
            more += fine
        return CourseTable.joined([table, measure_more(log, recorded, table, more)]) if more else table

    early = [] if grouped else early_stopping(recorded, coverage=coverage)
    coarse = len(early) > _MOST_FINE
    if coarse:
        early = early_stopping(recorded, coverage=coverage, coarse=True)
    early += deeper(recorded, {}, coverage=coverage) if going_deeper else []
    early = [course for course in early if trying(course)]
    table = measure(log, recorded, menu, early, objective=objective, learned=learned, seed=seed)
    if (np.isnan(table.value) | np.isnan(table.cost(model, lengths))).all():
        check_recorded(log, model)
        raise _unpriced(model, "all that the unit counts for any one generator")
    if coarse:
        table = refined(table, lambda owners: early_stopping(recorded, coverage=coverage, generators=owners))
    alone = table.cost(model, lengths)
    single = {
        course.generators[0]: float(np.nanmean(alone[:, at]))
        for at, course in enumerate(table.courses)
        if course.n == 1 and course.steps[0].kind == "sample" and not np.isnan(alone[:, at]).all()
    }
    more = []
    if going_deeper and len(recorded.samples) > 1:
        several = deeper(recorded, single, coverage=coverage)
        more += [course for course in several if len(course.generators) > 1]
    coarse = False
    if len(single) > 1 and not grouped:
        ranked = best_first(table, alone, weights, seed=seed)
        best = [owners[0] for owners in ranked if len(owners) == 1 and owners[0] in single]
        best = best[:_MOST_GENERATORS]
        crossed = cascades(recorded, best, single, coverage=coverage)
        coarse = len(crossed) > _MOST_FINE
        more += cascades(recorded, best, single, coverage=coverage, coarse=True) if coarse else crossed
    more = [course for course in more if trying(course)]
    if more:
        table = CourseTable.joined([table, measure_more(log, recorded, table, more)])
    if coarse:
        table = refined(
            table, lambda owners: pair(recorded, *owners, coverage=coverage) if len(owners) == 2 else []
        )
    value, cost = table.value, table.cost(model, lengths)
    known = ~(np.isnan(value) | np.isnan(cost)).all(axis=0)
    if not known.all():
        table = table.columns(np.flatnonzero(known))
        value, cost = value[:, known], cost[:, known]
    scale = log.scale
    value, cost = filled(value, lower=scale.lower, upper=scale.upper), filled(cost, lower=0.0)
    return Columns(
        table=table,
        value=value,
        cost=cost,
        prices=_prices(table.courses, value, cost, scale),
        scale=scale,
    )


def check_recorded(log: SampleLog, model: CostModel) -> None:
    """Refuse a unit that counts what no generator's samples record, or needs figures that are not declared.

    Raises
    ------
    UnknownUnitError
        It names them, and says what to do.
    """
    for name, drawn in zip(log.generators, log.values().n.sum(axis=0).tolist(), strict=True):
        if drawn:
            model.price_arrays(name, samples=1.0, output_tokens=1.0, prompt_tokens=1.0, seconds=1.0)
    lengths = prompt_lengths(log)
    found = {
        "output_tokens": any(not np.isnan(log.pool(name).output_tokens).all() for name in log.generators),
        "prompt_tokens": any(not np.isnan(lengths[name]).all() for name in log.generators),
    }
    read = {field for name in log.generators for field in model.reads(name)}
    lacking = " and ".join(field for field, known in found.items() if field in read and not known)
    if lacking:
        raise _unpriced(model, lacking)


def _unpriced(model: CostModel, lacking: str) -> UnknownUnitError:
    return UnknownUnitError(
        f"no course can be priced in {model.unit}: the log does not record {lacking}; record it, or choose "
        "another unit"
    )


def _prices(
    courses: Sequence[Course], value: Float32Array, cost: Float32Array, scale: Scale
) -> NDArray[np.float64]:
    """Return falling prices at which the static mix, or the best courses for all, go from one to the next.

    Prices between them are a grid, from where nobody would buy more than the cheapest to where cost hardly
    counts. Thousands of courses differ by next to nothing in cost, which says nothing of prices.
    """
    worth, paid = value.mean(axis=0, dtype=np.float64), cost.mean(axis=0, dtype=np.float64)
    static = np.array([course.one_shot and len(course.generators) == 1 for course in courses])
    slopes, between = [], []
    for columns in (np.flatnonzero(static), np.arange(len(worth))):
        hull = columns[hull_of_one(worth[columns], paid[columns])]
        steep = np.diff(worth[hull]) / np.diff(paid[hull])
        slopes += steep.tolist()
        between += np.sqrt(steep[:-1] * steep[1:]).tolist()
    slopes = slopes or [scale.span / max(float(paid.min()), 1e-12)]
    top, bottom = max(slopes), min(slopes)
    grid = np.geomspace(_STEEPER * top, bottom / _FLATTER, _N_PRICES)
    return np.unique(np.concatenate([[_STEEPER**2 * top], grid, between, [bottom / 2]]))[::-1]


def screen(columns: Columns, weights: Float32Array | None, *, seed: int = 0) -> NDArray[np.intp]:
    """Return the courses that are near the best at some price, for everybody or for some prompts by text.

    Parameters
    ----------
    columns : Columns
        P prompts × C courses.
    weights : ndarray of float32, shape (P, P), optional
        Beliefs out of fold.
    seed : int
        Of the prompts that are asked.
    """
    value, cost = columns.value.mean(axis=0), columns.cost.mean(axis=0)
    top = min(_TOP, len(value) - 1) if len(value) > 1 else 1
    kept = {at for at, course in enumerate(columns.table.courses) if course.one_shot}
    for price in columns.prices:
        worth = value - price * cost
        kept |= set(np.argpartition(-worth, top - 1)[:top].tolist())
    if weights is not None:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(weights))[:_ASKED])
        expected, spent = Believed.by(weights[rows], columns.value, columns.cost)
        for price in columns.prices:
            kept |= set((expected - np.float32(price) * spent).argmax(axis=1).tolist())
    return np.array(sorted(kept), dtype=np.intp)
