"""Informative groups per million tokens, against uniform n and other ways to spread, at equal tokens.

Planted truths, still and drifting by 10 % an epoch, and recorded logs that are named. Every epoch, uniform
n draws groups of 8 for a quarter of the prompts; all others get the same tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.rollouts.compare import OURS, Planted, compare_groups, recorded_truth
from benchmarks.rollouts.rivals import RIVALS
from difficulty.log.sample_log import SampleLog

FloatArray = NDArray[np.float64]

_PLANTED: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "Beta(.3, .3)": lambda rng, n: rng.beta(0.3, 0.3, n),
    "Beta(.3, 1.2), hard": lambda rng, n: rng.beta(0.3, 1.2, n),
    "Beta(2, .4), easy": lambda rng, n: rng.beta(2.0, 0.4, n),
    "40 % impossible, 24 % solved": lambda rng, n: np.where(
        rng.random(n) < 0.4, 0.0, np.where(rng.random(n) < 0.4, 1.0, rng.random(n))
    ),
    "flat": lambda rng, n: rng.random(n),
}
_MOVES: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray] | None] = {
    "still": None,
    "walk of .1": lambda p, rng: (p + 0.1 * rng.standard_normal(len(p))).clip(0, 1),
    "a tenth learned": lambda p, rng: p + 0.1 * (1 - p),
    "odds times 1.3": lambda p, rng: 1.3 * p / (1 + 0.3 * p),
    "10 % up or down": lambda p, rng: (p * rng.choice([0.9, 1.1], len(p))).clip(0, 1),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print ratios to uniform n with 95 % intervals over runs.

    Parameters
    ----------
    argv : sequence of str, optional
        ``--quick`` for fewer runs, ``--log FILE`` for recorded logs.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--log", action="append", default=[])
    parser.add_argument("--floor", type=int, default=4)
    arguments = parser.parse_args(argv)
    size, runs = (800, 3) if arguments.quick else (2000, 6)
    names = [OURS, *RIVALS]
    table = Table("truth", "rates", *names, title="Informative groups per million tokens / uniform n")
    for title, plant in _PLANTED.items():
        for how, move in _MOVES.items():

            def truth(
                rng: np.random.Generator,
                plant: Callable[[np.random.Generator, int], FloatArray] = plant,
            ) -> Planted:
                length = 400 * np.exp(0.5 * rng.standard_normal(size))
                return Planted(rates=plant(rng, size), right=length, wrong=1.5 * length)

            found = compare_groups(truth, n_runs=runs, move=move, floor=arguments.floor)
            table.add_row(title, how, *(_cell(*found[name][1:]) for name in names))
    for path in arguments.log:
        log = SampleLog.read(path, on_duplicate="first")
        for name in log.generators:
            found = compare_groups(recorded_truth(log, name), n_runs=runs, cap=8, floor=arguments.floor)
            table.add_row(name, "recorded", *(_cell(*found[each][1:]) for each in names))
    Console(width=200).print(table)


def _cell(ratio: float, interval: tuple[float, float]) -> str:
    return f"{ratio:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


if __name__ == "__main__":
    main()
