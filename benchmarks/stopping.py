"""Time decisions between waves: thousands of live prompts at once, and one prompt of a server.

The alternative in the same run asks the published criterion of Adaptive-Consistency prompt by prompt, with a
numerical integral as its reference does. Votes are simulated with a fixed seed; rules have random
coefficients, which cost the same time as fitted ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import process_time
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.integrate import quad

from planner.drivers.batch import Wish, decide
from planner.strategies.flow import Prospect
from policies.control.batch import BatchControl
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale, Wave, wave_sizes
from policies.ladder.prompt_tally import PromptTally
from policies.ladder.stop_rules import AdaptiveConsistency
from policies.ladder.tally import Tally
from policies.ladder.value_rule import ValueRule, feature_matrix

__all__ = ["Measurement", "main", "run"]


class Measurement(NamedTuple):
    """One row: what was decided, median CPU milliseconds, and how many times the alternative takes."""

    name: str
    n_prompts: int
    milliseconds: float
    ratio: float


def simulate(n_prompts: int, *, n_prices: int = 32, seed: int = 0) -> tuple[Tally, ValueRule]:
    """Return a tally of prompts after four waves, and a learned rule with random coefficients."""
    rng = np.random.default_rng(seed)
    ladder = Ladder(waves=tuple(Wave(generator="g", n=n) for n in wave_sizes(32)))
    scale = SampleScale(logprob_mean=-1.0, logprob_sd=0.3, log_cost_mean=3.0, log_cost_sd=0.5)
    tally = Tally(ladder, {"g": scale}, rng.normal(size=(n_prompts, 3)))
    for _ in range(4):
        tally.add(
            "g",
            answer=rng.integers(0, 8, (n_prompts, 2)),
            mean_logprob=rng.normal(-1, 0.3, (n_prompts, 2)),
            cost=rng.exponential(20.0, (n_prompts, 2)),
        )
    width = feature_matrix(tally.evidence(np.arange(1)), "full").shape[1]
    rule = ValueRule(
        features="full",
        prices=np.geomspace(1, 1e-4, n_prices),
        accuracy=rng.normal(size=(len(ladder), width)),
        gain=rng.normal(size=(n_prices, len(ladder) - 1, width)),
        cost=np.abs(rng.normal(size=(n_prices, len(ladder) - 1, width))),
    )
    return tally, rule


def wishes_of(n_prompts: int, rule: ValueRule, *, seed: int = 0) -> list[Wish]:
    """Return the wishes of prompts of a live batch, each with two samples drawn and two wanted."""
    rng = np.random.default_rng(seed)
    ladder = Ladder(waves=tuple(Wave(generator="g", n=2) for _ in range(8)))
    wishes = []
    for coordinates in rng.normal(size=(n_prompts, 3)).tolist():
        tally = PromptTally(ladder, {}, coordinates)
        tally.add("g", answer=rng.integers(0, 8, 2).tolist(), cost=rng.exponential(20.0, 2).tolist())
        wishes.append(Wish(Prospect(rule, tally.row(), 0.01, rule.prices), n=2, most=40.0))
    return wishes


def one_by_one(evidence: Evidence) -> list[bool]:
    """Ask the Beta criterion prompt by prompt, by numerical integration."""
    result = []
    for first, second in zip(evidence.leader_count.tolist(), evidence.runner_up_count.tolist(), strict=True):
        above, _ = quad(lambda x, a=first, b=second: x**a * (1 - x) ** b, 0.5, 1.0)
        below, _ = quad(lambda x, a=first, b=second: x**a * (1 - x) ** b, 0.0, 0.5)
        result.append(above / (above + below) < 0.95)
    return result


def run(n_prompts: int = 10_000) -> list[Measurement]:
    """Measure decisions for a batch and for one prompt."""
    return [row for n in (n_prompts, 1) for row in measure(n)]


def measure(n: int) -> list[Measurement]:
    """Measure decisions for `n` live prompts, tallying included."""
    tally, rule = simulate(n)
    evidence = tally.evidence()
    sample = min(n, 200)
    few = tally.evidence(np.arange(sample))
    slow = _median(lambda: one_by_one(few), 5) * n / sample
    worst = np.full(n, 40.0)

    def admit() -> None:
        gain, cost = rule.outlooks(tally.evidence())
        BatchControl(limit=2.0 * n).admit(gain, cost, worst=worst, prices=rule.prices)

    wishes = wishes_of(n, rule)
    actions: dict[str, Callable[[], object]] = {
        "learned rule at one price": lambda: rule.go_on(tally.evidence(), price=0.01),
        "learned rule, price re-solved": admit,
        "batch driver, price re-solved": lambda: decide(wishes, limit=2.0 * n, spent=0.0),
        "Adaptive-Consistency (Beta)": lambda: AdaptiveConsistency().go_on(evidence, price=0.0),
    }
    rows = []
    for name, action in actions.items():
        taken = _median(action, 20)
        rows.append(Measurement(name, n, taken * 1e3, slow / taken))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=10_000, help="live prompts of the batch")
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args(argv)
    table = Table("decision", "prompts", "CPU ms", "integral prompt by prompt takes")
    for row in run(arguments.prompts // (10 if arguments.quick else 1)):
        table.add_row(row.name, f"{row.n_prompts:,}", f"{row.milliseconds:.3f}", f"{row.ratio:.1f}x")
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
