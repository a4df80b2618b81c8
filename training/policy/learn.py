"""Learn the one policy from a log: columns, beliefs, what may be believed of them, and what is told.

Everything that chooses is cross-fitted by group. What is deployed is a small part of the columns, on
reference prompts; who writes it to disk is `training.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.log.sample_log import SampleLog
from planner.progress import Progress, silent
from policies.choice.course_policy import CoursePolicy
from policies.cost.cost_model import CostModel
from policies.course.course import of_one_generator
from policies.course.strategies import StrategyName
from policies.plan.objective import Objective
from policies.table.table import CourseTable
from policies.verifier.learned_verifier import LearnedScorer
from training.policy.bench import Bench
from training.policy.columns import Columns, measure_columns, screen
from training.policy.masks import rule_masks, static, two_agree
from training.policy.offers import Believed, believe
from training.policy.told import fit_telling
from training.policy.told_apart import told_apart
from training.policy.verdict import Verdict, on_offer, shown_for, verdict

Search: TypeAlias = Callable[[Bench], "Weighed | None"]


class Weighed(NamedTuple):
    """Weights out of fold over P training prompts, shape (P, P).

    Attributes
    ----------
    choosing : ndarray of float32
        By which prompts choose courses.
    sharp : ndarray of float32 or None
        Narrower ones, by which it is told what chosen courses bring; None where there are none.
    """

    choosing: Float32Array
    sharp: Float32Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Learned:
    """What was learned from P training prompts.

    Parameters
    ----------
    policy : CoursePolicy
        What is deployed, over the courses of `table`.
    table : CourseTable
        The courses that are kept, on all P prompts, gaps and all: deployed ones, static ones, known rules.
    value, cost : ndarray of float32, shape (P, C)
        Their values and costs without gaps.
    deployed : ndarray of bool, shape (C,)
        Courses that plans may use.
    columns : Columns
        All courses that were screened in.
    bench : Bench
        The same as the choice saw them.
    verdict : Verdict
        How much was deployed, and why.
    """

    policy: CoursePolicy
    table: CourseTable
    value: Float32Array
    cost: Float32Array
    deployed: NDArray[np.bool_]
    columns: Columns
    bench: Bench
    verdict: Verdict


def learn(
    log: SampleLog,
    model: CostModel,
    *,
    objective: Objective,
    weights: Weighed | None,
    folds: NDArray[np.intp],
    groups: NDArray[np.str_] | NDArray[np.intp] | None = None,
    learned: Mapping[str, LearnedScorer] | None = None,
    offered: Mapping[str, StrategyName] | None = None,
    seed: int = 0,
    search: Search | None = None,
    progress: Progress | None = None,
) -> Learned:
    """Learn a policy.

    Parameters
    ----------
    log : SampleLog
        P training prompts.
    model : CostModel
        Prices a usage in the unit to plan in.
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
        What the selector delivers, or what a group of rollouts holds.
    weights : Weighed, optional
        Beliefs out of fold; None where prompts have no text, or their text tells nothing.
    folds : ndarray of intp, shape (P,)
        By group.
    groups : ndarray, shape (P,), optional
        Near-duplicates share one; by default those that the prompts declare.
    learned, offered
        As in `training.policy.columns.measure_columns`.
    seed : int
        Of orders and of estimates that draw.
    search : callable, optional
        Looks for better weights than `weights` on the bench of the screened courses; None where there are
        none.
    progress : callable, optional
        Called with (stage, done, total).

    Raises
    ------
    InvalidInputError
        When no sample is labelled.
    """
    tell = progress or silent
    tell("table", 0, 1)
    choosing = None if weights is None else weights.choosing
    measured = measure_columns(
        log, model, objective=objective, learned=learned, offered=offered, weights=choosing, seed=seed
    )
    screened = screen(measured, choosing, seed=seed)
    columns = measured.keep(screened)
    tell("table", 1, 1)
    named = np.array([prompt.group for prompt in log.prompts]) if groups is None else groups
    numbers = np.unique(named, return_inverse=True)[1]
    bench = bench_of(columns, choosing, groups=numbers, folds=folds)
    better = None if search is None else search(bench)
    tell("policy", 0, 1)
    if better is not None:
        weights = better
        screened = screen(measured, better.choosing, seed=seed)
        columns = measured.keep(screened)
        bench = bench_of(columns, better.choosing, groups=numbers, folds=folds)
    shown = shown_for(measured.table.courses, objective)
    apart = np.inf if objective == "coverage" else told_apart(log, numbers)  # a checker knows
    found = verdict(bench, by_text=weights is not None, shown=shown, apart=apart)
    offered_at = on_offer(bench, found)
    believed = believe(bench, bench.weights)
    telling = fit_telling(bench, believed, offered_at, None if weights is None else weights.sharp)
    deployed = np.zeros(len(measured.table.courses), dtype=bool)
    offers = np.zeros((len(bench.prices), len(deployed)), dtype=bool)
    deployed[screened] = _useful(bench, believed, offered_at)
    offers[:, screened] = offered_at
    kept = np.flatnonzero(deployed | _for_comparison(measured))
    tell("policy", 1, 1)
    return Learned(
        policy=CoursePolicy(prices=bench.prices, offered=(offers & deployed)[:, kept], telling=telling),
        table=measured.table.columns(kept),
        value=measured.value[:, kept].clip(columns.scale.lower, columns.scale.upper),
        cost=measured.cost[:, kept],
        deployed=deployed[kept],
        columns=columns,
        bench=bench,
        verdict=found,
    )


def bench_of(
    columns: Columns,
    weights: Float32Array | None,
    *,
    groups: NDArray[np.intp],
    folds: NDArray[np.intp],
) -> Bench:
    """Return columns as the choice sees them; without weights, prompts believe in all of the other folds."""
    courses = columns.table.courses
    sampled = np.array([all(step.kind == "sample" for step in course.steps) for course in courses])
    agreeing = np.array([two_agree(course) for course in courses])
    if weights is None:
        apart = (folds[:, None] != folds[None]).astype(np.float32)
        weights = apart / np.maximum(apart.sum(axis=1, keepdims=True), 1)
    return Bench(
        value=columns.value,
        cost=columns.cost,
        weights=weights,
        groups=groups,
        folds=folds,
        static=static(courses),
        known=(of_one_generator(courses) & sampled) | static(courses) | agreeing,
        owner=np.unique(["\0".join(course.generators) for course in courses], return_inverse=True)[1],
        prices=columns.prices,
        scale=columns.scale,
    )


def _useful(bench: Bench, believed: Believed, offered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the courses to deploy: those that some prompt takes, and the static hull for caps and tests."""
    kept = np.zeros(bench.value.shape[1], dtype=bool)
    for level, price in enumerate(bench.prices):
        columns = np.flatnonzero(offered[level])
        worth = believed.value[:, columns] - np.float32(price) * believed.cost[:, columns]
        kept[columns[np.unique(worth.argmax(axis=1))]] = True
        static = np.flatnonzero(bench.static)
        mean = bench.value[:, static].mean(axis=0) - price * bench.cost[:, static].mean(axis=0)
        kept[static[mean.argmax()]] = True
    return kept


def _for_comparison(measured: Columns) -> NDArray[np.bool_]:
    """Return the courses that evaluation compares with: static ones, and each known rule at its best.

    Of all that were measured: a rule that is never near the best course has a best of its own.
    """
    courses = measured.table.courses
    kept = static(courses)
    value, cost = measured.value.mean(axis=0, dtype=float), measured.cost.mean(axis=0, dtype=float)
    for mask in rule_masks(courses).values():
        columns = np.flatnonzero(mask)
        worth = value[columns] - measured.prices[:, None] * cost[columns]
        kept[columns[np.unique(worth.argmax(axis=1))]] = True
    return kept
