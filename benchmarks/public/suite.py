"""Train and evaluate on logs, several splits each, and sum up what the policy was worth.

Each split keeps groups of near-duplicates on one side, and is trained and evaluated by the public functions.
How a summary is written is left to `benchmarks.public.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from difficulty.log.sample_log import SampleLog
from planner.progress import Progress
from policies.plan.objective import Objective
from training.evaluate import evaluate
from training.report.names import BEST_RULE, OURS
from training.report.report import Report
from training.train import train

# Shares of the way from the cheapest static point to the static plateau.
SHARES: Final = (0.5, 0.75, 0.9)


class Number(NamedTuple):
    """A number with its interval; None where it is not known, or infinite."""

    value: float | None
    low: float | None
    high: float | None


_UNKNOWN: Final = Number(None, None, None)


class Line(NamedTuple):
    """A line of the table: what the report of one split says, or the means over several and their worst.

    Attributes
    ----------
    log : str
        Name of the log, or the seed of one split.
    static, rule : dict
        What the best static mix, and the best of the tuned rules, cost as a multiple of ours at each of
        `SHARES`; 0 where ours never gets there, None where only ours does.
    gain : Number
        Mean gain over the best of the tuned rules at equal cost; all None where there is no rule.
    work : dict
        Value lost at equal cost without each part.
    worst : Number
        The lowest difference to the best static mix of all budgets that can be bought.
    worst_to_rule : Number
        The same to the best of the tuned rules.
    """

    log: str
    unit: str
    n_splits: int
    n_train: float
    n_test: float
    static: dict[float, Number]
    rule: dict[float, Number]
    gain: Number
    work: dict[str, Number]
    worst: Number
    worst_to_rule: Number


def run_split(
    log: SampleLog,
    out: Path,
    *,
    seed: int,
    unit: str | None = None,
    objective: Objective = "accuracy",
    test_fraction: float = 0.4,
    n_trials: int = 200,
    progress: Progress | None = None,
) -> Line:
    """Train on one side of a split, evaluate on the other, and leave bundle and report in a folder.

    Parameters
    ----------
    log : SampleLog
        All prompts.
    out : Path
        Folder of ``bundle`` and ``report``.
    seed : int
        Seed of split, training and evaluation.
    unit : str, optional
        Unit of cost; by default the one that `train` takes.
    objective : {"accuracy", "coverage"}
        As in `train`.
    test_fraction : float
        Share of the prompts that is set aside, in (0, 1).
    n_trials : int
        Trials of the search for a better belief.
    progress : callable, optional
        Called with (stage, done, total).
    """
    training, test = log.split(test_fraction=test_fraction, seed=seed)
    bundle = train(
        training,
        out / "bundle",
        n_trials=n_trials,
        seed=seed,
        objective=objective,
        unit=unit,
        progress=progress,
    )
    report = evaluate(bundle, test, out / "report", seed=seed, progress=progress)
    return read(report, seed=seed, n_train=len(training.prompts))


def read(report: Report, *, seed: int, n_train: int) -> Line:
    """Return what the suite shows of a report."""
    equal_cost = [row for row in report.comparison["at_equal_cost"][OURS] if row["value"] is not None]
    rule = report.rivals.get(BEST_RULE)
    return Line(
        log=f"seed {seed}",
        unit=report.data["unit"],
        n_splits=1,
        n_train=n_train,
        n_test=report.data["n_prompts"],
        static=_multiples(report.comparison["cost_multiples"][OURS]),
        rule={} if rule is None else _multiples(rule["cost_multiples"]),
        gain=_UNKNOWN if rule is None else _difference(rule["mean_difference"]),
        work={part: _difference(row["mean_difference"]) for part, row in report.work.items()},
        worst=_lowest(Number(row["difference"], *row["difference_interval"]) for row in equal_cost),
        worst_to_rule=_lowest(() if rule is None else map(_difference, rule["at_equal_cost"])),
    )


def summary(name: str, splits: Sequence[Line]) -> Line:
    """Return the mean of splits: geometric of multiples, arithmetic of differences; the worst as it is.

    The ends of a mean's interval are the means of the splits' ends. That is its interval if the splits err
    together, which they nearly do as they share prompts, and a wider one than needed if they do not.
    """
    first = splits[0]
    parts = [part for part in first.work if all(part in split.work for split in splits)]
    return Line(
        log=name,
        unit=first.unit,
        n_splits=len(splits),
        n_train=float(np.mean([split.n_train for split in splits])),
        n_test=float(np.mean([split.n_test for split in splits])),
        static={share: geometric([split.static[share] for split in splits]) for share in SHARES},
        rule={share: geometric([split.rule[share] for split in splits]) for share in SHARES}
        if all(split.rule for split in splits)
        else {},
        gain=mean([split.gain for split in splits]),
        work={part: mean([split.work[part] for split in splits]) for part in parts},
        worst=_lowest(split.worst for split in splits),
        worst_to_rule=_lowest(split.worst_to_rule for split in splits),
    )


def mean(numbers: Sequence[Number]) -> Number:
    """Return the mean of values and of the ends of their intervals; None where one is not known.

    Examples
    --------
    >>> mean([Number(1.0, 0.0, 2.0), Number(3.0, 2.0, None)])
    Number(value=2.0, low=1.0, high=None)
    """
    return Number(*(None if None in part else float(np.mean(part)) for part in zip(*numbers, strict=True)))


def geometric(numbers: Sequence[Number]) -> Number:
    """Return the geometric mean of multiples and of the ends of their intervals.

    One 0 (never reached) makes the mean 0, and one None (infinite) makes it None.

    Examples
    --------
    >>> geometric([Number(1.0, 0.0, 2.0), Number(4.0, 2.0, None)])
    Number(value=2.0, low=0.0, high=None)
    """
    return Number(*(_geometric(part) for part in zip(*numbers, strict=True)))


def _geometric(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if 0 in known:
        return 0.0
    return None if len(known) < len(values) else float(np.exp(np.log(known).mean()))


def _multiples(rows: Iterable[dict[str, Any]]) -> dict[float, Number]:
    found = {}
    for row in rows:
        if row["way_to_plateau"] in SHARES:
            # Where neither gets there both are alike.
            value = 1.0 if row.get("both_fail") else row["multiple"]
            found[row["way_to_plateau"]] = Number(value, *row["interval"])
    return found


def _difference(row: dict[str, Any]) -> Number:
    return Number(row["difference"], *row["interval"])


def _lowest(numbers: Iterable[Number]) -> Number:
    known = [number for number in numbers if number.value is not None]
    return min(known, key=lambda number: number.value or 0.0, default=_UNKNOWN)
