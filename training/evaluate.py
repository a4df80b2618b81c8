"""What a bundle is worth on prompts that it never saw: every baseline side by side, with intervals.

The test log must share no prompt or group with the training log (this is checked by id). Frontiers are
replayed from the recorded samples by the exact estimators; nothing is tuned here. Tables are made in
`training.evaluation.comparison`, text and figures in `training.report.report` and `training.report.figures`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.weight_spec import PolicySpec
from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.features.hidden_states import HiddenStates
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.planning.pricing import Pricing
from policies.cost.budget import Budget, check_unit
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.menu.curves import CurveTable, measure_curves
from policies.plan.plan import AllocationPlan
from policies.solver.prices import price_grid
from policies.verifier.learned_verifier import LearnedScorer
from training.adaptive.rivals import RIVALS
from training.evaluation import baselines as base
from training.evaluation.adaptive import AdaptiveBed, adaptive_courses, replayable, round_table
from training.evaluation.belief_scores import score_belief
from training.evaluation.comparison import compare, compare_with_rivals, gap_closed
from training.evaluation.flops_matched import flops_matched
from training.evaluation.hindsight import half_sizes, hindsight
from training.evaluation.regret import regret_courses, regret_split, rounding_regret
from training.evaluation.uniform import against_uniform
from training.frontier import bootstrap_weights
from training.menu.learned_verifiers import measure_learned_verifiers
from training.report.report import Report
from training.report.write import write_report

__all__ = ["evaluate"]

FloatArray: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, int, int], None]

_N_PRICES: Final = 80
_N_BANDS: Final = 5
_ROUNDING: Final = 1 + 1e-9


@on_one_thread
def evaluate(
    bundle: PolicyBundle | str | os.PathLike[str],
    log: SampleLog,
    out: str | os.PathLike[str] | None = None,
    *,
    n_bootstrap: int = 2000,
    seed: int = 0,
    cost_model: CostModel | None = None,
    hidden_states: HiddenStates | None = None,
    progress: Progress | None = None,
) -> Report:
    """Evaluate a bundle on test prompts and write the report.

    Parameters
    ----------
    bundle : PolicyBundle or path
        What `train` left.
    log : SampleLog
        Test prompts, recorded with the same generators.
    out : str or path, optional
        Folder for ``report.json``, ``report.md`` and the figures; nothing is written without it.
    n_bootstrap : int
        Replicates of the paired bootstrap over prompts, at least 100.
    seed : int
        Seed of bootstrap, placebo and random allocation.
    cost_model : CostModel, optional
        Prices beyond those in the log's header; its unit is replaced by the bundle's.
    hidden_states : HiddenStates, optional
        The one that the bundle was trained with; needed for such bundles only.
    progress : callable, optional
        Called with (stage, done, total).

    Raises
    ------
    InvalidBundleError
        When the bundle cannot be loaded.
    InvalidInputError
        When no test prompt has all of the bundle's generators, or one was trained on. Prompts whose text was
        trained on under another id are left out and counted.
    """
    if n_bootstrap < 100:
        raise InvalidInputError(f"n_bootstrap must be at least 100 for a 95 % interval, got {n_bootstrap}")
    tell = progress or (lambda stage, done, total: None)
    loaded = bundle if isinstance(bundle, PolicyBundle) else PolicyBundle.load(bundle)
    planner = Planner(bundle=loaded, cost_model=cost_model, hidden_states=hidden_states)
    tell("curves", 0, 1)
    bed, halves, rows = _test_bed(planner, log, cost_model, seed)
    tell("curves", 1, 1)
    kept = log.select([log.prompts[row].id for row in rows])
    near = kept.near_duplicates()
    weights = bootstrap_weights(len(rows), n_replicates=n_bootstrap, seed=seed, groups=near.groups)
    courses = _courses(bed, halves, kept, seed)
    model = replace(
        cost_model or CostModel(unit=check_unit(loaded.unit), generators=log.generators),
        unit=check_unit(loaded.unit),
    )
    reactive = AdaptiveBed.of(loaded, kept, model, coordinates=bed.coordinates, seed=seed)
    reacting, rounds = adaptive_courses(reactive)
    uniform = {name: course for name, course in courses.items() if name.startswith("uniform ")}
    courses = {name: courses[name] for name in list(courses)[:2]} | reacting | courses
    tell("bootstrap", 0, 1)
    comparison = compare(courses, weights, reference="best static mix")
    closed = {}
    if "hindsight choice (half B)" in courses:
        closed = {
            "per_budget": gap_closed(
                courses["learned"],
                courses["best static mix"],
                courses["hindsight choice (half B)"],
                weights,
                comparison.budgets,
            )
        }
    rivals = {}
    if len(reacting) > 1:
        rivals = compare_with_rivals(
            courses,
            weights,
            ours="adaptive",
            rivals=[name for name in reacting if name in RIVALS],
            others=[name for name in reacting if name not in RIVALS and name != "adaptive"],
            reference="best static mix",
            budgets=comparison.budgets,
        )
    planned = _budget_error(planner, kept, bed, comparison.budgets)
    regret = {
        "parts": regret_split(
            regret_courses(reactive), courses.get("hindsight choice (half B)"), weights, comparison.budgets
        ),
        "rounding": rounding_regret(courses["learned"], weights, planned),
    }
    tell("bootstrap", 1, 1)
    report = Report(
        data={
            "log_digest": log.digest,
            "about": {k: v for k, v in log.about.items() if k in ("source", "licence", "split")},
            "n_prompts": len(rows),
            "n_left_out": len(log.prompts) - len(rows),
            "n_renamed": sum(map(loaded.was_trained_on_text, log.prompts)),
            "n_near_duplicates": near.n_prompts,
            "n_groups": len(set(near.groups)),
            "n_samples": kept.n_samples,
            "unit": loaded.unit,
            "objective": loaded.objective,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
        bundle=msgspec.to_builtins(
            {
                "policy": loaded.policy,
                "family": loaded.policy.family,
                "training": dict(loaded.training),
                "generators": list(loaded.generators),
            }
        ),
        comparison=comparison._asdict(),
        oracle_gap=closed,
        calibration=score_belief(planner.belief(kept.prompts), kept),
        budgets=planned,
        bands=_bands(planner, kept, bed, comparison.budgets),
        flops_matched=flops_matched(bed, weights),
        rounds=round_table(reactive, kept, courses["adaptive"], rounds, comparison.budgets)
        if reacting
        else [],
        rivals=rivals,
        regret=regret,
        learned_verifier=measure_learned_verifiers(loaded, kept, seed=seed),
        uniform={
            **against_uniform(courses["adaptive"], uniform, weights),
            "most_waves": max(len(move.ladder) for move in reactive.policies["adaptive"].moves),
        }
        if reacting
        else {},
    )
    if out is not None:
        tell("figures", 0, 1)
        write_report(report, Path(out))
        tell("figures", 1, 1)
    return report


Halves: TypeAlias = tuple[CurveTable, CurveTable] | None


def _test_bed(
    planner: Planner, log: SampleLog, cost_model: CostModel | None, seed: int
) -> tuple[base.TestBed, Halves, NDArray[np.intp]]:
    """Measure the bundle's menu on the test log; prompts that lack part of it are left out and counted."""
    bundle = planner.bundle
    seen = [prompt.id for prompt in log.prompts if bundle.was_trained_on(prompt)]
    if seen:
        raise InvalidInputError(
            f"{len(seen)} test prompts were trained on (first: {seen[0]!r}); split with SampleLog.split "
            f"and evaluate on "
            "the test side"
        )
    model = cost_model or CostModel(unit=check_unit(bundle.unit), generators=log.generators)
    pricing = Pricing(cost_model=replace(model, unit=check_unit(bundle.unit)))
    allocations = bundle.curves.allocations
    learned = {name: LearnedScorer(models=(model,)) for name, model in bundle.verifiers.items()}
    curves = measure_curves(log, allocations, seed=seed, learned=learned)
    renamed = np.array([bundle.was_trained_on_text(prompt) for prompt in log.prompts])
    if renamed.all():
        raise InvalidInputError(
            f"all {len(renamed)} test prompts were trained on under other ids; evaluate on other prompts"
        )
    usable = ~renamed & replayable(bundle, log)
    rows = np.flatnonzero(~np.isnan(curves.value).any(axis=1) & usable)
    if not len(rows):
        raise InvalidInputError(
            f"no prompt of the test log has enough samples of all generators of the bundle "
            f"({', '.join(bundle.generators)}); "
            "evaluate on a log that was recorded like the training log"
        )
    kept = curves.take(rows)
    even, odd = (
        measure_curves(log, allocations, half=half, seed=seed, learned=learned).take(rows)
        for half in ("even", "odd")
    )
    train_cost = pricing.recorded(bundle.curves)
    bed = base.TestBed(
        bundle=bundle,
        train_cost=train_cost,
        curves=kept,
        cost=pricing.recorded(kept),
        coordinates=planner.coordinates([log.prompts[row] for row in rows]),
        prices=price_grid(bundle.curves.value.mean(axis=0), train_cost.mean(axis=0), n_prices=_N_PRICES),
    )
    # An oracle needs some allocation that both halves can value beyond a single sample.
    shared = ~(np.isnan(even.value).any(axis=0) | np.isnan(odd.value).any(axis=0))
    return bed, ((even, odd) if shared.sum() > 1 else None), rows


def _courses(bed: base.TestBed, halves: Halves, log: SampleLog, seed: int) -> dict[str, base.Course]:
    """Replay the learned policy and every baseline."""
    bundle = bed.bundle
    choice = base.policy_choice(bed, bundle.policy, bundle.deployed)
    order = np.random.default_rng(seed).permutation(len(bed.coordinates))
    courses = {
        "learned": bed.realise(choice),
        "best static mix": base.static_mix(bed),
        "Snell bins, predicted": base.policy_course(bed, PolicySpec(family="bins", n_bins=5)),
        "Damani greedy, plug-in": base.marginal_greedy(bed, gain=base.plug_in),
        "Damani greedy, binned": base.marginal_greedy(bed, gain=base.binned),
        "Damani greedy, distribution": base.marginal_greedy(bed, gain=base.distributional),
        "random, same histogram": base.random_histogram(bed, choice, seed=seed),
        "shuffled predictor": base.policy_course(
            bed, bundle.policy, deployed=bundle.deployed, coordinates=bed.coordinates[order]
        ),
        **base.uniform_courses(bed),
    }
    if halves is not None:
        courses["Snell bins, oracle (half B)"] = base.oracle_bins(bed, *halves)
        n_even = half_sizes(log, bundle.references.generators)
        courses["hindsight choice (half B)"] = hindsight(bed, *halves, n_even)
    return courses


def _plan(planner: Planner, log: SampleLog, budget: float) -> list[AllocationPlan]:
    """Plan the test batch at a budget, or at the least that is expected to buy one sample each."""
    unit = check_unit(planner.bundle.unit)
    try:
        return planner.plan(log.prompts, budget=Budget(limit=budget, unit=unit))
    except InvalidBudgetError as error:
        if error.least is None:
            raise
        return planner.plan(
            log.prompts, budget=Budget(limit=error.least * _ROUNDING / len(log.prompts), unit=unit)
        )


def _budget_error(
    planner: Planner, log: SampleLog, bed: base.TestBed, budgets: list[float]
) -> list[dict[str, Any]]:
    """Plan the test batch at each budget and compare expected with realised cost and value."""
    position = {allocation: column for column, allocation in enumerate(bed.curves.allocations)}
    rows = []
    for budget in budgets:
        plans = _plan(planner, log, budget)
        columns = np.array([position[plan.allocation] for plan in plans])
        index = np.arange(len(plans))
        cost = bed.cost[index, columns]
        rows.append(
            {
                "budget": budget,
                "expected_cost": round(float(np.mean([plan.expected_cost for plan in plans])), 4),
                "realised_cost": round(float(cost.mean()), 4),
                "realised_over_budget": round(float(cost.mean() / budget), 4),
                "expected_value": round(float(np.mean([plan.expected_accuracy for plan in plans])), 5),
                "realised_value": round(float(bed.curves.value[index, columns].mean()), 5),
            }
        )
    return rows


def _bands(planner: Planner, log: SampleLog, bed: base.TestBed, budgets: list[float]) -> dict[str, Any]:
    """Tell what each fifth of *observed* difficulty gets and gains: it must not only be giving up on the
    impossible.
    """
    one = np.array([a.width == 1 and a.depth == 1 for a in bed.curves.allocations])
    truth = bed.curves.value[:, one].mean(axis=1)
    order = np.argsort(-truth, kind="stable")
    hull = base.static_hull(bed)
    bands = []
    position = {allocation: column for column, allocation in enumerate(bed.curves.allocations)}
    budget = budgets[len(budgets) // 2]
    plans = _plan(planner, log, budget)
    columns = np.array([position[plan.allocation] for plan in plans])
    affordable = hull[bed.cost[:, hull].mean(axis=0) <= budget * (1 + 1e-6)]
    static = affordable[-1] if len(affordable) else hull[0]
    for number, rows in enumerate(np.array_split(order, _N_BANDS), start=1):
        bands.append(
            {
                "band": number,
                "one_sample": round(float(truth[rows].mean()), 4),
                "cost": round(float(bed.cost[rows, columns[rows]].mean()), 4),
                "value": round(float(bed.curves.value[rows, columns[rows]].mean()), 4),
                "static_value": round(float(bed.curves.value[rows, static].mean()), 4),
            }
        )
    return {"budget": budget, "bands": bands, "allocations": _given(planner, log, bed, order, budgets)}


def _given(
    planner: Planner, log: SampleLog, bed: base.TestBed, order: NDArray[np.intp], budgets: list[float]
) -> list[dict[str, Any]]:
    """Return mean samples per band and budget, and the share of each generator and strategy."""
    table = []
    for budget in budgets:
        plans = _plan(planner, log, budget)
        given: list[Allocation] = [plan.allocation for plan in plans]
        kinds = sorted({f"{a.generator} {a.strategy}" for a in given})
        table.append(
            {
                "budget": budget,
                "mean_samples_per_band": [
                    round(float(np.mean([given[row].n for row in rows])), 3)
                    for rows in np.array_split(order, _N_BANDS)
                ],
                "share": {
                    kind: round(sum(f"{a.generator} {a.strategy}" == kind for a in given) / len(given), 4)
                    for kind in kinds
                },
            }
        )
    return table
