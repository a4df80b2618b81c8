"""Does search win on hard prompts, do revisions win on easy ones? Strategies at equal cost, by difficulty.

It takes any log with independent samples of a generator and chains or recorded runs beside them. Difficulty
is told by one half of the independent samples, parallel strategies are scored on the other, and everything
has a paired bootstrap interval over groups of prompts. Tables are made in `training.strategies.tables` and
`training.strategies.sequential_share`, text and figure in `training.strategies.report` and
`training.strategies.figure`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.threads import on_one_thread
from difficulty.errors import InvalidInputError
from difficulty.log.arguments import check_log
from difficulty.log.sample_log import SampleLog
from planner.progress import Progress, silent
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from training.frontier import bootstrap_weights, estimate
from training.report.canvas import FigureFormat, FigureStyle
from training.strategies.bed import DIFFICULTIES, DifficultyName, measure_strategies
from training.strategies.choice import choice_table
from training.strategies.families import choose_generator
from training.strategies.figure import draw_strategies
from training.strategies.group import PromptGroup
from training.strategies.report import StrategyComparison
from training.strategies.sequential_share import shapes_of, share_at_equal_cost, share_at_equal_n
from training.strategies.tables import budget_sizes, family_table, kind_table, points_table

_MOST_BINS: Final = 10


@on_one_thread
def compare_strategies(
    log: SampleLog,
    out: str | os.PathLike[str] | None = None,
    *,
    generator: str | None = None,
    unit: str = "total_tokens",
    bins: int = 4,
    difficulty: DifficultyName = "observed",
    prefix_cache: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
    cost_model: CostModel | None = None,
    figures: Sequence[FigureFormat] = ("png",),
    progress: Progress | None = None,
) -> StrategyComparison:
    """Compare every strategy of a log at equal cost, in bins of difficulty.

    Parameters
    ----------
    log : SampleLog
        Independent samples, and chains or runs of searches, on the same prompts.
    out : str or path, optional
        Folder for ``strategies.json``, ``strategies.md`` and ``strategies.png``; without it nothing is
        written.
    generator : str, optional
        Whose strategies are compared; by default the only one with chains or runs.
    unit : str
        Unit of cost. ``"total_tokens"`` counts prompts as they were re-sent, output, and what a reward model
        reads: as recorded, else by the estimate of `policies.table.reading`; the report says which.
        ``"output_tokens"`` and ``"samples"`` take scoring as free.
    bins : int
        Quantiles of difficulty, 1 to 10; prompts of equal difficulty share one, so there may be fewer.
    difficulty : {"observed", "score"}
        What tells difficulty on the half of the samples that scores nothing: the share of right ones, or the
        mean score of a verifier, which needs no reference answers.
    prefix_cache : bool
        Count the question once per prompt and what is re-sent not at all, as if generator and reward model
        found it in their caches; what a reward model read is then always estimated. By default all that was
        sent counts.
    n_bootstrap : int
        Replicates, at least 100.
    seed : int
        Seed of bootstrap and folds.
    cost_model : CostModel, optional
        Prices beyond those in the log's header; its unit is replaced by `unit`. By default scoring is charged
        in ``"total_tokens"`` and free elsewhere.
    figures : sequence of str
        Types of file of the figure beside PNG: ``"svg"``, ``"pdf"``.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    StrategyComparison
        All tables as JSON values.

    Raises
    ------
    InvalidInputError
        When an argument is out of range, or the log lacks what a comparison needs.
    UnknownUnitError
        When the unit needs a quantity that was not recorded.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, sections 5 and 6. Deviations: bins are told by samples that score
    nothing, cost is in tokens with re-sent prompts and scoring, and every difference has an interval.

    Examples
    --------
    >>> from training.simulated.strategies import simulated_strategies
    >>> report = compare_strategies(simulated_strategies(40, seed=1), bins=2, n_bootstrap=100)
    >>> [group["name"] for group in report.groups]
    ['all', '1 (easiest)', '2 (hardest)']
    """
    if not 1 <= bins <= _MOST_BINS:
        raise InvalidInputError(f"bins must be between 1 and {_MOST_BINS}, got {bins}")
    check_choice("difficulty", difficulty, DIFFICULTIES)
    check_log(log)
    check_whole("seed", seed)
    check_whole("n_bootstrap", n_bootstrap, least=100)
    tell = progress or silent
    name = choose_generator(log, generator)
    tell("curves", 0, 1)
    bed = measure_strategies(
        log,
        name,
        cost_model=_cost_model(log, unit, cost_model),
        n_bins=bins,
        difficulty=difficulty,
        prefix_cache=prefix_cache,
        seed=seed,
    )
    tell("curves", 1, 1)
    weights = bootstrap_weights(
        len(bed.prompt_ids), n_replicates=n_bootstrap, seed=seed, groups=bed.near_duplicates
    )
    whole, sizes = PromptGroup.whole(bed, weights), budget_sizes(bed)
    members = [whole.rows, *bed.bins]
    groups = []
    for number, rows in enumerate(members):
        tell("bootstrap", number, len(members))
        name_of_group = _group_name(number, len(bed.bins))
        groups.append(_group(whole.part(rows), name_of_group, sizes, seed=seed))
    tell("bootstrap", len(members), len(members))
    report = StrategyComparison(
        data={
            "log_digest": log.digest,
            "generator": name,
            "unit": unit,
            "prefix_cache": prefix_cache,
            "difficulty": difficulty,
            "n_prompts": len(bed.prompt_ids),
            "n_left_out": bed.n_left_out,
            "n_difficulty_samples": bed.n_difficulty_samples,
            "scoring": bed.scoring,
            "n_bins": len(bed.bins),
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
        families=[
            {
                "name": f.name,
                "kind": f.kind,
                "sizes": [a.n for a in f.allocations],
                "least_cost": float(bed.cost[:, bed.places(f.allocations)].mean(axis=0).min()),
            }
            for f in bed.families
        ],
        groups=groups,
        choice=choice_table(bed, weights, sizes, seed=seed),
    )
    if out is not None:
        tell("figures", 0, 1)
        _write(report, Path(out), figures)
        tell("figures", 1, 1)
    return report


def _write(report: StrategyComparison, folder: Path, formats: Sequence[FigureFormat]) -> None:
    """Write ``strategies.json``, ``strategies.md`` and the figure, as PNG whatever else is asked."""
    FigureStyle(tuple(formats)).check()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strategies.json").write_bytes(report.to_json())
    (folder / "strategies.md").write_text(report.to_markdown(), encoding="utf-8")
    draw_strategies(report, folder, tuple(dict.fromkeys(("png", *formats))))


def _cost_model(log: SampleLog, unit: str, given: CostModel | None) -> CostModel:
    """Return the prices; by default a reward model's tokens count as tokens and nothing else."""
    if given is None:
        # A declared size, here 0, is what has scoring counted at all; of units only total tokens see it.
        return CostModel(unit=check_unit(unit), generators=log.generators, verifier_params=0.0)
    return replace(given, unit=check_unit(unit))


def _group_name(number: int, n_bins: int) -> str:
    if number == 0:
        return "all"
    extreme = "" if n_bins == 1 else " (easiest)" if number == 1 else " (hardest)" if number == n_bins else ""
    return f"{number}{extreme}"


def _group(part: PromptGroup, name: str, sizes: Sequence[int], *, seed: int) -> dict[str, Any]:
    """Return all tables of one group of prompts."""
    drawn = ~np.isnan(part.weights).any(axis=1)  # some replicates draw nobody of a small group
    group, bed = part._replace(weights=part.weights[drawn]), part.bed
    single = group.weights @ bed.value[group.rows][:, bed.columns[bed.families[0].allocations[0]]]
    easiness = bed.easiness[group.rows]
    return {
        "name": name,
        "n_prompts": len(group.rows),
        "easiness": [round(float(easiness.min()), 4), round(float(easiness.max()), 4)],
        **estimate("one_sample", single),
        "kinds": kind_table(group, sizes, seed=seed),
        "at_equal_cost": family_table(group, sizes),
        "points": points_table(group),
        "shapes": [
            {
                "selection": shapes.selection,
                "at_equal_n": share_at_equal_n(group, shapes),
                "at_equal_cost": share_at_equal_cost(group, shapes, sizes),
            }
            for shapes in shapes_of(bed)
        ],
    }
