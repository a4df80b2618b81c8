"""Turn public repositories of samples into sample logs, and print what the policy is worth on them.

It assumes that the reader has clones of those repositories; nothing is downloaded. Logs of other sources are
reported on alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape

from benchmarks.public import crux_eval, reasoning_gym
from benchmarks.public.prices import LIST_PRICES, read_prices
from benchmarks.public.source import ALL, Convert, Options
from benchmarks.public.suite import Line, run_split, summary
from benchmarks.public.table import overall, print_lines
from difficulty.errors import InvalidInputError, PlannerError
from difficulty.log.sample_log import SampleLog
from policies.cost.budget import UNITS
from policies.plan.objective import OBJECTIVES, Objective

SOURCES: Final[Mapping[str, Convert]] = {
    "reasoning-gym": reasoning_gym.convert,
    "crux-eval": crux_eval.convert,
}
_WIDTH: Final = 132
_TRIALS: Final = 200
_QUICK: Final = 25


def report(
    paths: Sequence[Path],
    *,
    units: Sequence[str | None] = (None,),
    seeds: Sequence[int] = (0,),
    objective: Objective = "accuracy",
    test_fraction: float = 0.4,
    n_trials: int = _TRIALS,
    out: Path | None = None,
    console: Console | None = None,
) -> tuple[list[Line], dict[str, list[Line]]]:
    """Train and evaluate on each log, in each unit, for each seed.

    Parameters
    ----------
    paths : sequence of Path
        Sample logs.
    units : sequence of str or None
        Units of cost; None is the one that `train` takes by itself.
    seeds : sequence of int
        One split each.
    objective : {"accuracy", "coverage"}
        As in `train`.
    test_fraction : float
        Share of the prompts that is set aside, in (0, 1).
    n_trials : int
        Trials of the search for a better belief.
    out : Path, optional
        Keeps bundles and reports, in a folder per log, unit and seed.
    console : Console, optional
        Where progress goes.

    Returns
    -------
    lines : list of Line
        One per log and unit.
    splits : dict of str to list of Line
        By log and unit. A log that cannot be learned from, or lacks what a unit needs, is left out; the
        console says so.
    """
    console = console or Console(stderr=True)
    lines, splits = [], {}
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(TemporaryDirectory()))
        for path in paths:
            name = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet")
            for unit in units:
                runs = []
                try:
                    log = SampleLog.read(path)
                    for seed in seeds:
                        start = perf_counter()
                        runs.append(
                            run_split(
                                log,
                                folder / name / (unit or "default") / f"seed-{seed}",
                                seed=seed,
                                unit=unit,
                                objective=objective,
                                test_fraction=test_fraction,
                                n_trials=n_trials,
                            )
                        )
                        told = f"{name}, {runs[-1].unit}, seed {seed}: {perf_counter() - start:.0f} s"
                        console.print(escape(told))
                except InvalidInputError as error:
                    where = "" if unit is None else f" in {unit}"
                    console.print(escape(f"{name} is left out{where}: {error}"))
                    continue
                lines.append(summary(name, runs))
                splits[f"{name}, {runs[0].unit}"] = runs
    return lines, splits


def main(argv: Sequence[str] | None = None) -> None:
    """Convert a clone into a sample log, or report on logs.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public_logs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} trials of the search by default")
    commands = parser.add_subparsers(dest="command")
    told = commands.add_parser("report", help="train, evaluate and print the table")
    told.add_argument("log", nargs="+", type=Path, help="sample logs")
    told.add_argument(
        "--unit", action="append", choices=UNITS, help="unit of cost; may be given more than once"
    )
    told.add_argument("--seeds", nargs="+", type=int, default=[0], help="one split by group each")
    told.add_argument(
        "--test-fraction", type=float, default=0.4, help="share of the prompts that is set aside"
    )
    told.add_argument(
        "--objective", choices=OBJECTIVES, default="accuracy", help="coverage: a checker is at hand"
    )
    told.add_argument("--trials", type=int, help=f"of the search for a better belief; {_TRIALS} by default")
    told.add_argument("--out", type=Path, help="folder that keeps bundles and reports")
    told.add_argument("--json", action="store_true", help="print JSON in place of the table")
    made = commands.add_parser("convert", help="turn a clone that you have into a sample log")
    made.add_argument("source", choices=sorted(SOURCES))
    made.add_argument("clone", type=Path, help="folder of the clone")
    made.add_argument("--out", type=Path, required=True, help="the log: .jsonl, .jsonl.gz or .parquet")
    made.add_argument("--models", nargs="+", default=[], help=f"names of the source, or {ALL}; default: some")
    made.add_argument("--part", help="easy or hard; output or input; default: the first")
    made.add_argument("--prices", type=Path, help="TOML with dollars per million tokens, a table per model")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "convert":
            _convert(arguments)
        elif arguments.command == "report":
            _report(arguments)
        else:
            print("No logs were given: see python -m benchmarks.public_logs --help")
    except PlannerError as error:
        parser.error(str(error))


def _convert(arguments: argparse.Namespace) -> None:
    options = Options(
        models=tuple(arguments.models),
        part=arguments.part,
        prices=LIST_PRICES if arguments.prices is None else read_prices(arguments.prices),
    )
    log = SOURCES[arguments.source](arguments.clone, options)
    log.write(arguments.out)
    console = Console(stderr=True)
    console.print(escape(f"{arguments.out}: {log}. {log.about['note']}"))
    unpriced = [name for name, made in log.generators.items() if made.usd_per_mtok_out is None]
    if unpriced:
        console.print(escape(f"Without a price: {', '.join(unpriced)}; --prices gives them one."))


def _report(arguments: argparse.Namespace) -> None:
    lines, splits = report(
        arguments.log,
        units=arguments.unit or [None],
        seeds=arguments.seeds,
        objective=arguments.objective,
        test_fraction=arguments.test_fraction,
        n_trials=arguments.trials or (_QUICK if arguments.quick else _TRIALS),
        out=arguments.out,
    )
    if not lines:
        raise InvalidInputError("every log was left out, for the reasons above")
    if arguments.json:
        content = {
            "lines": [line._asdict() for line in lines],
            "splits": {name: [split._asdict() for split in runs] for name, runs in splits.items()},
            "geometric_mean": overall(lines),
        }
        encoded = msgspec.json.encode(msgspec.to_builtins(content, str_keys=True))
        print(msgspec.json.format(encoded, indent=1).decode())
    else:
        console = Console()
        print_lines(lines, console if console.is_terminal else Console(width=_WIDTH))


if __name__ == "__main__":
    main()
