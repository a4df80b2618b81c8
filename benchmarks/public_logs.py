"""Turn clones of public repositories into sample logs, and report what the policy saves on logs.

``reasoning-gym CLONE OUT`` and ``cruxeval CLONE OUT`` convert; ``report LOG…`` trains on one side of each
log, measures on the other, and prints one table. Clones are the user's: nothing is downloaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks._cruxeval import cruxeval_log
from benchmarks._reasoning_gym import reasoning_gym_log
from difficulty.errors import UnknownUnitError
from difficulty.log.sample_log import SampleLog
from training.evaluate import evaluate
from training.report.names import BEST_RULE, OURS
from training.train import train

__all__ = ["Row", "main", "measure"]

_UNITS: Final = ("usd", "total_tokens", "output_tokens", "samples")
_SHARES: Final = (0.5, 0.75, 0.9)
_TEST: Final = 0.4


class Row(NamedTuple):
    """One log in one unit on one split: (multiple, lower, upper) at 50, 75 and 90 % of the way."""

    log: str
    unit: str
    split: int
    static: list[tuple[float, float, float]]
    rule: list[tuple[float, float, float]]
    least: float


def measure(
    log: SampleLog,
    name: str,
    *,
    unit: str,
    split: int,
    objective: str = "accuracy",
    n_trials: int = 200,
    n_bootstrap: int = 1000,
) -> Row:
    """Train on one side of a log and measure on the other.

    Parameters
    ----------
    log : SampleLog
        Split by group.
    name : str
        What the row is called.
    unit : str
        Unit of cost.
    split : int
        Seed of split and training.
    objective : {"accuracy", "coverage"}
        As in `training.train.train`.
    n_trials, n_bootstrap : int
        As in `train` and `evaluate`.

    Raises
    ------
    UnknownUnitError
        When the log cannot be priced in the unit.
    """
    train_log, test_log = log.split(test_fraction=_TEST, seed=split)
    with TemporaryDirectory() as folder:
        bundle = train(
            train_log,
            Path(folder) / "policy",
            n_trials=n_trials,
            seed=split,
            unit=unit,
            objective="coverage" if objective == "coverage" else "accuracy",
        )
        report = evaluate(bundle, test_log, n_bootstrap=n_bootstrap, seed=split)
    at_cost = report.comparison["at_equal_cost"][OURS]
    differences = [row["difference"] for row in at_cost if row.get("difference") is not None]
    rival = report.rivals.get(BEST_RULE, {"cost_multiples": []})
    return Row(
        log=name,
        unit=unit,
        split=split,
        static=_multiples(report.comparison["cost_multiples"][OURS]),
        rule=_multiples(rival["cost_multiples"]),
        least=min(differences, default=float("nan")),
    )


def _multiples(rows: Sequence[dict[str, Any]]) -> list[tuple[float, float, float]]:
    return [
        (_number(row["multiple"]), _number(row["interval"][0]), _number(row["interval"][1]))
        for row in rows
        if row["way_to_plateau"] in _SHARES
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(
        "log",
        "unit",
        "split",
        *(f"static at {share:.0%}" for share in _SHARES),
        *(f"best rule at {share:.0%}" for share in _SHARES),
        "least difference",
        title="Cost of the other over ours at equal accuracy, on test prompts; 95 % intervals over groups",
    )
    for row in rows:
        cells = [_cell(multiple) for multiple in row.static] + [_cell(multiple) for multiple in row.rule]
        cells += ["–"] * (2 * len(_SHARES) - len(cells))
        table.add_row(row.log, row.unit, str(row.split), *cells, f"{row.least:+.3f}")
    for log, unit in dict.fromkeys((row.log, row.unit) for row in rows):
        same = [row for row in rows if (row.log, row.unit) == (log, unit)]
        if len(same) > 1:
            means = [_mean([row.static[at][0] for row in same]) for at in range(len(_SHARES))]
            if all(row.rule for row in same):
                means += [_mean([row.rule[at][0] for row in same]) for at in range(len(_SHARES))]
            means += ["–"] * (2 * len(_SHARES) - len(means))
            table.add_row(log, unit, "mean", *means, f"{min(row.least for row in same):+.3f}", style="bold")
    return table


def _cell(multiple: tuple[float, float, float]) -> str:
    value, lower, upper = multiple
    if not value > 0:
        return "never reached"
    return f"{value:.2f} [{lower:.2f}, {upper:.2f}]"


def _mean(values: Sequence[float]) -> str:
    """Return the geometric mean in words; one that is never reached has none."""
    known = np.array(values)
    return f"{np.exp(np.log(known).mean()):.2f}" if (known > 0).all() else "not always reached"


def _report(arguments: argparse.Namespace, console: Console) -> None:
    rows = []
    for path in arguments.log:
        log = SampleLog.read(path)
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        for unit in arguments.unit or _UNITS:
            for split in range(arguments.splits):
                try:
                    rows.append(
                        measure(
                            log,
                            name,
                            unit=unit,
                            split=split,
                            objective=arguments.objective,
                            n_trials=arguments.trials,
                        )
                    )
                except UnknownUnitError:
                    if arguments.unit:
                        raise
                    break
    console.print(_table(rows))


def main(argv: Sequence[str] | None = None) -> None:
    """Convert clones, or report on logs.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; by default the program's own. Without a command, only the usage is printed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public_logs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="nothing: a report is given its logs")
    commands = parser.add_subparsers(dest="command")
    gym = commands.add_parser("reasoning-gym", help="from a clone of open-thought/reasoning-gym-eval")
    gym.add_argument("--level", choices=("easy", "hard"), default="easy")
    gym.add_argument("--encoding", help="tiktoken encoding that counts tokens; else 4 characters are one")
    crux = commands.add_parser("cruxeval", help="from a clone of crux-eval/crux-eval.github.io")
    crux.add_argument("--task", choices=("output", "input"), default="output")
    crux.add_argument("--temperature", type=float, default=0.8)
    for command in (gym, crux):
        command.add_argument("clone", type=Path)
        command.add_argument("out", type=Path, help="sample log to write, .jsonl.gz or .parquet")
        command.add_argument("--models", nargs="*", default=[], help="keep names that contain one of these")
    report = commands.add_parser("report", help="train, measure and print one table")
    report.add_argument("log", type=Path, nargs="+")
    report.add_argument(
        "--unit", nargs="*", choices=_UNITS, help="all that a log can be priced in by default"
    )
    report.add_argument("--splits", type=int, default=3)
    report.add_argument("--trials", type=int, default=200)
    report.add_argument("--objective", choices=("accuracy", "coverage"), default="accuracy")
    arguments = parser.parse_args(argv)
    console = Console()
    if arguments.command == "report":
        _report(arguments, console)
    elif arguments.command is None:
        console.print(
            "public_logs reports on logs that you name: python -m benchmarks.public_logs report LOG…"
        )
    else:
        if arguments.command == "cruxeval":
            log = cruxeval_log(
                arguments.clone,
                task=arguments.task,
                models=arguments.models,
                temperature=arguments.temperature,
            )
        else:
            log = reasoning_gym_log(
                arguments.clone,
                level=arguments.level,
                models=arguments.models,
                encoding=arguments.encoding,
            )
        log.write(arguments.out)
        console.print(f"{arguments.out}: {log!r}", markup=False)


if __name__ == "__main__":
    main()
