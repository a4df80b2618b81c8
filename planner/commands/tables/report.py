"""The screen of an evaluation: what would be saved, one table, and how it stands against what else there is.

Sentences are those of the report, whose Markdown form has all tables; a terminal of 80 columns shows all of
this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from difficulty.amounts import number
from planner.commands.tables.shared import new_table
from planner.commands.terminal.console import Paragraph

if TYPE_CHECKING:
    from rich.console import Console

    from training.report.report import Report

_SHARE: Final = 0.9


def print_report(console: Console, report: Report) -> None:
    """Print the message, the table of what is saved, and what it is compared with."""
    print_savings(console, report)
    console.print(Paragraph(report.standing))
    for note in report.notes():
        console.print(Paragraph(note, style="dim"))


def print_savings(console: Console, report: Report) -> None:
    """Print the message, the table of what is saved, and what did the work."""
    if report.saving:
        console.print(Paragraph(report.saving, style="bold"))
    if report.uniform:
        console.print()
        console.print(_uniform_table(report))
    if report.what_did_the_work:
        console.print(Paragraph(report.what_did_the_work))


def _uniform_table(report: Report) -> Table:
    """Return what is saved against the same number of samples for every prompt."""
    from training.report.words import shares

    unit, kind = report.data["unit"].replace("_", " "), report.data["objective"]
    table = new_table(f"{unit.capitalize()} for the same {kind}, {report.data['n_prompts']:,} prompts")
    for heading in (kind, "the same N for everybody", "the policy", "saved, 95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.uniform["rows"]:
        never = row["cost"] is None
        table.add_row(
            f"{row['value']:.3f}",
            f"{number(row['uniform_cost'])} (N ≤ {row['n']})",
            "never" if never else number(row["cost"]),
            "–" if never else shares(row["saved_share"], row["saved_share_interval"]),
            style="bold" if row["share"] == _SHARE else "",
        )
    return table
