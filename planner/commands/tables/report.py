"""The main tables of an evaluation, for a terminal of about 100 columns.

Every number comes from the report; the whole of it, with all intervals, is in its Markdown form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from planner.commands.tables.shared import new_table, number

if TYPE_CHECKING:
    from rich.console import Console

    from training.report.report import Report

__all__ = ["print_report"]


def print_report(console: Console, report: Report) -> None:
    """Print the verdict and the main tables of an evaluation."""
    from training.report.names import STATIC

    console.print(_ours_table(report))
    if report.uniform:
        console.print(_uniform_table(report))
    console.print(
        _multiples_table(
            report.comparison["cost_multiples"],
            f"Cost of the best static mix over each policy's, at equal {report.data['objective']} "
            "(above 1 saves)",
            hidden=(STATIC,),
        )
    )
    if report.work:
        console.print(_versus_table(report.work, report, "What did the work: lost without it, at equal cost"))
    if report.rivals:
        console.print(_versus_table(report.rivals, report, "Ours minus each, at equal cost"))
    if report.promises:
        console.print(_promises_table(report))
    if report.data["n_left_out"]:
        console.print(
            Text(
                f"{report.data['n_left_out']} prompts lack samples of what is compared and are left out",
                "dim",
            )
        )
    console.print(Text(report.verdict, style="bold"))


def _ours_table(report: Report) -> Table:
    """Return our policy beside the best static mix, budget by budget."""
    from training.report.names import OURS, STATIC

    objective, unit = report.data["objective"], report.data["unit"].replace("_", " ")
    table = new_table(f"{objective.capitalize()} at equal cost, {report.data['n_prompts']} held-out prompts")
    for heading in (f"{unit} per prompt", STATIC, OURS, "difference", "95 % interval", "spent"):
        table.add_column(heading, justify="right", no_wrap=heading == "95 % interval")
    rows = report.comparison["at_equal_cost"]
    spent = {row["budget"]: f"{row['realised_over_budget']:.1%}" for row in report.budgets}
    for ours, static in zip(rows[OURS], rows[STATIC], strict=True):
        if ours["value"] is None or static["value"] is None:
            continue
        beyond = _beyond(ours["difference_interval"])
        table.add_row(
            number(ours["budget"]),
            f"{static['value']:.3f}",
            f"{ours['value']:.3f}",
            f"{ours['difference']:+z.3f}",
            _signed_interval(ours["difference_interval"]),
            spent.get(ours["budget"], "–"),
            style="green" if beyond > 0 else "red" if beyond < 0 else "",
        )
    return table


def _uniform_table(report: Report) -> Table:
    """Return what is saved against the same number of samples for every prompt."""
    most, objective = report.uniform["most"], report.data["objective"]
    table = new_table(
        f"Against equally many samples for every prompt, which reach {objective} {most['value']:.3f} at "
        f"{number(most['cost'])}"
    )
    for heading in ("of the way there", objective, "uniform N costs", "ours costs", "saved"):
        table.add_column(heading, justify="right")
    for row in report.uniform["rows"]:
        never = row["cost"] is None
        low, high = row["saved_share_interval"]
        saved = f"{row['saved_share'] or 0:.0%} [{_percent(low)}, {_percent(high)}]"
        table.add_row(
            f"{row['share']:.0%}",
            f"{row['value']:.3f}",
            f"{number(row['uniform_cost'])} (N={row['n']})",
            "never reached" if never else number(row["cost"]),
            "–" if never else saved,
        )
    return table


def _multiples_table(multiples: Mapping[str, Any], title: str, *, hidden: Sequence[str]) -> Table:
    """Return cost multiples at the three upper shares of the way; the first quarter is in the report."""
    from training.report.names import BEST_RULE, OURS
    from training.report.words import multiple

    table = new_table(title)
    table.add_column("share of the way to its plateau", overflow="fold", min_width=20)
    for row in next(iter(multiples.values()))[-3:]:
        table.add_column(f"{row['way_to_plateau']:.0%}", justify="right", no_wrap=True)
    for name, rows in multiples.items():
        if name not in hidden and not name.startswith(("uniform", "Damani")):
            cells = [Text(multiple(row).split(" (")[0]) for row in rows[-3:]]
            table.add_row(name, *cells, style="bold" if name in (OURS, BEST_RULE) else "")
    return table


def _versus_table(others: Mapping[str, Any], report: Report, title: str) -> Table:
    """Return differences at equal cost, budget by budget, and their mean."""
    from training.report.names import BEST_RULE

    table = new_table(f"{title} (▲ ▼: beyond the 95 % interval)")
    table.add_column(f"{report.data['unit'].replace('_', ' ')} per prompt", overflow="fold", min_width=17)
    for budget in report.comparison["budgets"]:
        table.add_column(number(budget), justify="right", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    for name, rows in others.items():
        cells = [_marked(row) for row in (*rows["at_equal_cost"], rows["mean_difference"])]
        table.add_row(name, *cells, style="bold" if name == BEST_RULE else "")
    return table


def _promises_table(report: Report) -> Table:
    """Return what plans told and what they brought at the middle budget, by fifth of what was told."""
    row = report.promises[len(report.promises) // 2]
    table = new_table(
        f"Promises at {number(row['budget'])}: expected {report.data['objective']} and what came of it"
    )
    for heading in ("fifth", "told", "realised", "95 % interval", "cost told", "cost realised"):
        table.add_column(heading, justify="right")
    for at, fifth in enumerate(row["fifths"], start=1):
        low, high = fifth["interval"]
        table.add_row(
            str(at),
            f"{fifth['told']:.3f}",
            f"{fifth['realised']:.3f}",
            f"[{low:.3f}, {high:.3f}]",
            number(fifth["told_cost"]),
            number(fifth["realised_cost"]),
            style="" if fifth["held"] else "red",
        )
    return table


def _marked(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "–"
    return f"{row['difference']:+z.3f} {' ▲▼'[_beyond(row['interval'])]}"


def _beyond(interval: Sequence[float | None]) -> int:
    """Return 1 or -1 where an interval lies above or below 0, else 0."""
    low, high = interval
    if low is not None and low > 0:
        return 1
    return -1 if high is not None and high < 0 else 0


def _percent(end: float | None) -> str:
    return "–" if end is None else f"{end:.0%}"


def _signed_interval(ends: Sequence[float | None]) -> str:
    return "[" + ", ".join("–" if end is None else f"{end:+z.3f}" for end in ends) + "]"
