"""The suite's table, one line per log and unit, and what it comes to over all lines.

Multiples stand with their intervals and are said in words where they are never reached. What the numbers are
is left to `benchmarks.public.suite`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.public.suite import SHARES, Line, Number, geometric
from training.report.words import difference, ends, named, times

_SHOWN_TO_RULE: Final = 0.75


def print_lines(lines: Sequence[Line], console: Console) -> None:
    """Print the table and, below it, what did the work and the worst budget of each line."""
    console.print(_table(lines))
    for line in lines:
        worst, to_rule = (difference(found.value, found[1:]) for found in (line.worst, line.worst_to_rule))
        console.print(escape(f"{line.log}, {line.unit}: what did the work: {work_words(line)}."))
        console.print(
            escape(
                f"  Worst budget of any split: {worst} against the best static mix, {to_rule} against the "
                "best of the tuned rules."
            )
        )
    console.print(
        "Multiples: what the other costs over what ours costs at equal value, at these shares of the way "
        "from the cheapest static point to the static plateau. Gains: value at equal cost, mean over "
        "budgets. Means over splits; 95 % intervals are means of those of the splits, as if these erred "
        "together."
    )


def _table(lines: Sequence[Line]) -> Table:
    """Return one row per line, and the geometric mean over lines."""
    table = Table(title="What the policy is worth on prompts that it never saw")
    table.add_column("log, unit")
    table.add_column("prompts", justify="right")
    for share in SHARES:
        table.add_column(f"static / ours\nat {share:.0%}", justify="right")
    table.add_column(f"best rule / ours\nat {_SHOWN_TO_RULE:.0%}", justify="right")
    table.add_column("mean gain over\nbest rule", justify="right")
    for line in lines:
        table.add_row(
            escape(f"{line.log}, {line.unit}"),
            f"{line.n_train:,.0f} + {line.n_test:,.0f}, {line.n_splits}×",
            *(_times(line.static[share]) for share in SHARES),
            _times(line.rule[_SHOWN_TO_RULE]) if line.rule else "–",
            escape(difference(line.gain.value, line.gain[1:])),
        )
    total = overall(lines)
    rule = f"rule {_SHOWN_TO_RULE:.0%}"
    table.add_section()
    table.add_row(
        "geometric mean",
        "",
        *(times(total[f"static {share:.0%}"]) for share in SHARES),
        times(total[rule]) if rule in total else "–",
        "",
    )
    return table


def overall(lines: Sequence[Line]) -> dict[str, float | None]:
    """Return geometric means over lines, by ``static`` or ``rule`` and share; rules where lines have any."""
    found = {}
    for name in ("static", "rule"):
        for share in SHARES:
            known = [getattr(line, name)[share] for line in lines if getattr(line, name)]
            if known:
                found[f"{name} {share:.0%}"] = geometric(known).value
    return found


def work_words(line: Line) -> str:
    """Return the parts without which value is lost beyond the interval, and what each part is worth."""
    known = {part: number for part, number in line.work.items() if number.value is not None}
    ranked = sorted(known, key=lambda part: -(known[part].value or 0.0))
    sure = [part for part in ranked if (known[part].low or 0.0) > 0]
    told = "; ".join(f"{part} {difference(known[part].value, known[part][1:])}" for part in ranked)
    return f"{named(sure) if sure else 'no single part beyond its interval'} ({told})" if told else "–"


def _times(number: Number) -> str:
    return escape(f"{times(number.value)} {ends(number[1:])}")
