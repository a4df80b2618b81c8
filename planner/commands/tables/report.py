"""The main tables of an evaluation, for a terminal of about 100 columns.

Every number comes from the report; the whole of it, with all intervals, is in its Markdown form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from planner.commands.tables.shared import new_table, number

if TYPE_CHECKING:
    from rich.console import Console

    from training.report.report import Report

__all__ = ["print_report"]

_STATIC: Final = "best static mix"
_LEARNED: Final = "learned"
_BOLD: Final = (_LEARNED, "adaptive", _STATIC)
_BEST_RIVAL: Final = "best of the tuned rules"
_PARTS: Final = ("predictor", "stopping", "menu", "all")


def print_report(console: Console, report: Report) -> None:
    """Print the verdict and the main tables of an evaluation."""
    console.print(_learned_table(report))
    console.print(_multiple_table(report))
    console.print(_policies_table(report))
    if report.uniform:
        console.print(_uniform_table(report))
    if report.rivals:
        console.print(_rivals_table(report))
    if report.regret.get("parts"):
        console.print(_regret_table(report))
    console.print(Text(report.verdict, style="bold"))
    if report.adaptive_verdict:
        console.print(Text(f"\n{report.adaptive_verdict}"))


def _learned_table(report: Report) -> Table:
    """Return the learned policy beside the best static mix, budget by budget."""
    objective, unit = report.data["objective"], report.data["unit"].replace("_", " ")
    table = new_table(f"{objective.capitalize()} at equal cost, {report.data['n_prompts']} held-out prompts")
    for heading in (f"{unit} per prompt", _STATIC, "learned policy", "difference", "95 % interval"):
        table.add_column(heading, justify="right")
    rows = report.comparison["at_equal_cost"]
    for ours, static in zip(rows[_LEARNED], rows[_STATIC], strict=True):
        if ours["value"] is None or static["value"] is None:
            continue
        table.add_row(
            number(ours["budget"]),
            f"{static['value']:.3f}",
            f"{ours['value']:.3f}",
            f"{ours['difference']:+z.3f}",
            _signed_interval(ours["difference_interval"]),
            style="green" if _beyond(ours) > 0 else "red" if _beyond(ours) < 0 else "",
        )
    return table


def _uniform_table(report: Report) -> Table:
    """Return what the adaptive policy saves against the same number of samples for every prompt."""
    most, objective = report.uniform["most"], report.data["objective"]
    table = new_table(
        f"Adaptive policy against equally many samples for every prompt, which reach {objective} "
        f"{most['value']:.3f} at {number(most['cost'])}"
    )
    for heading in ("share of that", "uniform costs", "adaptive costs", "times less", "than all of it"):
        table.add_column(heading, justify="right")
    for row in report.uniform["rows"]:
        costs = ("–" if row[key] is None else number(row[key]) for key in ("uniform_cost", "cost"))
        multiples = (
            _multiple({"multiple": row[key], "interval": row[f"{key}_interval"]})
            for key in ("multiple", "multiple_of_all")
        )
        table.add_row(f"{row['share']:.0%}", *costs, *multiples)
    return table


def _multiple_table(report: Report) -> Table:
    """Return what the best static mix costs, as a multiple of each policy's cost, at equal accuracy."""
    multiples = report.comparison["cost_multiples"]
    table = new_table(
        f"Cost of the best static mix over the policy's, at equal {report.data['objective']} (above 1 saves)"
    )
    table.add_column("share of the way to its plateau", overflow="fold", min_width=22)
    shown = multiples[_LEARNED][-3:]  # the first quarter of the way is in the report
    for row in shown:
        table.add_column(f"{row['way_to_plateau']:.0%}", justify="right", no_wrap=True)
    for name, rows in multiples.items():
        if name != _STATIC and not name.startswith("uniform"):
            cells = [_multiple(row) for row in rows[-3:]]
            table.add_row(name, *cells, style="bold" if name in _BOLD else "")
    return table


def _policies_table(report: Report) -> Table:
    """Return every policy's value at every budget, marked where it surely differs from static."""
    table = new_table(
        f"{report.data['objective'].capitalize()} of every policy at equal cost "
        f"(▲ ▼: beyond its 95 % interval of the {_STATIC})"
    )
    table.add_column(f"{report.data['unit'].replace('_', ' ')} per prompt", overflow="fold")
    for budget in report.comparison["budgets"]:
        table.add_column(number(budget), justify="right", no_wrap=True)
    for name, rows in report.comparison["at_equal_cost"].items():
        cells = ["–" if r["value"] is None else f"{r['value']:.3f} {' ▲▼'[_beyond(r)]}" for r in rows]
        table.add_row(name, *cells, style="bold" if name in _BOLD else "")
    return table


def _rivals_table(report: Report) -> Table:
    """Return what each tuned stopping rule and ablation costs as a multiple of the adaptive policy's cost."""
    multiples = report.rivals["cost_multiples"]
    table = new_table(
        f"Cost of other rules over the adaptive policy's, at equal {report.data['objective']} (above 1: ours "
        "is cheaper)"
    )
    table.add_column("share of the way to the static plateau", overflow="fold", min_width=28)
    for row in next(iter(multiples.values()))[-3:]:
        table.add_column(f"{row['way_to_plateau']:.0%}", justify="right", no_wrap=True)
    for name, rows in multiples.items():
        cells = ["–" if row["both_fail"] else _multiple(row) for row in rows[-3:]]
        table.add_row(name, *cells, style="bold" if name == _BEST_RIVAL else "")
    return table


def _regret_table(report: Report) -> Table:
    """Return what the adaptive policy loses to hindsight at each budget, part by part."""
    table = new_table(f"{report.data['objective'].capitalize()} that the adaptive policy loses to hindsight")
    table.add_column(f"{report.data['unit'].replace('_', ' ')} per prompt", justify="right")
    for part in _PARTS:
        table.add_column(part, justify="right")
    for row in report.regret["parts"]:
        cells = [
            "–"
            if row[part] is None
            else f"{row[part]['value']:+z.3f}\n{_signed_interval(row[part]['interval'])}"
            for part in _PARTS
        ]
        table.add_row(number(row["budget"]), *cells)
    return table


def _beyond(row: dict[str, Any]) -> int:
    """Return 1 or -1 where the difference to static has an interval above or below 0, else 0."""
    low, high = row.get("difference_interval") or (None, None)
    if low is not None and low > 0:
        return 1
    return -1 if high is not None and high < 0 else 0


def _multiple(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{_times(row['multiple'])} [{_times(low)}, {_times(high)}]"


def _times(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"


def _signed_interval(ends: Sequence[float | None]) -> str:
    return "[" + ", ".join("–" if end is None else f"{end:+z.3f}" for end in ends) + "]"
