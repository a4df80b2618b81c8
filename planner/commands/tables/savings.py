"""The screen of ``planner savings``: one message, one table, what collecting costs, and what to do next.

Every number comes from `training.savings`; a terminal of 80 columns shows all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from difficulty.amounts import amount, number
from planner.commands.tables.shared import new_table, percent
from planner.commands.terminal.console import Paragraph

if TYPE_CHECKING:
    from rich.console import Console

    from training.savings.savings import Savings

# Less than this share is told as nothing.
_LEAST: Final = 0.01
_ABOUT: Final = 0.9
# Training wants 20 prompts, and `planner train` sets 40 % of all aside.
_ENOUGH: Final = 34


def print_savings(console: Console, found: Savings, files: str) -> None:
    """Print what would have been saved."""
    console.print(Paragraph(message(found), style="bold"))
    console.print()
    console.print(_table(found))
    for line in (repayment(found), _single(found), _read_on(found)):
        if line:
            console.print(Paragraph(line))
    more = "" if found.data["n_prompts"] >= _ENOUGH else f"record {_ENOUGH} prompts or more, then "
    console.print(f"Next: {more}planner train {files}", soft_wrap=True)


def message(found: Savings) -> str:
    """Return what would have been saved, with its interval, and what did the work."""
    from training.savings.savings import surely_saves, told_of

    last = told_of(found.ways)
    target = f"{found.data['objective']} {found.today['value']:.3f}"
    today = f"{_today(found)}: {target} for {amount(found.today['cost'], found.data['unit'])} per prompt."
    if not surely_saves(last):
        if last["cost"] is None or last["saved_share"] < _LEAST:
            return f"{today} Nothing that this log can show would have cost less at equal {_kind(found)}."
        return (
            f"{today} {last['name'].capitalize()} would have cost {_percent(last['saved_share'])} less at "
            f"equal {_kind(found)}, but that may be chance: {_ends(last)}."
        )
    if last is not found.ways[-1]:
        return (
            f"{today} {last['name'].capitalize()} alone would have cost {number(last['cost'])} for the same "
            f"{_kind(found)}: {_percent(last['saved_share'])} less {_ends(last)}."
        )
    helped = [way for way in found.ways[:-1] if surely_saves(way) and way["saved_share"] >= _LEAST]
    best = max((way["saved_share"] for way in helped), default=0.0)
    # Of ways that save about as much, the simplest, which comes first.
    work = next((way["name"] for way in helped if way["saved_share"] >= _ABOUT * best), "")
    most = f" What did the work: {work}." if work else ""
    return (
        f"{today} The same {_kind(found)} would have cost {number(last['cost'])}: "
        f"{_percent(last['saved_share'])} less {_ends(last)}.{most}"
    )


def repayment(found: Savings) -> str:
    """Return what collecting cost and when it is repaid; empty in units that do not add up."""
    if not found.collecting:
        return ""
    cost, after = found.collecting["cost"], found.collecting["repaid_after"]
    spent = f"Collecting these {found.data['n_samples']:,} samples cost {_large(cost)} {_unit(found)}"
    if after is None:
        return f"{spent}, which these savings never repay."
    first, last = found.collecting["repaid_after_interval"]
    until = "never" if last is None else f"{last:,}"
    first_words = "–" if first is None else f"{first:,}"
    return f"{spent}, repaid after {after:,} prompts [{first_words}, {until}]."


def _table(found: Savings) -> Table:
    from training.savings.parts import NUMBER
    from training.savings.savings import told_of

    unit = _unit(found)
    table = new_table(f"At equal {_kind(found)}, per prompt")
    table.add_column("", overflow="fold", max_width=34)
    table.add_column(unit, justify="right", no_wrap=True)
    table.add_column("saved", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_row(_today(found), number(found.today["cost"]), "–", "")
    for way in found.ways:
        told = way is told_of(found.ways)
        if not told and way["name"] == NUMBER and abs(way["saved_share"] or 0.0) < _LEAST:
            continue
        if way["cost"] is None:
            table.add_row(way["name"], "never gets there", "–", "", style="dim")
            continue
        table.add_row(
            way["name"],
            number(way["cost"]),
            _saved(way["saved_share"]),
            "" if {percent(end) for end in way["saved_share_interval"]} == {"0 %"} else _ends(way),
            style="bold" if told else "",
        )
    return table


def _single(found: Savings) -> str:
    if found.data["most_samples"] > 1:
        return ""
    return (
        "What several samples of a prompt are worth, this log cannot tell: that needs answers or scores to "
        "choose by, or a checker that recognises right ones (--objective coverage)."
    )


def _read_on(found: Savings) -> str:
    data = found.data
    left = []
    if data["n_not_drawn"]:
        left.append(f"{data['n_not_drawn']:,} more were not needed")
    if data["n_left_out"]:
        left.append(f"{data['n_left_out']:,} lack samples and are left out")
    told = f" ({'; '.join(left)})" if left else ""
    return (
        f"Chosen on one half of {data['n_prompts']:,} prompts{told} and told of the other, the same for "
        "every prompt. Training may also choose by what a prompt says."
    )


def _today(found: Savings) -> str:
    today = found.today
    samples = "One sample" if today["n"] == 1 else f"{today['n']} samples"
    how = "" if today["n"] == 1 else f", {today['picking']}"
    return f"{samples} of {today['generator']} for everybody{how}"


def _kind(found: Savings) -> str:
    return str(found.data["objective"])


def _unit(found: Savings) -> str:
    return str(found.data["unit"]).replace("_", " ")


def _percent(share: float) -> str:
    return "nothing" if abs(share) < _LEAST else f"{100 * share:.0f} %"


def _saved(share: float) -> str:
    return _percent(share) if share > -_LEAST else f"costs {_percent(-share)} more"


def _ends(way: Mapping[str, Any]) -> str:
    low, high = way["saved_share_interval"]
    return f"[{percent(low)}, {percent(high)}]"


def _large(cost: float) -> str:
    """Write a total in words where it has many digits."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if size <= cost < 1e15:
            return f"{cost / size:.3g} {word}"
    return number(cost)
