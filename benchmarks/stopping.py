"""Time what a run decides between two steps of its courses: thousands of live prompts, and one of a server.

The alternative in the same run asks the published criterion of Adaptive-Consistency with a numerical
integral for every prompt, as its reference does. Votes are simulated with a fixed seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import process_time
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.integrate import quad

from policies.course.selection import Selection
from policies.course.stop import Agreement, Beta, Share, StopRule
from policies.course.tally import Tally

_RULES: Final[tuple[StopRule, ...]] = (Agreement(count=4), Share(share=0.75, least=4), Beta())


class Measurement(NamedTuple):
    """One row: what was decided, median CPU milliseconds, and how many times the alternative takes."""

    name: str
    n_prompts: int
    milliseconds: float
    ratio: float


def live(n_prompts: int, *, n_samples: int = 8, seed: int = 0) -> list[Tally]:
    """Return the tallies of prompts that have drawn some samples."""
    answers = np.random.default_rng(seed).integers(0, 6, (n_prompts, n_samples)).astype(str)
    tallies = []
    for row in answers.tolist():
        tally = Tally(Selection())
        for answer in row:
            tally.add("g", answer)
        tallies.append(tally)
    return tallies


def by_integral(tallies: Sequence[Tally]) -> list[bool]:
    """Ask the Beta criterion prompt by prompt, by numerical integration."""
    result = []
    for tally in tallies:
        first, second = float(tally.evidence().leader), float(tally.evidence().runner_up)
        above, _ = quad(lambda x, a=first, b=second: x**a * (1 - x) ** b, 0.5, 1.0)
        below, _ = quad(lambda x, a=first, b=second: x**a * (1 - x) ** b, 0.0, 0.5)
        result.append(above / (above + below) >= 0.95)
    return result


def run(n_prompts: int = 10_000) -> list[Measurement]:
    """Measure decisions for many live prompts and for one."""
    return [row for n in (n_prompts, 1) for row in _measure(n)]


def _measure(n: int) -> list[Measurement]:
    tallies = live(n)
    few = tallies[:200]
    slow = _median(lambda: by_integral(few), 5) * n / len(few)
    rows = []
    for rule in _RULES:
        taken = _median(lambda rule=rule: [bool(rule.enough(tally.evidence())) for tally in tallies], 20)
        rows.append(Measurement(str(rule), n, taken * 1e3, slow / taken))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=10_000, help="live prompts of the batch")
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args(argv)
    table = Table("decision", "prompts", "CPU ms", "integral prompt by prompt takes")
    for row in run(arguments.prompts // (10 if arguments.quick else 1)):
        table.add_row(row.name, f"{row.n_prompts:,}", f"{row.milliseconds:.4f}", f"{row.ratio:.1f}x")
    Console().print(table)


def _median(action: Callable[[], object], times: int) -> float:
    """Return the median CPU seconds of an action after one warm-up; other processes do not count."""
    action()
    seconds = []
    for _ in range(times):
        start = process_time()
        action()
        seconds.append(process_time() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
