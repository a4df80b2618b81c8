"""The live half of the demonstration: collect from the lab model, train, plan, rehearse, run, compare.

Everything is drawn from the shipped weights on this machine; problems of training and run are disjoint. The
forecast of a run is made before the run, from rehearsals on the training log (`training.rehearsal.rehearse`).
Printing is left to ``planner demo``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from difficulty.errors import BackendError
from difficulty.prompt import Prompt
from planner.answers.rules import USUAL_RULE
from planner.backends.transformers import TransformersBackend
from planner.bundle.policy_bundle import PolicyBundle
from planner.collection.collected import Collected, CollectProgress
from planner.collection.grade import GoldGrader
from planner.collection.run import collect
from planner.collection.session import working_path
from planner.drivers import Progress as RunProgress
from planner.planner import Planner
from planner.ports.outcome_wire import outcome_to_json
from planner.progress import Progress, silent
from policies.cost.budget import Budget, check_unit
from policies.cost.usage import Usage
from training.lab import LANGUAGE_MODEL
from training.lab.prompts import lab_generators, lab_prompts
from training.lab.tasks import draw_problems
from training.rehearsal.forecast import Forecast
from training.rehearsal.rehearse import rehearse
from training.train import train

_N_BUDGETS: Final = 3
# Whether plans are one-shot: rehearsed and run both ways.
_MODES: Final = (True, False)
# Budgets lie between the cheapest plans and the ones that are this share of the way to the best.
_WAY: Final = 0.97
# Rows of a few dozen tokens: a batch of many keeps a small model busy.
_BATCH_TOKENS: Final = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveRun:
    """One budget: what was forecast, and what came.

    Parameters
    ----------
    budget : Budget
        Mean limit per prompt.
    one_shot : bool
        Whether plans decided everything before the first sample.
    forecast : Forecast
        Made before the run.
    accuracy, cost : float
        What the run came to: share of right answers, and mean cost per prompt.
    usage : Usage
        Its ledger.
    seconds : float
        Its wall time.
    """

    budget: Budget
    one_shot: bool
    forecast: Forecast
    accuracy: float
    cost: float
    usage: Usage
    seconds: float

    @property
    def inside(self) -> tuple[bool, bool]:
        """Whether accuracy and cost lie within their intervals."""
        return self.forecast.accuracy.holds(self.accuracy), self.forecast.cost.holds(self.cost)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveDemo:
    """What the live half made.

    Parameters
    ----------
    collected : Collected
        The training log and its books.
    bundle : PolicyBundle
        What was trained on it.
    prompts : tuple of Prompt
        The P fresh prompts.
    runs : tuple of LiveRun
        One per budget and mode.
    """

    collected: Collected
    bundle: PolicyBundle
    prompts: tuple[Prompt, ...]
    runs: tuple[LiveRun, ...]

    @property
    def usage(self) -> Usage:
        """What the runs spent together, the collection not included."""
        return sum((run.usage for run in self.runs), Usage())


def lab_batches(*sizes: int, seed: int) -> list[tuple[Prompt, ...]]:
    """Draw lab problems of every difficulty, none twice, and deal them out.

    Parameters
    ----------
    sizes : int
        Prompts in each batch.
    seed : int
        Seed of the problems.

    Examples
    --------
    >>> [len(batch) for batch in lab_batches(30, 10, seed=0)]
    [30, 10]
    """
    problems = {problem.text: problem for problem in draw_problems(n=2 * sum(sizes) + 100, seed=seed)}
    prompts = lab_prompts(list(problems.values())[: sum(sizes)])
    ends = np.cumsum(sizes).tolist()
    return [prompts[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def live_budgets(planner: Planner, prompts: Sequence[Prompt]) -> tuple[Budget, ...]:
    """Return three budgets per prompt, evenly spaced in ratio on the expected frontier of `prompts`.

    Parameters
    ----------
    planner : Planner
        The planner.
    prompts : sequence of Prompt
        What is to be run.
    """
    frontiers = [planner.frontier(prompts, one_shot=mode) for mode in _MODES]
    cheapest = max(points[0].expected_cost for points in frontiers)
    points = frontiers[0]
    first, best = points[0].expected_accuracy, max(point.expected_accuracy for point in points)
    dearest = next(p for p in points if p.expected_accuracy >= first + _WAY * (best - first))
    limits = np.geomspace(cheapest, max(dearest.expected_cost, 2 * cheapest), _N_BUDGETS + 1)[1:]
    unit = check_unit(planner.bundle.unit)
    return tuple(Budget(limit=_rounded(float(limit)), unit=unit) for limit in limits)


def run_live(
    out: str | os.PathLike[str],
    *,
    n_train: int = 300,
    n_samples: int = 10,
    n_prompts: int = 120,
    n_trials: int = 8,
    n_rehearsals: int = 30,
    seed: int = 0,
    progress: Progress | None = None,
    on_collect: Callable[[CollectProgress], None] | None = None,
) -> LiveDemo:
    """Run the whole loop on the lab model.

    Parameters
    ----------
    out : str or path
        Folder; gets ``log.jsonl.gz``, ``policy/``, ``outcomes-*.jsonl`` and ``live.json``. A log that is
        there already is drawn anew.
    n_train, n_samples : int
        Problems of the training log, at least 60, and samples of each with each generator, at least 4.
    n_prompts : int
        Fresh problems that are planned and run, at least 1.
    n_trials, n_rehearsals : int
        See `training.train.train` and `training.rehearsal.rehearse.rehearse`.
    seed : int
        Seed of everything.
    progress : callable, optional
        Called with (stage, done, total).
    on_collect : callable, optional
        Called while samples are collected.

    Raises
    ------
    MissingDependencyError
        When torch or transformers is not installed.
    BackendError
        When samples could not be drawn.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    tell = progress or silent
    tell("model", 0, 1)
    backend = TransformersBackend.load(LANGUAGE_MODEL, max_batch_tokens=_BATCH_TOKENS)
    tell("model", 1, 1)
    for_training, prompts = lab_batches(n_train, n_prompts, seed=seed)
    path = folder / "log.jsonl.gz"
    for old in (path, working_path(path)):
        old.unlink(missing_ok=True)
    collected = collect(
        for_training,
        path,
        generators={generator.name: generator for generator in lab_generators()},
        backend=backend,
        samples=n_samples,
        extractor=USUAL_RULE,
        seed=seed,
        driver="lockstep",
        progress=on_collect,
    )
    log = collected.log
    if log is None:
        raise BackendError(f"{collected.n_missing} pieces of the log are missing: {dict(collected.missing)}")
    bundle = train(log, folder / "policy", n_trials=n_trials, seed=seed, progress=progress)
    planner = Planner(bundle=bundle)
    budgets = live_budgets(planner, prompts)
    rehearsals = rehearse(
        bundle,
        log,
        budgets=budgets,
        modes=_MODES,
        n_batch=n_prompts,
        n_rehearsals=n_rehearsals,
        n_trials=n_trials,
        seed=seed,
        progress=progress,
    )
    grader, runs = GoldGrader(extractor=USUAL_RULE), []
    for number, rehearsal in enumerate(rehearsals):
        budget, one_shot = rehearsal.budget, rehearsal.one_shot
        forecast = rehearsal.forecast(planner.plan(prompts, budget=budget, one_shot=one_shot, seed=seed))
        done = number * len(prompts)
        tell("live", done, len(rehearsals) * len(prompts))

        def tick(report: RunProgress, done: int = done) -> None:
            tell("live", done + report.n_done, len(rehearsals) * len(prompts))

        started = time.monotonic()
        outcomes = planner.run(
            prompts,
            budget=budget,
            one_shot=one_shot,
            backend=backend,
            extractor=USUAL_RULE,
            seed=seed,
            progress=tick,
        )
        seconds = time.monotonic() - started
        marks = [bool(grader.grade(p, outcome.answer)) for p, outcome in zip(prompts, outcomes, strict=True)]
        runs.append(
            LiveRun(
                budget=budget,
                one_shot=one_shot,
                forecast=forecast,
                accuracy=sum(marks) / len(marks),
                cost=sum(outcome.cost or 0.0 for outcome in outcomes) / len(outcomes),
                usage=sum((outcome.usage for outcome in outcomes), Usage()),
                seconds=seconds,
            )
        )
        name = f"outcomes-{budget.limit:g}{'-one-shot' if one_shot else ''}.jsonl"
        (folder / name).write_bytes(b"".join(outcome_to_json(outcome) + b"\n" for outcome in outcomes))
    demo = LiveDemo(collected=collected, bundle=bundle, prompts=prompts, runs=tuple(runs))
    (folder / "live.json").write_bytes(msgspec.json.format(msgspec.json.encode(demo.runs), indent=1) + b"\n")
    return demo


def _rounded(limit: float) -> float:
    """Return a limit with two digits, never below itself, so that what it could buy it still buys."""
    step = 10.0 ** (np.floor(np.log10(limit)) - 1)
    return float(np.ceil(limit / step - 1e-9) * step)
