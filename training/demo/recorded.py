"""The demonstration on the embedded log: split, train, evaluate on held-out prompts, plan at three budgets.

It assumes nothing but the package itself; the log's provenance is beside it, in ``training/embedded``.
Printing is left to ``planner demo``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np

from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.progress import Progress
from policies.cost.budget import Budget, check_unit
from policies.plan.plan import AllocationPlan
from policies.plan.wire import write_plans
from training.evaluate import evaluate
from training.report.report import Report
from training.train import train

__all__ = ["Demo", "embedded_log", "run_demo"]


_LOG: Final = "word-problems-tiny.jsonl.gz"
_N_BUDGETS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """What the demonstration made.

    Parameters
    ----------
    bundle : PolicyBundle
        The trained policy.
    report : Report
        Its evaluation on held-out prompts.
    prompts : tuple of Prompt
        The held-out prompts.
    plans : dict of float to list of AllocationPlan
        Plans for all of them, by mean budget per prompt in the bundle's unit.
    """

    bundle: PolicyBundle
    report: Report
    prompts: tuple[Prompt, ...]
    plans: dict[float, list[AllocationPlan]]


def embedded_log() -> SampleLog:
    """Return the log that ships with the package: word problems, a small model, two ways to answer.

    Examples
    --------
    >>> embedded_log()
    SampleLog(400 prompts, 2 generators, 43,200 samples; with text, answers, tokens, logprobs, chains)
    """
    with as_file(files("training") / "embedded" / _LOG) as path:
        return SampleLog.read(path)


def run_demo(
    out: str | os.PathLike[str],
    *,
    n_trials: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Demo:
    """Run the whole offline loop on the embedded log.

    Parameters
    ----------
    out : str or path
        Folder; gets ``policy/``, ``report/`` and ``plans-*.jsonl``.
    n_trials : int
        Optuna trials, at least 1.
    seed : int
        Seed of split, training and evaluation.
    progress : callable, optional
        Called with (stage, done, total).
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    train_log, test_log = embedded_log().split(test_fraction=0.4, seed=seed)
    bundle = train(train_log, folder / "policy", n_trials=n_trials, seed=seed, progress=progress)
    report = evaluate(bundle, test_log, folder / "report", seed=seed, progress=progress)
    planner = Planner(bundle=bundle)
    plans = {}
    for limit in _budgets(report):
        budget = Budget(limit=limit, unit=check_unit(bundle.unit), scope="prompt")
        plans[limit] = planner.plan(test_log.prompts, budget=budget, seed=seed)
        write_plans(folder / f"plans-{limit:g}.jsonl", plans[limit])
    return Demo(bundle=bundle, report=report, prompts=test_log.prompts, plans=plans)


def _budgets(report: Report) -> list[float]:
    """Return three budgets between the cheapest allocation and the plateau, rounded to two digits upwards."""
    plateau = report.comparison["plateau"]
    ends = np.geomspace(plateau["cheapest_cost"], plateau["plateau_cost"], _N_BUDGETS + 2)
    return [float(np.format_float_positional(limit, precision=2, fractional=False)) for limit in ends[1:-1]]
