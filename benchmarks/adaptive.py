"""What reacting to samples is worth on logs: cost multiples of adaptive policy, rivals and ablations.

Each log is split by group with seeds 0 to 2; everything is fitted on the train side and replayed on the test
side, where intervals are drawn. It assumes that logs have single samples with answers; how policies are
fitted and judged is left to `training`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from difficulty.log.sample_log import SampleLog
from policies.plan.objective import Objective, check_objective
from training.adaptive.rivals import RIVALS
from training.demo.recorded import embedded_log
from training.evaluate import evaluate
from training.train import train

__all__ = ["Measurement", "main", "run"]

_TARGETS: Final = (0.75, 0.9)
_SEEDS: Final = (0, 1, 2)
_TEST_FRACTION: Final = 0.4


class Measurement(NamedTuple):
    """One policy on one log.

    Attributes
    ----------
    policy : str
        Its name.
    over : str
        What its cost is compared with: ``"static"`` (the best static mix over the policy) or ``"ours"`` (the
        policy over the adaptive one).
    multiples, lower, upper : dict of float to float
        By share of the way to the static plateau, means over the splits of the multiple and of the ends of
        its 95 % intervals; infinite where one that counts never gets there.
    by_seed : dict of float to list of float
        The multiples of the single splits.
    """

    policy: str
    over: str
    multiples: dict[float, float]
    lower: dict[float, float]
    upper: dict[float, float]
    by_seed: dict[float, list[float]]


def run(
    log: SampleLog,
    *,
    objective: Objective = "accuracy",
    n_trials: int = 1,
    ablations: bool = True,
    seeds: Sequence[int] = _SEEDS,
    n_bootstrap: int = 1000,
) -> tuple[list[Measurement], str, float]:
    """Fit and evaluate on each split.

    Parameters
    ----------
    log : SampleLog
        All recorded prompts.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    n_trials : int
        Optuna trials of `training.train`.
    ablations : bool
        Whether policies with one part switched off are fitted too: four times the work.
    seeds : sequence of int
        Seeds of the splits.
    n_bootstrap : int
        Replicates, at least 100.

    Returns
    -------
    tuple
        Measurements, the unit of cost, and CPU seconds of training per split.
    """
    static: dict[str, list[list[dict[str, Any]]]] = {}
    ours: dict[str, list[list[dict[str, Any]]]] = {}
    unit, seconds = "", 0.0
    for seed in seeds:
        train_side, test_side = log.split(test_fraction=_TEST_FRACTION, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            start = process_time()
            bundle = train(
                train_side,
                Path(folder),
                n_trials=n_trials,
                seed=seed,
                objective=objective,
                ablations=ablations,
            )
            seconds += process_time() - start
        unit = bundle.unit
        report = evaluate(bundle, test_side, n_bootstrap=n_bootstrap, seed=seed)
        for name, rows in report.comparison["cost_multiples"].items():
            if name in RIVALS or name.startswith("adaptive"):
                static.setdefault(name, []).append(rows)
        for name, rows in report.rivals.get("cost_multiples", {}).items():
            ours.setdefault(name, []).append(rows)
    measured = [_mean(name, "static", tables) for name, tables in static.items()]
    return (
        measured + [_mean(name, "ours", tables) for name, tables in ours.items()],
        unit,
        seconds / len(seeds),
    )


def _mean(name: str, over: str, tables: Sequence[Sequence[dict[str, Any]]]) -> Measurement:
    """Average rows of several splits; what only the adaptive policy reaches counts as infinite."""
    multiples, lower, upper, by_seed = {}, {}, {}, {}
    for target in _TARGETS:
        rows = [row for table in tables for row in table if row["way_to_plateau"] == target]
        by_seed[target] = [np.nan if row.get("both_fail") else _finite(row["multiple"]) for row in rows]
        multiples[target] = float(np.mean(by_seed[target]))
        lower[target], upper[target] = (
            float(np.mean([_finite(row["interval"][end]) for row in rows])) for end in (0, 1)
        )
    return Measurement(name, over, multiples, lower, upper, by_seed)


def _finite(value: float | None) -> float:
    return np.inf if value is None else float(value)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each log.

    Parameters
    ----------
    argv : sequence of str, optional
        Paths of logs; the embedded log by default. ``--quick`` takes one split and fewer replicates, leaves
        ablations out, and so does ``--no-ablations``.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptive", description=main.__doc__)
    parser.add_argument("log", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="one split, fewer replicates, no ablations")
    parser.add_argument("--no-ablations", action="store_true")
    parser.add_argument("--objective", choices=("accuracy", "coverage"), default="accuracy")
    parser.add_argument("--trials", type=int, default=1, help="Optuna trials, 1 by default")
    arguments = parser.parse_args(argv)
    seeds, n_bootstrap = (_SEEDS[:1], 200) if arguments.quick else (_SEEDS, 1000)
    console = Console(width=150)
    for path in arguments.log or [None]:
        log = embedded_log() if path is None else SampleLog.read(path, on_duplicate="first")
        measured, unit, seconds = run(
            log,
            objective=check_objective(arguments.objective),
            n_trials=arguments.trials,
            ablations=not (arguments.quick or arguments.no_ablations),
            seeds=seeds,
            n_bootstrap=n_bootstrap,
        )
        table = Table(
            title=f"{'embedded log' if path is None else path.name}: cost in {unit}, test fraction "
            f"{_TEST_FRACTION}, split seeds {', '.join(map(str, seeds))}; "
            f"{seconds:.1f} CPU s of training per split"
        )
        table.add_column("policy")
        table.add_column("multiple of")
        for target in _TARGETS:
            table.add_column(f"{target:.0%} of the way", justify="right")
            table.add_column("by seed", justify="right")
        for row in measured:
            cells = []
            for target in _TARGETS:
                cells += [
                    f"{row.multiples[target]:.2f} [{row.lower[target]:.2f}, {row.upper[target]:.2f}]",
                    ", ".join(f"{value:.2f}" for value in row.by_seed[target]),
                ]
            table.add_row(row.policy, "static / it" if row.over == "static" else "it / adaptive", *cells)
        console.print(table)


if __name__ == "__main__":
    main()
