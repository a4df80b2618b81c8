"""What a bundle is worth on prompts that it never saw, against every baseline, with intervals.

All policies, rivals and ablations are masks over one table of courses, measured on the test prompts and
realised there; nothing is fitted on them. Figures and words are left to `training.report`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from difficulty.arguments import check_whole
from difficulty.arithmetic.threads import on_one_thread
from difficulty.errors import InvalidInputError
from difficulty.features.own_features import PromptReader
from difficulty.log.arguments import check_log
from difficulty.log.sample_log import SampleLog
from planner.bundle.folder import check_results_folder
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.progress import Progress, silent
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.plan.objective import check_objective, valued
from training.evaluation import baselines as base
from training.evaluation.ablations import ablations
from training.evaluation.allocation import allocation_table
from training.evaluation.bed import Played, TestBed
from training.evaluation.belief_scores import score_belief
from training.evaluation.comparison import compare, gap_closed, head_to_head
from training.evaluation.family_scores import family_scores
from training.evaluation.flops_matched import flops_matched
from training.evaluation.hindsight import hindsight
from training.evaluation.judged import judge
from training.evaluation.label_error import LabelledTest
from training.evaluation.promises import budget_rows, plan_batch, promise_rows
from training.evaluation.uniform import against_uniform
from training.frontier import bootstrap_weights
from training.menu.learned_verifiers import measure_learned_verifiers
from training.report.canvas import FigureStyle
from training.report.figures import draw_figures
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import Report

_FEWEST_REPLICATES: Final = 100
# Intervals of fewer groups are too narrow to tell anything; with one they have no width.
_FEWEST_GROUPS: Final = 10
_HINDSIGHT: Final = "hindsight (half B)"
_PLACEBO: Final = "shuffled text"
_CONDITIONAL: Final = (
    "Intervals are 95 % percentile intervals of a paired bootstrap over groups of prompts. They are "
    "conditional on the bundle as it was trained and on the samples that were recorded: what another "
    "training log, or new samples of the same prompts, would change is not in them."
)

_PNG: Final = FigureStyle()


@on_one_thread
def evaluate(
    bundle: PolicyBundle | str | os.PathLike[str],
    log: SampleLog,
    out: str | os.PathLike[str] | None = None,
    *,
    n_bootstrap: int = 2000,
    seed: int = 0,
    cost_model: CostModel | None = None,
    hidden_states: PromptReader | None = None,
    figures: FigureStyle = _PNG,
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
        Replicates of the paired bootstrap over groups of prompts, at least 100.
    seed : int
        Seed of bootstrap, orders of samples, placebo and random allocation.
    cost_model : CostModel, optional
        Prices beyond those in the log's header; its unit is replaced by the bundle's.
    hidden_states : PromptReader, optional
        The one that the bundle was trained with; needed for such bundles only.
    figures : FigureStyle
        Types of file beside PNG, and the width; by default PNG as wide as a page.
    progress : callable, optional
        Called with (stage, done, total).

    Raises
    ------
    InvalidBundleError
        When the bundle cannot be loaded.
    InvalidInputError
        When fewer than 10 test prompts that differ have the samples that the policy and the static mix need,
        or one was trained on.
        Prompts whose text, or nearly the same, was trained on under another id are left out and counted.
    """
    check_log(log)
    check_whole("seed", seed)
    check_whole("n_bootstrap", n_bootstrap, least=_FEWEST_REPLICATES)
    figures.check()
    if out is not None:
        check_results_folder(out)
    tell = progress or silent
    loaded = bundle if isinstance(bundle, PolicyBundle) else PolicyBundle.load(bundle)
    objective = check_objective(loaded.objective)
    recorded = loaded.training.get("reward", "reward")
    labels = LabelledTest.of(loaded, log)
    judged_by = valued(log, objective, reward=recorded) if labels is None else labels.judging
    telling = loaded.policy.telling
    scale, origin = telling.scale, telling.origin
    # Values are judged as the bundle counts them: from its origin.
    loaded = replace(loaded, policy=replace(loaded.policy, telling=replace(telling, origin=0.0)))
    unseen, renamed = _unseen(loaded, judged_by.counted_from(origin))
    planner = Planner(bundle=loaded, cost_model=cost_model, hidden_states=hidden_states)
    unit = check_unit(loaded.unit)
    prices = {**loaded.generators, **log.generators}
    model = replace(cost_model or CostModel(unit=unit, generators=prices), unit=unit)
    tell("table", 0, 1)
    judged = judge(planner, unseen, model, seed=seed)
    tell("table", 1, 1)
    bed, kept, planner = judged.bed, judged.log, judged.planner
    near = kept.near_duplicates()
    if (n_groups := len(set(near.groups))) < _FEWEST_GROUPS:
        raise InvalidInputError(
            f"at least {_FEWEST_GROUPS} test prompts that differ are needed for intervals, got {n_groups}; "
            "record more"
        )
    weights = bootstrap_weights(len(bed), n_replicates=n_bootstrap, seed=seed, groups=near.groups)
    tell("hindsight", 0, 1)
    oracle = hindsight(
        bed,
        kept,
        model,
        objective=objective,
        verifiers=loaded.verifiers,
        seed=seed,
    )
    tell("hindsight", 1, 1)
    tell("bootstrap", 0, 1)
    played, without, uniform = _play(bed, oracle, seed)
    comparison = compare(played, weights, reference=STATIC)
    budgets = comparison.budgets
    ours, static = played[OURS], played[STATIC]
    apart = {OURS, STATIC, _HINDSIGHT, *uniform}
    versus = {name: item for name, item in played.items() if name not in apart}
    plans = plan_batch(planner, bed, budgets, seed=seed)
    belief = planner.belief(kept.prompts)
    report = Report(
        data={
            "log_digest": log.digest,
            "about": {k: v for k, v in log.about.items() if k in ("source", "licence", "split")},
            "n_prompts": len(bed),
            "n_left_out": len(unseen.prompts) - len(bed),
            "n_renamed": renamed.n_same,
            "n_reworded": renamed.n_near,
            "n_near_duplicates": near.n_prompts,
            "n_strange": plans[0].n_strange,
            "n_groups": n_groups,
            "n_samples": kept.n_samples,
            "n_courses": len(bed.subject.courses),
            "n_courses_given_up": judged.n_given_up,
            "unit": loaded.unit,
            "objective": loaded.objective,
            "scale": [scale.lower, scale.upper],
            "counted_from": origin,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
            "conditional_on": _CONDITIONAL,
        },
        bundle={"training": dict(loaded.training), "generators": list(loaded.generators)},
        comparison=comparison._asdict(),
        rivals=head_to_head(
            ours,
            {name: item for name, item in versus.items() if name not in without},
            weights,
            reference=static,
            budgets=budgets,
        ),
        work=head_to_head(
            ours,
            {part: versus[name] for name, part in without.items()},
            weights,
            reference=static,
            budgets=budgets,
        ),
        uniform=against_uniform(ours, uniform, weights),
        oracle_gap={}
        if oracle is None
        else {"per_budget": gap_closed(ours, static, oracle, weights, budgets, span=scale.span)},
        calibration=score_belief(belief, kept, scale=scale),
        families=family_scores(loaded, belief, kept, scale=scale),
        promises=promise_rows(plans, weights, loaded.policy.telling),
        budgets=budget_rows(plans, bed, weights),
        bands=allocation_table(plans, bed),
        flops_matched=flops_matched(bed, judged.table, loaded.generators, weights),
        learned_verifier=measure_learned_verifiers(loaded, kept, seed=seed),
        labels={} if labels is None else labels.table(bed, kept, plans, weights, seed),
    )
    tell("bootstrap", 1, 1)
    if out is not None:
        tell("figures", 0, 1)
        _write(report, Path(out), figures)
        tell("figures", 1, 1)
    return report


def _write(report: Report, folder: Path, style: FigureStyle) -> None:
    """Write ``report.json``, ``report.md`` and the figures into a folder, as PNG whatever else is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")
    draw_figures(report, folder, style._replace(formats=tuple(dict.fromkeys(("png", *style.formats)))))


class _Renamed(NamedTuple):
    """Test prompts that were trained on under other ids: with the same text, and with nearly the same."""

    n_same: int
    n_near: int


def _unseen(bundle: PolicyBundle, log: SampleLog) -> tuple[SampleLog, _Renamed]:
    """Return the prompts of a log whose text was not trained on under another id, and count the others."""
    seen = [prompt.id for prompt in log.prompts if bundle.was_trained_on(prompt)]
    if seen:
        raise InvalidInputError(
            f"{len(seen)} test prompts were trained on (first: {seen[0]!r}); split with SampleLog.split "
            "and evaluate on the test side"
        )
    found = bundle.texts.find([prompt.content for prompt in log.prompts])
    unseen = [prompt.id for prompt, row in zip(log.prompts, found.near.tolist(), strict=True) if row < 0]
    n_same = int((found.same >= 0).sum())
    renamed = _Renamed(n_same, len(log.prompts) - len(unseen) - n_same)
    if not unseen:
        raise InvalidInputError(
            f"all {len(log.prompts)} test prompts were trained on under other ids ({n_same} with the same "
            f"text, {renamed.n_near} with nearly the same); evaluate on other prompts"
        )
    return log.select(unseen) if len(unseen) < len(log.prompts) else log, renamed


def _play(
    bed: TestBed, oracle: Played | None, seed: int
) -> tuple[dict[str, Played], dict[str, str], dict[str, Any]]:
    """Return every policy by name, which of them lacks which part of ours, and uniform sampling."""
    choice = bed.chosen()
    left = ablations(bed)
    without = {f"without {part}": part for part in left}
    uniform = base.uniform(bed)
    rules = base.rivals(bed)
    played = {OURS: bed.realise(choice, by_text=True), STATIC: base.static_mix(bed)}
    if BEST_RULE in rules:
        played[BEST_RULE] = rules[BEST_RULE]
    played |= rules
    played |= {name: left[part] for name, part in without.items()}
    if bed.subject.policy.by_text.any():
        played[_PLACEBO] = base.placebo(bed, seed=seed)
        played["random, same histogram"] = base.random_histogram(bed, choice, seed=seed)
    played["Snell bins, predicted"] = base.snell_bins(bed)
    played |= base.marginal_greedy(bed)
    if oracle is not None:
        played[_HINDSIGHT] = oracle
    played |= {name: item for name, (_, item) in uniform.items()}
    return played, without, uniform
