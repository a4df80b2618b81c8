"""The screen of an evaluation: what would be saved, one table, and how it stands against what else there is.

Every number comes from the report, whose Markdown form has all tables; a terminal of 80 columns shows all of
this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table

from planner.commands.tables.shared import amount, new_table, number, percent
from planner.commands.terminal.console import Paragraph

if TYPE_CHECKING:
    from rich.console import Console

    from training.report.report import Report

_SHARE: Final = 0.9


def print_report(console: Console, report: Report) -> None:
    """Print the message, the table of what is saved, and what it is compared with."""
    print_savings(console, report)
    console.print(Paragraph(_standing(report)))
    if report.labels:
        from training.report.labels import labels_sentence

        console.print(labels_sentence(report.labels))
    if report.data["n_left_out"]:
        left = f"{report.data['n_left_out']} prompts lack samples of what is compared and are left out"
        console.print(left, style="dim")
    if report.data["n_courses_given_up"]:
        n = report.data["n_courses_given_up"]
        left = f"{n} ways to spend samples are not compared, as few prompts have the samples for them"
        console.print(left, style="dim")
    renamed = report.data["n_renamed"] + report.data["n_reworded"]
    if renamed:
        left = f"{renamed} prompts were trained on under other ids, in nearly these words, and are left out"
        console.print(left, style="dim")


def print_savings(console: Console, report: Report) -> None:
    """Print the message, and the table of what is saved."""
    console.print(Paragraph(saved_message(report), style="bold"))
    if report.uniform:
        console.print()
        console.print(_uniform_table(report))


def saved_message(report: Report) -> str:
    """Return what is saved against the same N for everybody, and what did the work."""
    from training.report.verdict import nothing_deployed

    if nothing_deployed(report.bundle["training"]):
        return (
            "Nothing special was shown to pay on the training prompts, so that the policy gives everybody "
            "the best fixed number of samples, or by lot one of the two best." + _gain(report)
        )
    if not report.uniform:
        return f"{report.data['n_prompts']:,} prompts that were not trained on.{_work(report)}"
    return f"{_gain(report).strip()}{_work(report)}"


def _gain(report: Report) -> str:
    if not report.uniform:
        return ""
    row = next(row for row in report.uniform["rows"] if row["share"] == _SHARE)
    kind = report.data["objective"]
    picking, comma, generator = row["name"].removeprefix("uniform ").partition(", ")
    picking = picking.replace("_", " ").replace("weighted best-of-N by", "a vote weighed by")
    picking = picking.replace("best-of-N by", "the best by")
    picking = picking.replace("mean logprob", "log-probability")
    # One sample needs no picking.
    how = f"{picking}{comma}{generator}" if row["n"] > 1 or not comma else generator
    samples, reach = (f"up to {row['n']} samples", "reach") if row["n"] > 1 else ("one sample", "reaches")
    target = f"{kind} {row['value']:.3f}"
    today = f"{amount(row['uniform_cost'], report.data['unit'])} per prompt"
    if row["cost"] is None:
        return (
            f" What {samples} for everybody ({how}) {reach}, {target} for {today}, the policy never reaches: "
            f"{row['missing']:.3f} is missing.{_surely(report)}"
        )
    saved, (low, high) = row["saved_share"], row["saved_share_interval"]
    word, told = ("less", saved) if saved >= 0 else ("more", -saved)
    ends = (low, high) if saved >= 0 else [None if end is None else -end for end in (high, low)]
    paid = f" For {target}, {samples} for everybody ({how}) cost {today}"
    if {percent(end) for end in (saved, low, high)} - {percent(None)} == {"0 %"}:
        return f"{paid}, and the policy as much.{_surely(report)}"
    chance = ", which may be chance" if (ends[0] is None or ends[0] <= 0) else ""
    below = _surely(report) if chance or saved < 0 else ""
    return (
        f"{paid} and the policy {number(row['cost'])}: {percent(told)} {word} [{percent(ends[0])}, "
        f"{percent(ends[1])}]{chance}.{below}"
    )


def _surely(report: Report) -> str:
    """Return what is surely saved at less accuracy than most of the way to the best, if anything."""
    sure = [
        row
        for row in report.uniform["rows"]
        if row["share"] < _SHARE and row["cost"] is not None and (row["saved_share_interval"][0] or 0) > 0
    ]
    if not sure:
        return ""
    row = max(sure, key=lambda row: float(row["share"]))
    low, high = row["saved_share_interval"]
    kind = report.data["objective"]
    return (
        f" For {kind} {row['value']:.3f} it surely costs less: {percent(row['saved_share'])} "
        f"[{percent(low)}, {percent(high)}]."
    )


def _work(report: Report) -> str:
    """Return which parts of the policy did the work, best first."""
    from training.report.words import named

    gains = {part: row["mean_difference"] for part, row in report.work.items()}
    sure = [part for part, gain in gains.items() if (gain["interval"][0] or 0) > 0]
    ranked = sorted(sure, key=lambda part: -gains[part]["difference"])
    if not gains:
        return ""
    return f" What did the work: {named(ranked) if ranked else 'no single part for sure'}."


def _uniform_table(report: Report) -> Table:
    """Return what is saved against the same number of samples for every prompt."""
    unit, kind = report.data["unit"].replace("_", " "), report.data["objective"]
    table = new_table(
        f"{unit.capitalize()} for the same {kind}, {report.data['n_prompts']:,} prompts (N: samples of each)"
    )
    for heading in (kind, "the same N for everybody", "the policy", "saved", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.uniform["rows"]:
        never = row["cost"] is None
        low, high = row["saved_share_interval"]
        table.add_row(
            f"{row['value']:.3f}",
            f"{number(row['uniform_cost'])} (N ≤ {row['n']})",
            "never" if never else number(row["cost"]),
            "–" if never else percent(row["saved_share"]),
            "–" if never else f"[{percent(low)}, {percent(high)}]",
            style="bold" if row["share"] == _SHARE else "",
        )
    return table


def _standing(report: Report) -> str:
    """Return how the policy stands, at equal cost, against the best that is simpler."""
    from training.report.names import BEST_RULE, OURS

    kind = report.data["objective"]
    rows = [row for row in report.comparison["at_equal_cost"][OURS] if row["value"] is not None]
    fixed = _counted([row["difference_interval"] for row in rows])
    lines = [f"At equal cost its {kind}, against the best fixed numbers of samples for everybody, is {fixed}"]
    if BEST_RULE in report.rivals:
        found = report.rivals[BEST_RULE]
        mean = found["mean_difference"]
        if mean["difference"] is not None:
            low, high = ("–" if end is None else f"{end:+z.3f}" for end in mean["interval"])
            lines.append(
                f"; against the best known rule for when to stop, {mean['difference']:+z.3f} [{low}, {high}] "
                "on average"
            )
    return "".join(lines) + "."


def _counted(intervals: Sequence[Sequence[float | None]]) -> str:
    """Count gains and losses beyond their intervals, in the same words."""
    better = sum((low or 0) > 0 for low, _ in intervals)
    worse = sum((high or 0) < 0 for _, high in intervals)
    return f"surely higher at {better} of {len(intervals)} budgets and surely lower at {worse}"
