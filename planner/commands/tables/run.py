"""The screen of ``planner run``: what came beside what was expected, why prompts stopped, and what was spent.

Every number comes from the summary of the run; a terminal of 80 columns shows all of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from difficulty.amounts import amount, number
from planner.commands.tables.shared import counted, new_table
from planner.commands.terminal.terminal import results

if TYPE_CHECKING:
    from planner.running.summary import RunSummary
    from policies.cost.usage import Usage

_WHY: Final = {
    "complete": "with all planned samples",
    "satisfied": "early by their rule",
    "budget": "at the budget",
    "limit": "at a limit of the run",
    "time": "at their deadline",
}

# From this share of samples without an answer on, how answers are extracted is in doubt.
_SILENT: Final = 0.5


def print_run(summary: RunSummary, out: Path, journal: Path | None) -> None:
    """Print the summary of a run, and where it goes on where not all is done."""
    table = new_table(f"Run of {amount(summary.n_prompts, 'prompts')}", show_header=False)
    table.add_column("what")
    table.add_column("figure")
    accuracy = "not known, as nothing says which answers are right"
    if summary.accuracy is not None and summary.accuracy_interval is not None:
        low, high = summary.accuracy_interval
        interval = f"95 % interval {low:.3f} to {high:.3f}"
        accuracy = f"{summary.accuracy:.3f} ({interval}, {summary.n_graded} graded)"
    table.add_row("accuracy", f"{accuracy}; expected {summary.objective} {summary.expected_accuracy:.3f}")
    withheld = summary.n_hard + summary.n_unsolvable
    told = f"; withheld {withheld}: {summary.n_hard} hard, {summary.n_unsolvable} unsolvable at any budget"
    table.add_row("answered", f"{summary.n_answered} of {summary.n_prompts}" + (told if withheld else ""))
    if summary.n_silent > _SILENT * summary.n_samples:
        told = f"none was found in {summary.n_silent:,} of {summary.n_samples:,} samples"
        empty = ": all of these are empty texts (a log may record neither texts nor answers)"
        table.add_row("answers", told + (empty if summary.n_empty >= summary.n_silent else ": see --extract"))
    unit = summary.unit.replace("_", " ")
    table.add_row("cost", f"{number(summary.cost)} {unit}; expected {number(summary.expected_cost)}")
    stopped = {_WHY.get(reason, reason): n for reason, n in summary.stop_reasons.items()}
    table.add_row("stopped", counted(stopped))
    table.add_row("failures", counted(summary.failures) or "none")
    table.add_row("spent", _spent(summary.usage))
    console = results()
    console.print(table)
    console.print(f"Outcomes: {out}", soft_wrap=True)
    if journal is not None:
        console.print(
            f"Not all is done: start again to go on; what is paid for is in {journal}", soft_wrap=True
        )


def _spent(usage: Usage) -> str:
    """List what was spent, without what was not."""
    parts = (
        (usage.samples, "samples", 0.0, ""),
        (usage.output_tokens, "output tokens", usage.wasted_tokens, "of them wasted"),
        (usage.prompt_tokens, "prompt tokens", usage.cached_prompt_tokens, "of them cached"),
        (usage.verifier_tokens, "verifier tokens", 0.0, ""),
        (usage.requests, "requests", usage.failed_requests, "of them failed"),
    )
    return ", ".join(
        f"{amount:,.0f} {what}" + (f" ({part:,.0f} {of_them})" if part else "")
        for amount, what, part, of_them in parts
        if amount
    )
