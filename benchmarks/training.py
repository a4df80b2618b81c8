"""Time training and evaluation on a simulated log, and trials against the plain loop they replace.

The log has 800 prompts, 9 generators and 10 samples each. A trial replays a policy with one matrix product
per fold; the alternative takes the same choices prompt by prompt. What the policy is worth is not measured.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from difficulty.belief.weight_spec import PolicySpec
from planner.bundle.policy_bundle import PolicyBundle
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from training.evaluate import evaluate
from training.menu.crossfit import CrossFit
from training.menu.pricing import Pricing
from training.simulated.log import simulated_log
from training.train import train

__all__ = ["Measurement", "main", "run"]

_LIMIT_SECONDS: Final = 120.0
_SPEC: Final = PolicySpec(family="kernel", level_bandwidth=0.5, deviation_bandwidth=2.0, floor=0.02)


class Measurement(NamedTuple):
    """One row: seconds on the clock and of CPU, and those of the alternative where there is one."""

    name: str
    seconds: float
    cpu_seconds: float
    alternative: str = ""
    alternative_seconds: float = float("nan")


def replay_one_by_one(fit: CrossFit, spec: PolicySpec) -> NDArray[np.float64]:
    """Return what `CrossFit.replay` gives as value, with a loop over prompts and prices; shape (T, L)."""
    earned = np.empty((len(fit.value), len(fit.prices)))
    for row, fold in enumerate(fit.folds.tolist()):
        train_rows = np.flatnonzero(fit.folds != fold)
        weigh = spec.weigher(fit.coordinates[train_rows])
        weights = weigh(fit.coordinates[row : row + 1])[0].astype(np.float64)
        value, cost = weights @ fit.value[train_rows], weights @ fit.cost[train_rows]
        for column, price in enumerate(fit.prices.tolist()):
            earned[row, column] = fit.value[row, int(np.argmax(value - price * cost))]
    return earned


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of one call, on the clock and of CPU."""
    start, cpu = perf_counter(), process_time()
    function()
    return perf_counter() - start, process_time() - cpu


def run(n_prompts: int, n_generators: int, n_trials: int) -> list[Measurement]:
    """Measure all rows.

    Parameters
    ----------
    n_prompts, n_generators, n_trials : int
        Size of the training log, and trials of the search.
    """
    log = simulated_log(n_prompts, n_samples=10, n_generators=n_generators)
    test_log = simulated_log(n_prompts // 2, n_samples=10, n_generators=n_generators, seed=1)
    stages = _Stages()
    rows = []
    with TemporaryDirectory() as folder:
        bundle: list[PolicyBundle] = []
        seconds = timed(
            lambda: bundle.append(
                train(log, Path(folder) / "policy", n_trials=n_trials, progress=stages.progress)
            )
        )
        rows.append(Measurement(f"train, {n_trials} trials", *seconds))
        rows += [Measurement(f"  of it {name}", *spent) for name, spent in stages.seconds().items()]
        rows.append(Measurement("evaluate, 2,000 replicates", *timed(lambda: evaluate(bundle[0], test_log))))
    rows.append(_trial(bundle[0]))
    return rows


class _Stages:
    """Seconds between the first and last call of each stage of progress."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, float, float]] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        del done, total
        self._calls.append((stage, perf_counter(), process_time()))

    def seconds(self) -> dict[str, tuple[float, float]]:
        """Return the seconds from each stage's first call to its last, on the clock and of CPU."""
        first: dict[str, tuple[float, float]] = {}
        last: dict[str, tuple[float, float]] = {}
        for name, clock, cpu in self._calls:
            first.setdefault(name, (clock, cpu))
            last[name] = (clock, cpu)
        return {name: (last[name][0] - first[name][0], last[name][1] - first[name][1]) for name in first}


def _trial(bundle: PolicyBundle) -> Measurement:
    """Replay one policy both ways, and check that they agree."""
    model = CostModel(unit=check_unit(bundle.unit), generators=bundle.generators)
    cost = Pricing(cost_model=model).recorded(bundle.curves)
    folds = np.arange(len(cost)) % 5
    fit = CrossFit.of(bundle.references.coordinates, folds, bundle.curves.value, cost, n_prices=60)
    ours: list[NDArray[np.float64]] = []
    plain: list[NDArray[np.float64]] = []
    seconds = timed(lambda: ours.append(fit.replay(_SPEC).value))
    alternative, _ = timed(lambda: plain.append(replay_one_by_one(fit, _SPEC)))
    agree = float(np.isclose(ours[0], plain[0]).mean())
    if agree < 0.999:  # float32 weights turn a tie now and then
        raise RuntimeError(f"both ways of replaying agree on {agree:.2%} of the choices only")
    return Measurement("replay of one trial", *seconds, "prompt by prompt", alternative)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` trains on a quarter of the prompts with a quarter of the trials.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the prompts and trials")
    arguments = parser.parse_args(argv)
    n_prompts, n_trials = (200, 25) if arguments.quick else (800, 100)
    rows = run(n_prompts, 9, n_trials)
    table = Table(title=f"Training on {n_prompts} prompts × 9 generators × 10 samples")
    for heading in ("what", "seconds", "of CPU", "alternative", "its seconds", "ratio"):
        table.add_column(heading, justify="left" if heading in ("what", "alternative") else "right")
    for row in rows:
        known = bool(row.alternative)
        table.add_row(
            row.name,
            f"{row.seconds:.3g}",
            f"{row.cpu_seconds:.3g}",
            row.alternative,
            f"{row.alternative_seconds:.3g}" if known else "",
            f"{row.alternative_seconds / row.seconds:.0f}x" if known else "",
        )
    console = Console()
    console.print(table)
    console.print(
        f"The limit for training is {_LIMIT_SECONDS:.0f} s on 2 cores; these ran with "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}. Boosting and stop rules are bound by "
        "one core, "
        "trials by memory traffic over prompts × prompts weights and prompts × allocations × prices choices."
    )


if __name__ == "__main__":
    main()
