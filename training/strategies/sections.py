"""Sections of the comparison of strategies: every strategy at equal cost, and how much in sequence.

Every number comes from the tables that `training.strategies.compare` made. The other sections are in
`training.strategies.report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from training.report.markdown import as_text

__all__ = ["SELECTIONS", "ends", "family_section", "over", "share_section"]

Groups: TypeAlias = Sequence[Mapping[str, Any]]

SELECTIONS: Final = {"majority": "by vote", "hierarchical": "by score"}


def share_section(groups: Groups) -> str:
    """Return the tables of width × depth, at equal N and at equal cost; empty without chains."""
    if not groups[0]["shapes"]:
        return ""
    lines = [
        "## How much in sequence",
        "",
        "N samples as width × depth: `width` chains of `depth` attempts. Shown: the difference to all "
        "parallel, and in how many replicates the shape is the best of its row.",
    ]
    for place, shapes in enumerate(groups[0]["shapes"]):
        lines += ["", f"### Revisions selected {SELECTIONS[shapes['selection']]}, at equal N"]
        for row in range(len(shapes["at_equal_n"])):
            lines += ["", *_equal_n(groups, place, row)]
        lines += [
            "",
            f"### Revisions selected {SELECTIONS[shapes['selection']]}, at equal cost",
            "",
            "Each depth with as many chains as the cost of N parallel samples buys.",
        ]
        for row in range(len(shapes["at_equal_cost"])):
            lines += ["", *_equal_cost(groups, place, row)]
    return "\n".join(lines)


def _equal_n(groups: Groups, place: int, row: int) -> list[str]:
    first = groups[0]["shapes"][place]["at_equal_n"][row]
    lines = [
        f"| N = {first['n']} | " + " | ".join(f"{s['width']} × {s['depth']}" for s in first["shapes"]) + " |",
        "|---|" + "---|" * len(first["shapes"]),
    ]
    for group in groups:
        found = group["shapes"][place]["at_equal_n"][row]
        lines.append(f"| {group['name']} | " + " | ".join(_shape(s) for s in found["shapes"]) + " |")
    return lines


def _equal_cost(groups: Groups, place: int, row: int) -> list[str]:
    n = groups[0]["shapes"][place]["at_equal_cost"][row]["n"]
    tables = [
        next((r for r in group["shapes"][place]["at_equal_cost"] if r["n"] == n), None) for group in groups
    ]
    depths = sorted({d["depth"] for table in tables if table for d in table["depths"]})
    lines = [
        f"| cost of N = {n} | " + " | ".join(f"depth {depth}" for depth in depths) + " |",
        "|---|" + "---|" * len(depths),
    ]
    for group, table in zip(groups, tables, strict=True):
        found = {d["depth"]: d for d in table["depths"]} if table else {}
        cells = [_shape(found[depth]) if depth in found else "–" for depth in depths]
        lines.append(f"| {group['name']} | " + " | ".join(cells) + " |")
    return lines


def family_section(group: Mapping[str, Any], unit: str) -> str:
    """Return every strategy at every budget in one group of prompts."""
    table = group["at_equal_cost"]
    names = list(dict.fromkeys(name for row in table for name in row["strategies"]))
    lines = [
        f"## Every strategy, {'all prompts' if group['name'] == 'all' else 'bin ' + group['name']}",
        "",
        "Accuracy, and the difference to the majority vote at equal cost; * more than its largest recorded "
        "size costs.",
        "",
        f"| {unit.replace('_', ' ')} | "
        + " | ".join(f"{row['budget']:.4g} (N = {row['n']})" for row in table)
        + " |",
        "|---|" + "---|" * len(table),
    ]
    for name in names:
        cells = []
        for row in table:
            found = row["strategies"].get(name)
            if found is None:
                cells.append("–")
                continue
            star = "*" if found["all_spent"] else ""
            difference = "" if name == names[0] else f" ({over(found, 'vote')})"
            cells.append(f"{found['value']:.3f}{star}{difference}")
        lines.append(f"| {as_text(name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shape(found: Mapping[str, Any]) -> str:
    if found["depth"] == 1 or found["over_parallel"] is None:
        return f"{found['value']:.3f}, best in {found['wins']:.0%}"
    return f"{over(found, 'parallel')}, {found['wins']:.0%}"


def over(found: Mapping[str, Any], name: str) -> str:
    """Return a difference with its interval: ``+0.031 [+0.002, +0.060]``."""
    return f"{found[f'over_{name}']:+z.3f} {ends(found[f'over_{name}_interval'])}"


def ends(ends: Sequence[float | None], *, signed: bool = True) -> str:
    """Return an interval; a dash where an end is not known."""
    sign = "+z" if signed else ""
    return "[" + ", ".join("–" if end is None else format(end, f"{sign}.3f") for end in ends) + "]"
