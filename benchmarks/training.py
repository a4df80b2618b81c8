"""Time training and evaluation on a simulated log, and the replay of courses against one at a time.

The log has 800 prompts, 9 generators and 10 samples each. Courses that begin alike are read off one replay;
the alternative replays each of them alone. What the policy is worth is not measured.
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
from rich.console import Console
from rich.table import Table

from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.table.grid import early_stopping
from policies.table.recorded import Recorded
from policies.table.replay import replay
from policies.table.table import CourseTable
from training.evaluate import evaluate
from training.simulated.log import simulated_log
from training.train import train

_LIMIT_SECONDS: Final = 120.0
_N_COURSES: Final = 200


class Measurement(NamedTuple):
    """One row: seconds on the clock and of CPU, and those of the alternative where there is one."""

    name: str
    seconds: float
    cpu_seconds: float
    alternative: str = ""
    alternative_seconds: float = float("nan")


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
    rows.append(_replay(log))
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


def _replay(log: SampleLog) -> Measurement:
    """Replay the early-stopping courses of one generator both ways, and check that they agree."""
    recorded = Recorded.of(log)
    courses = early_stopping(recorded, generators=list(log.generators)[:1])[:_N_COURSES]
    ours: list[CourseTable] = []
    plain: list[CourseTable] = []
    seconds = timed(lambda: ours.append(replay(recorded, courses)))
    alternative, _ = timed(lambda: plain.extend(replay(recorded, [course]) for course in courses))
    if not np.allclose(ours[0].value, CourseTable.joined(plain).value, atol=1e-5, equal_nan=True):
        raise RuntimeError("courses are worth something else when each is replayed alone")
    return Measurement(f"replay of {len(courses)} courses", *seconds, "one by one", alternative)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` trains on a quarter of the prompts with a quarter of the trials.
    """
    parser = argparse.ArgumentParser(description=__doc__)
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
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}. Replays and forests are bound by one "
        "core, choosing by memory traffic over prompts × prompts weights and prompts × courses × prices."
    )


if __name__ == "__main__":
    main()
