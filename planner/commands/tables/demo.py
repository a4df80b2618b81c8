"""The tables of ``planner demo``: example prompts with their plans, and forecasts beside what came.

It assumes a terminal of about 100 columns; every number comes from the demonstration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from planner.commands.tables.bundle import bundle_table, verdict_of_training
from planner.commands.tables.plan import plan_table
from planner.commands.tables.shared import allocation_name, new_table, number

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from training.demo.live import LiveDemo
    from training.demo.recorded import Demo

__all__ = ["examples", "live_summary", "live_table", "print_live", "write_examples"]

_N_EXAMPLES: Final = 6
_WIDTH: Final = 110


def examples(demo: Demo) -> Table:
    """Return some prompts, from those that look easy to those that look hard, with their plan per budget."""
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


def write_examples(demo: Demo, path: Path) -> Path:
    """Write what was trained, what the plans buy at each budget, and the plans of some prompts, as text."""
    from planner.commands.terminal.console import PlainConsole

    unit = demo.bundle.unit.replace("_", " ")
    with path.open("w", encoding="utf-8") as file:
        console = PlainConsole(file=file, width=_WIDTH)
        console.print(bundle_table(demo.bundle, "policy"))
        console.print(verdict_of_training(demo.bundle), end="\n\n")
        for limit, plans in demo.plans.items():
            title = f"Plans for {len(plans)} held-out prompts, {limit:g} {unit} per prompt on average"
            console.print(plan_table(plans, title=title))
        console.print(examples(demo))
    return path


def live_table(demo: LiveDemo) -> Table:
    """Return one row per budget and mode: what was forecast, and what came."""
    unit = demo.runs[0].budget.unit.replace("_", " ")
    table = new_table(
        f"{len(demo.prompts)} fresh problems run live, {unit} each; 95 % intervals, made before the run"
    )
    table.add_column("budget", justify="right")
    table.add_column("plans", no_wrap=True)
    for heading in ("expected accuracy", "came", "expected cost", "came"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in demo.runs:
        accuracy, cost = run.inside
        table.add_row(
            number(run.budget.limit),
            "one-shot" if run.one_shot else "all courses",
            "{:.2f} [{:.2f}, {:.2f}]".format(*run.forecast.accuracy),
            f"{run.accuracy:.2f} {_mark(accuracy)}",
            "{} [{}, {}]".format(*map(_short, run.forecast.cost)),
            f"{_short(run.cost)} {_mark(cost)}",
        )
    return table


def print_live(console: Console, demo: LiveDemo, out: object) -> None:
    """Print what was collected, the table of runs, and the books."""
    collected, log = demo.collected, demo.collected.log
    spent = collected.usage
    console.print(
        f"Collected {collected.n_samples:,} samples"
        + ("" if log is None else f" of {len(log)} problems with {', '.join(log.generators)}")
        + f": {spent.output_tokens:,.0f} output tokens in {collected.seconds:.0f} s, "
        f"{spent.output_tokens / max(collected.seconds, 1e-9):,.0f} tokens/s",
        soft_wrap=True,
    )
    console.print(live_table(demo))
    held = [held for run in demo.runs for held in run.inside]
    usage, seconds = demo.usage, sum(run.seconds for run in demo.runs)
    console.print(
        f"{sum(held)} of {len(held)} lie inside their intervals (✓); by chance one in twenty may not."
    )
    console.print(
        f"Ledger of the runs: {usage.samples:,.0f} samples, {usage.output_tokens:,.0f} output tokens "
        f"({usage.wasted_tokens:,.0f} of them wasted), {usage.prompt_tokens:,.0f} prompt tokens, "
        f"{usage.requests:,.0f} requests ({usage.failed_requests:,.0f} failed), "
        f"{usage.output_tokens / max(seconds, 1e-9):,.0f} tokens/s",
        soft_wrap=True,
    )
    console.print(f"Log, bundle, outcomes and forecasts: {out}", soft_wrap=True)


def live_summary(demo: LiveDemo) -> dict[str, Any]:
    """Return collection, forecasts, runs and ledgers as JSON values."""
    collected = demo.collected
    return {
        "n_prompts": len(demo.prompts),
        "collected": {
            "n_samples": collected.n_samples,
            "usage": msgspec.to_builtins(collected.usage),
            "seconds": collected.seconds,
        },
        "runs": [
            {
                **msgspec.to_builtins(run),
                "inside": dict(zip(("accuracy", "cost"), run.inside, strict=True)),
            }
            for run in demo.runs
        ],
        "usage": msgspec.to_builtins(demo.usage),
    }


def _short(cost: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def _mark(held: bool) -> str:
    return "✓" if held else "✗"
