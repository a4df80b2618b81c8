"""What a log says that would have been saved at equal accuracy, against the same N for everybody.

Nothing is trained: courses are for everybody, chosen on one half of the prompts and reported on the other.
Choices by a prompt's text are left to `training.train`, words and tables to ``planner savings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.threads import on_one_thread
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.log.arguments import check_log
from difficulty.log.sample_log import SampleLog
from policies.cost.budget import UNIT_TRAITS, check_unit
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.allocation import Allocation
from policies.course.course import Course
from policies.plan.objective import GROUP_OBJECTIVES, Objective, check_objective, valued
from policies.table.grid import available
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded
from policies.table.static import static_table
from training.evaluation.bed import Played
from training.frontier import Frontier, bootstrap_weights, estimate, number
from training.policy.columns import Columns, measure_columns
from training.savings.complete import complete
from training.savings.halves import cross_fitted
from training.savings.parts import CHECKED, VOTE, parts, uniform, worth_trying
from training.train import default_unit

_SHARE: Final = 0.9
_MOST_PROMPTS: Final = 1000
_FEWEST_GROUPS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Savings:
    """What would have been saved, all JSON values.

    Parameters
    ----------
    data : dict
        Prompts, groups, samples, unit, objective, seed, and what was left out.
    today : dict
        The same N for everybody: ``"generator"``, ``"picking"``, ``"n"``, and its ``"value"`` and ``"cost"``
        per prompt.
    ways : list of dict
        By way to save: ``"name"``; ``"cost"`` per prompt at the value of today, None where it never gets
        there; ``"saved"`` per prompt and ``"saved_share"``, with intervals, whose ends are None where
        replicates never get there. The last one is all together, where there are several.
    collecting : dict
        ``"cost"`` of the whole log; ``"repaid_after"``, prompts until what is told has saved as much, None
        where it never does, with interval; its upper end is None where it may be never. Empty in units that
        do not add up.
    """

    data: dict[str, Any]
    today: dict[str, Any]
    ways: list[dict[str, Any]]
    collecting: dict[str, Any]

    def to_json(self) -> bytes:
        """Return all of it as JSON."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


class _Today(NamedTuple):
    """The same N for everybody, and its value and cost per prompt, shape (P,)."""

    course: Course
    picking: str
    value: FloatArray
    cost: FloatArray


@on_one_thread
def savings(
    log: SampleLog,
    *,
    unit: str | None = None,
    objective: Objective = "accuracy",
    reward: str = "reward",
    generator: str | None = None,
    n: int | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
    cost_model: CostModel | None = None,
) -> Savings:
    """Return what stopping early, pooling and choosing the model would have saved.

    Parameters
    ----------
    log : SampleLog
        With repeats; of more than 1000 prompts, as many are drawn by group.
    unit : str, optional
        Of cost; output tokens where recorded, else samples.
    objective : {"accuracy", "coverage", "reward"}
        What the selector delivers, or one right sample where a checker finds it, or reward.
    reward : str
        Where rewards are taken from, as in `training.train.train`.
    generator : str, optional
        Who is sampled today; the one that gets furthest with equally many samples by default.
    n : int, optional
        How many samples everybody gets today; by default the fewest that get 90 % of the way from one sample
        to the most.
    n_bootstrap : int
        Replicates of the paired bootstrap over groups, at least 100.
    seed : int
        Of orders, halves and bootstrap.
    cost_model : CostModel, optional
        Prices beyond those in the log's header; its unit is replaced.

    Raises
    ------
    InvalidInputError
        When the log has no repeats, too few prompts, or nothing labelled.
    UnknownGeneratorError
        When the log has no sample of `generator`.

    Notes
    -----
    Intervals are of a paired bootstrap over groups of prompts, conditional on what was chosen and on the
    samples that were recorded.
    """
    check_log(log)
    check_whole("seed", seed)
    if check_objective(objective) in GROUP_OBJECTIVES:
        raise InvalidInputError(
            f"savings are told for answers, not for groups of rollouts ({objective}); train for them instead"
        )
    check_whole("n_bootstrap", n_bootstrap, least=100)
    if n is not None:
        check_whole("n", n, least=1)
    if generator is not None:
        check_choice("generator", generator, log.generators, error=UnknownGeneratorError)
    judged = valued(log, objective, reward=reward)
    used = _sampled(judged, seed)
    cost_unit = check_unit(unit or default_unit(used))
    model = replace(cost_model or CostModel(unit=cost_unit, generators=log.generators), unit=cost_unit)
    recorded = Recorded.of(used, seed=seed)
    widest = {n or 1, *(available(recorded, name) for name in recorded.samples)}
    wanted = partial(worth_trying, widest=widest)
    whole = measure_columns(used, model, objective=objective, wanted=wanted, seed=seed)
    columns, rows = complete(whole, used, model, generator)
    groups = np.unique(np.array(used.near_duplicates().groups)[rows], return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    if n_groups < _FEWEST_GROUPS:
        raise InvalidInputError(
            f"at least {_FEWEST_GROUPS} prompts that differ are needed, got {n_groups}; record more"
        )
    kept = used.select([used.prompts[row].id for row in rows])
    today = _today(columns, kept, model, generator, n, seed)
    courses = columns.table.courses
    weights = bootstrap_weights(
        len(rows), n_replicates=n_bootstrap, seed=seed, groups=[str(group) for group in groups]
    )
    played = cross_fitted(columns, parts(courses, today.course), today.value, groups, seed=seed)
    target, spent = weights @ today.value, weights @ today.cost
    ways = [_way(name, item, weights, target, spent) for name, item in played.items()]
    return Savings(
        data={
            "n_prompts": len(rows),
            "n_left_out": len(used.prompts) - len(rows),
            "n_not_drawn": len(log.prompts) - len(used.prompts),
            "n_groups": n_groups,
            "n_samples": log.n_samples,
            "n_courses": len(courses),
            "most_samples": max(course.n for course in courses),
            "generators": list(log.generators),
            "unit": cost_unit,
            "objective": objective,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
        today={
            "generator": today.course.generators[0],
            "picking": today.picking,
            "n": today.course.n,
            "value": number(target[0], digits=9),
            "cost": number(spent[0], digits=9),
        },
        ways=ways,
        collecting=_collecting(log, judged, courses, model, objective, ways),
    )


def _sampled(log: SampleLog, seed: int) -> SampleLog:
    """Return a log of at most as many prompts as a minute allows, drawn by group."""
    if len(log.prompts) <= _MOST_PROMPTS:
        return log
    groups = np.unique(np.array(log.near_duplicates().groups), return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    rows = np.argsort(order[groups], kind="stable")[:_MOST_PROMPTS]
    return log.select([log.prompts[row].id for row in np.sort(rows)])


def _today(
    columns: Columns, log: SampleLog, model: CostModel, generator: str | None, n: int | None, seed: int
) -> _Today:
    """Return the same N for everybody that is compared with: of those that get furthest by a plain vote, or
    by whatever the log knows where nothing votes.
    """
    courses, value = columns.table.courses, columns.value.mean(axis=0, dtype=np.float64)
    names = dict.fromkeys(course.generators[0] for course in courses)
    ways = {
        (name, picking): at
        for name in names
        if generator in (None, name)
        for picking, at in uniform(courses, name).items()
    }
    if not ways:
        raise InvalidInputError(
            f"too few prompts have samples of {generator!r}; compare with one of {', '.join(names)}"
        )
    usual = {way: at for way, at in ways.items() if way[1] in (VOTE, CHECKED)} or ways
    best = max(usual, key=lambda way: float(value[usual[way]].max()))
    at, picking = usual[best], best[1]
    if n is None:
        way = value[at[0]] + _SHARE * (value[at].max() - value[at[0]])
        column = int(at[(value[at] >= way - 1e-12).argmax()])
    elif n in (widths := [courses[column].n for column in at.tolist()]):
        column = int(at[widths.index(n)])
    elif n > widths[-1]:
        raise InvalidInputError(
            f"n must be at most {widths[-1]}, which is what the log can tell of {best[0]!r}; got {n}"
        )
    else:
        return _measured(replace(summary_of(courses[at[-1]]), width=n), picking, log, model, seed)
    course = courses[column]
    return _Today(
        course, picking, columns.value[:, column].astype(float), columns.cost[:, column].astype(float)
    )


def _measured(allocation: Allocation, picking: str, log: SampleLog, model: CostModel, seed: int) -> _Today:
    """Return a number of samples that is not on the grid."""
    table = measure(log, Recorded.of(log, seed=seed), [allocation], [], seed=seed)
    cost = table.cost(model, prompt_lengths(log))
    return _Today(table.courses[0], picking, table.value[:, 0].astype(float), cost[:, 0].astype(float))


def _way(
    name: str, played: Played, weights: FloatArray, target: FloatArray, spent: FloatArray
) -> dict[str, Any]:
    """Return what one way costs at the value of today, and what it saves."""
    paid = Frontier.of(played.cost, played.value, weights).cost_of(target)
    never = np.isinf(paid)
    saved = np.where(never, -np.inf, spent - np.where(never, 0.0, paid))
    share = saved / np.maximum(spent, 1e-300)
    return {
        "name": name,
        "cost": number(paid[0], digits=9),
        "missing": number(max(float(target[0] - (weights[0] @ played.value).max()), 0.0), digits=9),
        **estimate("saved", saved, digits=9),
        **estimate("saved_share", share, digits=9),
    }


def surely_saves(way: Mapping[str, Any]) -> bool:
    """Return whether the interval of what a way saves is above 0."""
    low = way["saved_share_interval"][0]
    return low is not None and low > 0


def told_of(ways: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the way that is told of: the last, or else the single one that surely saves most."""
    sure = [ways[-1]] if surely_saves(ways[-1]) else [way for way in ways if surely_saves(way)]
    return max(sure, key=lambda way: way["saved_share"], default=ways[-1])


def _collecting(
    log: SampleLog,
    judged: SampleLog,
    courses: Sequence[Course],
    model: CostModel,
    objective: Objective,
    ways: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what the log cost, and after how many prompts what is told of has saved as much.

    Samples of generators and prompts that nothing is compared on were paid for, too.
    """
    if not UNIT_TRAITS[model.unit].additive:
        return {}
    once = summary_of(next(course for course in courses if course.n == 1))
    names = [name for name in judged.generators if judged.pool(name).n_valued.any()]
    single = static_table(judged, [replace(once, generator=name) for name in names], objective=objective)
    paid, cost = single.cost(model, prompt_lengths(judged)).astype(np.float64), 0.0
    for column, name in enumerate(names):
        known, n = ~np.isnan(paid[:, column]), judged.pool(name).n
        mean = float(paid[known, column] @ n[known]) / int(n[known].sum())
        cost += mean * int(log.pool(name).n.sum())
    told = told_of(ways)
    low, high = told["saved_interval"]
    return {
        "cost": number(cost, digits=9),
        "repaid_after": _repaid(cost, told["saved"]),
        "repaid_after_interval": [_repaid(cost, high), _repaid(cost, low)],
    }


def _repaid(cost: float, saved: float | None) -> int | None:
    return None if saved is None or saved <= 0 else int(np.ceil(cost / saved))
