"""The tables of ``planner demo``: example prompts with their plans, and forecasts beside what came.

It assumes a terminal of about 100 columns; every number comes from the demonstration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from difficulty.amounts import number
from planner.commands.tables.bundle import bundle_table, verdict_of_training
from planner.commands.tables.plan import plan_table
from planner.commands.tables.shared import allocation_name, new_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from training.demo.live import LiveDemo
    from training.demo.recorded import Demo

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


def live_table(demo: LiveDemo, *, everything: bool) -> Table:
    """Return one row per budget, or per budget and kind of plan: what was forecast, and what came."""
    unit = demo.runs[0].budget.unit.replace("_", " ")
    table = new_table("Forecast (95 %) before each run, and what came per problem")
    table.add_column("budget", justify="right")
    if everything:
        table.add_column("plans", no_wrap=True)
    for heading in ("accuracy", "came", unit, "came"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in demo.runs:
        if run.one_shot and not everything:
            continue
        accuracy, cost = run.inside
        kind = ["decided at once" if run.one_shot else "may react"] if everything else []
        table.add_row(
            number(run.budget.limit),
            *kind,
            "{:.2f} [{:.2f}, {:.2f}]".format(*run.forecast.accuracy),
            f"{run.accuracy:.2f} {_mark(accuracy)}",
            "{} [{}, {}]".format(*map(_short, run.forecast.cost)),
            f"{_short(run.cost)} {_mark(cost)}",
        )
    return table


def print_live(console: Console, demo: LiveDemo, file: object) -> None:
    """Print the message, a table of a row for each budget, and where the rest is."""
    held = [held for run in demo.runs for held in run.inside]
    console.print(
        f"Live: a language model of 0.9 M parameters drew {demo.collected.n_samples:,} samples, a policy was "
        f"trained on them, and solved {len(demo.prompts)} problems that neither had seen: {sum(held)} of "
        f"{len(held)} forecasts held (one in twenty may not).",
        style="bold",
    )
    console.print(live_table(demo, everything=False))
    console.print(f"All of it: {file}", soft_wrap=True)


def write_live(demo: LiveDemo, path: Path) -> Path:
    """Write what was collected, the table of all runs, and the books, as text."""
    from planner.commands.terminal.console import PlainConsole

    collected, log = demo.collected, demo.collected.log
    spent, usage = collected.usage, demo.usage
    seconds = sum(run.seconds for run in demo.runs)
    with path.open("w", encoding="utf-8") as file:
        console = PlainConsole(file=file, width=_WIDTH)
        console.print(
            f"Collected {collected.n_samples:,} samples"
            + ("" if log is None else f" of {len(log)} problems with {', '.join(log.generators)}")
            + f": {spent.output_tokens:,.0f} output tokens in {collected.seconds:.0f} s, "
            f"{spent.output_tokens / max(collected.seconds, 1e-9):,.0f} tokens/s",
            end="\n\n",
        )
        console.print(live_table(demo, everything=True))
        console.print(
            f"Ledger of the runs: {usage.samples:,.0f} samples, {usage.output_tokens:,.0f} output tokens "
            f"({usage.wasted_tokens:,.0f} of them wasted), {usage.prompt_tokens:,.0f} prompt tokens, "
            f"{usage.requests:,.0f} requests ({usage.failed_requests:,.0f} failed), "
            f"{usage.output_tokens / max(seconds, 1e-9):,.0f} tokens/s"
        )
        console.print(f"Log, bundle, outcomes and forecasts are in {path.parent}")
    return path


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
