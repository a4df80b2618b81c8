"""``planner demo``: the whole offline loop on a log that ships with the package.

The work is left to `training.demo`, the tables to `planner.commands.tables`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from planner.commands.options import as_json, folder_option, seed_option
from planner.commands.terminal import print_json, progress_bars, results

if TYPE_CHECKING:
    from rich.table import Table

    from training.demo import Demo

__all__ = ["command"]

_N_EXAMPLES: Final = 6


@click.command("demo")
@folder_option("demo", "Folder of the bundle, the report and the plans.")
@click.option("--trials", type=click.IntRange(min=1), default=200, show_default=True, help="Optuna trials.")
@seed_option
@as_json
def command(out: Path, trials: int, seed: int, as_json: bool) -> None:
    """Train, evaluate and plan on an embedded log of a small language model."""
    from difficulty.errors import require

    for module in ("optuna", "matplotlib"):
        require(module, extra="train")
    from planner.commands.bundle_tables import bundle_table, verdict_of_training
    from planner.commands.plan_tables import plan_summary, plan_table
    from planner.commands.report_tables import print_report
    from training.demo import run_demo

    with progress_bars() as tell:
        demo = run_demo(out, n_trials=trials, seed=seed, progress=tell)
    if as_json:
        print_json(
            {
                "out": str(out),
                "verdict": demo.report.verdict,
                "comparison": demo.report.comparison,
                "plans": [{"budget": limit, **plan_summary(plans)} for limit, plans in demo.plans.items()],
            }
        )
        return
    console = results()
    console.print(bundle_table(demo.bundle, str(out / "policy")))
    console.print(verdict_of_training(demo.bundle), end="\n\n")
    for limit, plans in demo.plans.items():
        unit = demo.bundle.unit.replace("_", " ")
        console.print(
            plan_table(
                plans,
                title=f"Plans for {len(plans)} held-out prompts, {limit:g} {unit} per prompt on average",
            )
        )
    console.print(_examples(demo))
    print_report(console, demo.report)
    console.print(f"\nReport and figures: {out / 'report'}   bundle: {out / 'policy'}", soft_wrap=True)


def _examples(demo: Demo) -> Table:
    """Return some prompts, from those that look easy to those that look hard, with their plan per budget."""
    from planner.commands.tables import allocation_name, new_table

    cheap, *_ = demo.plans.values()
    order = sorted(range(len(demo.prompts)), key=lambda index: -cheap[index].expected_accuracy)
    picks = [order[round(step * (len(order) - 1) / (_N_EXAMPLES - 1))] for step in range(_N_EXAMPLES)]
    shown = new_table("Some of them, from easy to hard: plan and expected success")
    shown.add_column("prompt", overflow="fold", ratio=2)
    for limit in demo.plans:
        shown.add_column(f"budget {limit:g}", ratio=1)
    for pick in picks:
        cells = []
        for plans in demo.plans.values():
            plan = plans[pick]
            cells.append(f"{allocation_name(plan.allocation)}: {plan.expected_accuracy:.2f}")
        shown.add_row(demo.prompts[pick].content, *cells)
    return shown
