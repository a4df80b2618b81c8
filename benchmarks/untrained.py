"""Compare a planner without any log with the stop rules that others ship, on the samples of real logs.

Each rule runs at its own numbers, and the planner gets the tokens that the rule really used; both vote alike
and may draw as many samples as the log holds. Intervals resample groups of near-duplicates; a pair of
generators counts where the second is dearer and better, as the planner is told.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from planner.planning.untrained import shipped_rules
from policies.cost.budget import Budget, Unit
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded
from training.frontier import Frontier, bootstrap_weights, interval
from training.simulated.log import simulated_log

Side: TypeAlias = Literal["all", "first", "second"]

# What Adaptive-Consistency and early-stopping self-consistency draw at most.
_MOST: Final = 40
_LEAST: Final = 3
_N_BUDGETS: Final = 80
_N_REPLICATES: Final = 400
# A pair is one of a cheap and a strong generator where the second costs and solves so much more.
_DEARER: Final = 1.5
_BETTER: Final = 0.02


class Row(NamedTuple):
    """One rule on one log.

    Attributes
    ----------
    generators : tuple of str
        The one that is drawn, or the cheap and the strong one.
    cost, value : float
        What the rule used per prompt, and its accuracy.
    difference, low, high : float
        Accuracy of the planner at that cost minus the rule's, with its 95 % interval.
    """

    log: str
    generators: tuple[str, ...]
    unit: str
    rule: str
    cost: float
    value: float
    difference: float
    low: float
    high: float


def compare(
    log: SampleLog,
    name: str = "log",
    *,
    unit: Unit | None = None,
    side: Side = "all",
    n_replicates: int = _N_REPLICATES,
    seed: int = 0,
) -> list[Row]:
    """Return a row for each rule and generator, and for each pair of a cheap and a strong one.

    Parameters
    ----------
    log : SampleLog
        With answers; generators of fewer than 3 samples are left out.
    name : str
        Of the log.
    unit : str, optional
        Unit of cost; by default output tokens where recorded, else samples.
    side : {"all", "first", "second"}
        All groups of near-duplicates, or one of two halves of them.
    n_replicates, seed : int
        Of the bootstrap, and of the halves.
    """
    log = _half(log, side, seed)
    recorded = Recorded.of(log, seed=seed)
    groups = log.near_duplicates().groups
    weights = bootstrap_weights(len(log.prompts), n_replicates=n_replicates, seed=seed, groups=groups)
    most = {
        generator: min(int(samples.n.min()), _MOST)
        for generator, samples in recorded.samples.items()
        if bool((samples.answer >= 0).any()) and int(samples.n.min()) >= _LEAST
    }
    rows = []
    for generators in _teams(log, list(most), pairs=unit != "samples"):
        cap = min(most[generator] for generator in generators)
        priced = unit or ("output_tokens" if _has_tokens(log, generators) else "samples")
        planned, rules = _planned(log, generators, cap, priced), _rules(generators, cap)
        table = measure(log, recorded, [], list(dict.fromkeys([*planned, *rules.values()])), seed=seed)
        model = CostModel(unit=priced, generators=log.generators)
        cost, value = table.cost(model, prompt_lengths(log)).astype(float), table.value.astype(float)
        place = {course: at for at, course in enumerate(table.courses)}
        ours = [place[course] for course in planned]
        frontier = Frontier.of(cost[:, ours], value[:, ours], weights)
        for rule, course in rules.items():
            paid, worth = weights @ cost[:, place[course]], weights @ value[:, place[course]]
            apart = frontier.value_at(paid) - worth
            numbers = (float(paid[0]), float(worth[0]), float(apart[0]), *interval(apart[1:]))
            rows.append(Row(name, generators, priced, rule, *numbers))
    return rows


def _half(log: SampleLog, side: Side, seed: int) -> SampleLog:
    """Return all prompts, or those of every other group in a random order."""
    if side == "all":
        return log
    names, member = np.unique(log.near_duplicates().groups, return_inverse=True)
    half = np.random.default_rng(seed).permutation(len(names)) % 2
    rows = np.flatnonzero(half[member] == (side == "second"))
    return log.select([log.prompts[row].id for row in rows])


def _has_tokens(log: SampleLog, generators: Sequence[str]) -> bool:
    pools = [log.pool(generator) for generator in generators]
    return not any(np.isnan(pool.output_tokens[pool.correct >= 0]).any() for pool in pools)


def _teams(log: SampleLog, generators: Sequence[str], *, pairs: bool) -> Iterator[tuple[str, ...]]:
    """Return single generators, then pairs of a cheap and a strong one: in samples none is cheap."""
    yield from ((generator,) for generator in generators)
    for first, last in permutations(generators, 2):
        if not pairs or not _has_tokens(log, (first, last)):
            continue
        dearer = _length(log, last) >= _DEARER * _length(log, first)
        if dearer and _accuracy(log, last) >= _accuracy(log, first) + _BETTER:
            yield first, last


def _length(log: SampleLog, generator: str) -> float:
    return float(np.nanmean(log.pool(generator).output_tokens))


def _accuracy(log: SampleLog, generator: str) -> float:
    pool = log.pool(generator)
    return float((pool.correct == 1).sum() / (pool.correct >= 0).sum())


def _rules(generators: tuple[str, ...], cap: int) -> dict[str, Course]:
    """Return the rules to compare with; a pair is compared with rules of each and of both."""
    rules = dict[str, Course]()
    for name in generators:
        alone = shipped_rules([name], max_samples=cap)
        rules |= {f"{rule}, {name}": course for rule, course in alone.items()}
    if len(generators) > 1:
        both = shipped_rules(generators, max_samples=cap)
        rules |= {rule: course for rule, course in both.items() if len(course.generators) > 1}
    return rules


def _planned(log: SampleLog, generators: tuple[str, ...], cap: int, unit: Unit) -> list[Course]:
    """Return the courses that plans for budgets of any size take."""
    lengths = {name: _length(log, name) for name in generators} if _has_tokens(log, generators) else {}
    planner = Planner.untrained(generators, output_tokens=lengths, max_samples=cap)
    sent = [log.pool(name).prompt_tokens for name in generators]
    known = not any(np.isnan(tokens).all() for tokens in sent)
    own = round(float(np.mean([np.nanmean(tokens) for tokens in sent]))) if known else None
    prompts = [replace(log.prompts[0], prompt_tokens=own)]
    frontier = planner.frontier(prompts, unit=unit)
    least, dearest = frontier[0].expected_cost, frontier[-1].expected_cost
    courses: dict[Course, None] = {}
    for limit in np.geomspace(least, dearest, _N_BUDGETS) * (1 + 1e-9):
        for plan in planner.plan(prompts, budget=Budget(limit=float(limit), unit=unit)):
            courses[plan.course] = None
    return list(courses)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the worst of every log, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.untrained", description=__doc__)
    parser.add_argument(
        "logs", nargs="*", type=Path, metavar="LOG", help="sample logs; a simulated one by default"
    )
    parser.add_argument("--unit", help="unit of cost; by default output tokens where recorded, else samples")
    parser.add_argument(
        "--side", choices=("all", "first", "second"), default="all", help="all groups, or one of two halves"
    )
    parser.add_argument("--all", action="store_true", help="print every rule, not only the best of each")
    parser.add_argument("--quick", action="store_true", help="fewer replicates")
    given = parser.parse_args(argv)
    logs = {path.name.split(".")[0]: SampleLog.read(path) for path in given.logs}
    rows: list[Row] = []
    for name, log in (logs or {"simulated": simulated_log(200, n_samples=10)}).items():
        n_replicates = _N_REPLICATES // (4 if given.quick else 1)
        rows += compare(log, name, unit=given.unit, side=given.side, n_replicates=n_replicates)
    _print(rows if given.all else _worst(rows), len(rows))


def _worst(rows: Sequence[Row]) -> list[Row]:
    """Return the row of the lowest difference of each log and its generators."""
    found: dict[tuple[str, tuple[str, ...]], Row] = {}
    for row in rows:
        key = (row.log, row.generators)
        if key not in found or row.difference < found[key].difference:
            found[key] = row
    return list(found.values())


def _print(rows: Sequence[Row], n_compared: int) -> None:
    console = Console()
    table = Table("log", "generators", "rule", "cost", "its accuracy", "ours minus its [95 %]")
    for row in rows:
        apart = f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
        cost = f"{row.cost:,.4g} {row.unit}"
        cells = (row.log, ", ".join(row.generators), row.rule, cost, f"{row.value:.4f}", apart)
        table.add_row(*map(escape, cells))
    console.print(table)
    below = sum(row.high < 0 for row in rows)
    lowest = min(row.difference for row in rows)
    console.print(
        f"{n_compared:,} rules on {len({row.log for row in rows})} logs at the rule's own cost; below beyond "
        f"its interval among those shown: {below}; lowest difference {lowest:+.4f}."
    )


if __name__ == "__main__":
    main()
