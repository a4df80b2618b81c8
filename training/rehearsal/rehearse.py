"""Rehearse a run on recorded samples: forecast its accuracy and cost, with intervals, before it is drawn.

Each fold of the log is planned by a bundle that never saw it, and the plans are carried out by the real
driver on the recorded samples, budget and all. A run of new prompts is forecast from the differences between
what rehearsals came to and what their plans promised; it assumes that the new prompts are of the log's kind.
Drawing the run itself is left to `planner.planner`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

import numpy as np

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.log.sample_log import SampleLog
from difficulty.predictor.group_folds import group_folds
from difficulty.prompt import Prompt
from planner.answers.rules import RecordedAnswer
from planner.backends.replay import ReplayBackend
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.ports.ports import Completion, SampleRequest
from planner.progress import Progress, silent
from policies.cost.budget import Budget
from training.rehearsal.forecast import Rehearsals
from training.train import train

__all__ = ["rehearse"]


_STRIDE: Final = 1_000_003


def rehearse(
    bundle: PolicyBundle,
    log: SampleLog,
    *,
    budgets: Sequence[Budget],
    modes: Sequence[bool] = (False,),
    n_batch: int = 100,
    n_rehearsals: int = 30,
    n_folds: int = 3,
    n_trials: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Rehearsals]:
    """Rehearse runs under budgets, on prompts that the planner did not learn from.

    Parameters
    ----------
    bundle : PolicyBundle
        What will plan the run. The bundles of the folds are learned as it was, without the fold.
    log : SampleLog
        What `bundle` was trained on: T graded prompts with recorded answers and tokens.
    budgets : sequence of Budget
        Mean limits per prompt, in the unit of the bundle.
    modes : sequence of bool
        Of all courses (False), and of those alone that decide everything before the first sample (True).
    n_batch : int
        Prompts in a rehearsal, at least 1: as many as the run will have, drawn anew from a fold with
        replacement.
    n_rehearsals : int
        Rehearsals R per budget and mode, at least two per fold.
    n_folds : int
        Folds, at least 2, with near-duplicates in one; a bundle is trained for each, without the fold.
    n_trials : int
        Optuna trials of these bundles.
    seed : int
        Seed of folds, training, batches and samples.
    progress : callable, optional
        Called with (stage, done, total); the stage is ``"rehearsals"``.

    Returns
    -------
    list of Rehearsals
        Per budget and mode, budgets first.

    Raises
    ------
    InvalidBudgetError
        When a budget is not a limit per prompt in the unit of the bundle, or cannot buy a sample each.
    InvalidInputError
        When the log is another one or records no answers, the bundle is for something else than accuracy by
        verdicts, or a number is out of range.

    References
    ----------
    Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapters 7 and 17: whole batches are
    resampled and run again, so that what the budget does to a batch is in the interval.
    """
    if not budgets or any(budget.scope != "prompt" or budget.unit != bundle.unit for budget in budgets):
        raise InvalidBudgetError(
            f"rehearsals need budgets with scope='prompt' in {bundle.unit}, the unit of the bundle; got "
            f"{[(budget.scope, budget.unit) for budget in budgets]}"
        )
    if bundle.training.get("log_digest") != log.digest:
        raise InvalidInputError("the bundle was trained on another log; rehearse on the one that it knows")
    if bundle.objective != "accuracy" or bundle.training.get("labels"):
        learned = f"for {bundle.objective}" if bundle.objective != "accuracy" else "on labels"
        raise InvalidInputError(
            f"a rehearsal counts answers that were graded as right, and this bundle was trained {learned}; "
            "rehearse one that was trained for accuracy on verdicts"
        )
    if not log.has_answers:
        raise InvalidInputError("the log records no answers, so that runs cannot be replayed on it")
    if n_batch < 1 or n_folds < 2 or n_rehearsals < 2 * n_folds:
        raise InvalidInputError(
            "n_batch must be at least 1, n_folds at least 2 and n_rehearsals at least 2 per fold; got "
            f"{n_batch}, {n_folds} and {n_rehearsals}"
        )
    tell = progress or silent
    right = _right_answers(log)
    folds = group_folds(np.array(log.near_duplicates().groups), n_folds=n_folds, seed=seed)
    cases = [(budget, one_shot) for budget in budgets for one_shot in modes]
    names = np.unique(folds)
    rounds = [names[number % len(names)] for number in range(n_rehearsals)]
    results = np.empty((len(cases), n_rehearsals, 3))
    done, total = 0, len(names) + len(cases) * n_rehearsals
    tell("rehearsals", done, total)
    for name in names:
        rest = log.select([p.id for p, fold in zip(log.prompts, folds, strict=True) if fold != name])
        planner = Planner(bundle=_understudy(bundle, rest, n_trials=n_trials, seed=seed))
        stage = _Stage(log, planner, [log.prompts[row] for row in np.flatnonzero(folds == name)], right)
        tell("rehearsals", done := done + 1, total)
        for number in [number for number, fold in enumerate(rounds) if fold == name]:
            for case, (budget, one_shot) in enumerate(cases):
                results[case, number] = stage.rehearse(
                    budget, one_shot=one_shot, n=n_batch, seed=seed + number
                )
                tell("rehearsals", done := done + 1, total)
    sizes = {name: int((folds == name).sum()) for name in names.tolist()}
    return [
        Rehearsals(
            budget=budget,
            one_shot=one_shot,
            n_prompts=len(log),
            n_batch=n_batch,
            fold=np.array(rounds),
            fold_size=np.array([sizes[int(name)] for name in rounds]),
            accuracy=results[case, :, 0],
            cost=results[case, :, 1],
            dearest=float(results[case, :, 2].max()),
        )
        for case, (budget, one_shot) in enumerate(cases)
    ]


def _understudy(bundle: PolicyBundle, rest: SampleLog, *, n_trials: int, seed: int) -> PolicyBundle:
    """Return a bundle that learned from `rest` alone."""
    with TemporaryDirectory() as folder:
        return train(
            rest,
            Path(folder),
            n_trials=n_trials,
            seed=seed,
            unit=bundle.unit,
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """A planner, and the prompts of the fold that it has not seen."""

    log: SampleLog
    planner: Planner
    prompts: Sequence[Prompt]
    right: frozenset[tuple[str, str | None]]

    def rehearse(self, budget: Budget, *, one_shot: bool, n: int, seed: int) -> tuple[float, float, float]:
        """Run a batch of `n` prompts drawn with replacement; return accuracy and cost beyond the planned, and
        cost, each per prompt.
        """
        rng = np.random.default_rng([seed, len(self.prompts)])
        drawn = [self.prompts[at] for at in rng.integers(len(self.prompts), size=n)]
        cast = _Cast(self.log, drawn, seed=seed)
        plans = self.planner.plan(cast.batch, budget=budget, one_shot=one_shot, seed=seed)
        outcomes = self.planner.run(cast.batch, budget=budget, one_shot=one_shot, backend=cast, seed=seed)
        hits = [
            (prompt.id, outcome.answer) in self.right for prompt, outcome in zip(drawn, outcomes, strict=True)
        ]
        costs = [0.0 if outcome.cost is None else outcome.cost for outcome in outcomes]
        return (
            float(np.mean(hits)) - float(np.mean([plan.expected_accuracy for plan in plans])),
            float(np.mean(costs)) - float(np.mean([plan.expected_cost for plan in plans])),
            float(np.mean(costs)),
        )


@final
class _Cast:
    """Copies of recorded prompts, drawn with replacement, and their samples; implements the port `Backend`.

    Each copy of a prompt draws from the recorded samples by itself, as another prompt like it would.
    """

    extractor = RecordedAnswer()

    def __init__(self, log: SampleLog, drawn: Sequence[Prompt], *, seed: int) -> None:
        self._log, self._seed = log, seed
        self._replays: dict[int, ReplayBackend] = {}
        self._originals: dict[str, tuple[Prompt, int]] = {}
        counts: Counter[str] = Counter()
        for prompt in drawn:
            self._originals[f"{prompt.id}/{counts[prompt.id]}"] = prompt, counts[prompt.id]
            counts[prompt.id] += 1
        self.batch = [replace(prompt, id=name) for name, (prompt, _) in self._originals.items()]

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return recorded samples of the originals."""
        drawn = []
        for request in requests:
            prompt, copy = self._originals[request.prompt.id]
            if copy not in self._replays:
                self._replays[copy] = ReplayBackend(self._log, seed=self._seed + _STRIDE * copy, texts=False)
            drawn += await self._replays[copy].sample([replace(request, prompt=prompt)])
        return drawn


def _right_answers(log: SampleLog) -> frozenset[tuple[str, str | None]]:
    """Return the recorded answers that were graded as right, with the ids of their prompts."""
    return frozenset(
        (prompt.id, sample.answer)
        for prompt in log.prompts
        for name in log.generators
        for sample in log.samples(prompt.id, name)
        if sample.correct and sample.answer is not None
    )
