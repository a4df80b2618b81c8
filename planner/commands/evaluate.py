"""``planner evaluate``: what a bundle is worth on prompts that it never saw.

Prompts that the bundle was trained on, and their near-duplicates, are left out and counted. Judging is left
to `training.evaluate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from planner.commands.terminal.options import (
    as_json,
    bootstrap_option,
    bundle_argument,
    figures_option,
    folder_option,
    seed_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument
from planner.commands.terminal.terminal import note, results, say_json
from planner.progress import progress_bars


@click.command("evaluate", short_help="Tell what a policy is worth on held-out prompts.")
@bundle_argument
@logs_argument
@folder_option("report", "Folder of report.json, report.md and the figures.")
@bootstrap_option()
@figures_option
@click.option(
    "--figure-width",
    type=click.FloatRange(2, 20),
    default=7.0,
    help="Width of the figures in inches; a column of a paper is 3.35 wide, a page 7.",
)
@seed_option
@as_json
def command(
    bundle: Path,
    logs: Logs,
    out: Path,
    figures: tuple[Literal["png", "svg", "pdf"], ...],
    figure_width: float,
    as_json: bool,
    **how: Any,
) -> None:
    """Evaluate a bundle on recorded prompts, against every baseline, with intervals.

    Prompts of LOG that the bundle was trained on are left out, so the log given to `planner train` can be
    given again.
    """
    from difficulty.errors import require
    from planner.bundle.folder import check_results_folder
    from planner.bundle.policy_bundle import PolicyBundle
    from planner.commands.terminal.held_out import held_out
    from training.evaluate import evaluate
    from training.report.canvas import FigureStyle

    require("matplotlib", extra="train")
    check_results_folder(out)
    loaded = PolicyBundle.load(bundle)
    unseen = held_out(loaded, logs.read())
    if unseen.n_left_out:
        renamed = f", {unseen.n_renamed} of them under other ids" if unseen.n_renamed else ""
        note(
            f"{unseen.n_left_out} prompts were trained on, belong to their groups or are near-duplicates of "
            f"them{renamed}; they are left out"
        )
    with progress_bars() as tell:
        style = FigureStyle(figures or ("png",), figure_width)
        report = evaluate(loaded, unseen.log, out=out, figures=style, progress=tell, **how)
    if as_json:
        say_json(report.to_json())
        return
    from planner.commands.tables.report import print_report

    console = results()
    print_report(console, report)
    console.print(f"\nAll tables, intervals and figures: {out / 'report.md'}", soft_wrap=True)
