"""``planner compare``: which strategy pays at which difficulty, on recorded samples, at equal cost.

It needs a log with independent samples and, beside them, revision chains or runs of searches. Comparing is
left to `training.strategies.compare`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from planner.commands.terminal.options import (
    as_json,
    bootstrap_option,
    figures_option,
    folder_option,
    seed_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument
from planner.commands.terminal.terminal import results, say_json
from planner.progress import progress_bars

if TYPE_CHECKING:
    from rich.console import Console

    from training.strategies.report import StrategyComparison


@click.command("compare", short_help="Compare sampling, revision and search at equal cost.")
@logs_argument
@folder_option("strategies", "Folder of strategies.json, strategies.md and strategies.png.")
@click.option("--generator", metavar="NAME", help="By default the only one with chains or runs.")
@click.option(
    "--unit",
    type=click.Choice(["total_tokens", "output_tokens", "samples"]),
    default="total_tokens",
    help="total_tokens: with re-sent prompts and what a reward model reads; else scoring is free.",
)
@click.option("--bins", type=click.IntRange(1, 10), default=4, help="Quantiles of difficulty.")
@click.option(
    "--difficulty",
    type=click.Choice(["observed", "score"]),
    default="observed",
    help="What tells difficulty on the half of the samples that scores nothing: right ones, or mean score.",
)
@click.option(
    "--prefix-cache",
    is_flag=True,
    help="Count a question once, and what is re-sent not at all, as where caches hold it.",
)
@bootstrap_option(1000)
@figures_option
@seed_option
@as_json
def command(
    logs: Logs,
    out: Path,
    figures: tuple[Literal["png", "svg", "pdf"], ...],
    as_json: bool,
    **how: Any,
) -> None:
    """Compare parallel sampling, revision and search at equal cost, by difficulty, with intervals.

    LOG holds independent samples of one generator, and revision chains or runs of searches on the same
    prompts (`planner collect --strategy`); several files are read as one.
    """
    from difficulty.errors import require
    from planner.bundle.folder import check_results_folder
    from training.strategies.compare import compare_strategies

    require("matplotlib", extra="train")
    check_results_folder(out)
    with progress_bars() as tell:
        report = compare_strategies(logs.read(), out, figures=figures or ("png",), progress=tell, **how)
    if as_json:
        say_json(report.to_json())
        return
    console = results()
    _print(console, report)
    console.print(f"\nAll tables and the figure: {out / 'strategies.md'}", soft_wrap=True)


def _print(console: Console, report: StrategyComparison) -> None:
    """Print what was found, and the differences to parallel sampling at the largest budget."""
    from rich.text import Text

    from planner.commands.tables.shared import new_table
    from training.strategies.sections import over

    for sentence in report.answers:
        console.print(Text(sentence), style="bold")
    console.print()
    largest = report.groups[0]["kinds"][-1]
    names = [name for name in largest["kinds"] if name != "parallel"]
    table = new_table(f"Difference to the best parallel strategy at the cost of {largest['n']} samples")
    for heading in ("difficulty", "prompts", "parallel", *names):
        table.add_column(heading, justify="left" if heading == "difficulty" else "right")
    for group in report.groups:
        kinds = group["kinds"][-1]["kinds"]
        told = [over(kinds[name], "parallel") if name in kinds else "–" for name in names]
        cells = [words.replace(" ", "\n", 1) for words in told]
        parallel = f"{kinds['parallel']['value']:.3f}"
        table.add_row(group["name"], str(group["n_prompts"]), parallel, *cells)
    console.print(table)
