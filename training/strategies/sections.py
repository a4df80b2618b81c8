"""Sections of the comparison of strategies: every strategy at equal cost, and how much in sequence.

Every number comes from the tables that `training.strategies.compare` made. The other sections are in
`training.strategies.report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from training.report.markdown import as_text, document, table
from training.report.words import difference

Groups: TypeAlias = Sequence[Mapping[str, Any]]

SELECTIONS: Final = {"majority": "by vote", "hierarchical": "by score"}


def share_section(groups: Groups) -> str:
    """Return the tables of width × depth, at equal N and at equal cost; empty without chains."""
    if not groups[0]["shapes"]:
        return ""
    parts = [
        "## How much in sequence",
        "N samples as width × depth: `width` chains of `depth` attempts. Shown: the difference to all "
        "parallel, and in how many replicates the shape is the best of its row.",
    ]
    for place, shapes in enumerate(groups[0]["shapes"]):
        selected = f"### Revisions selected {SELECTIONS[shapes['selection']]}, at equal"
        parts.append(f"{selected} N")
        parts += [_equal_n(groups, place, row) for row in range(len(shapes["at_equal_n"]))]
        parts.append(f"{selected} cost")
        parts.append("Each depth with as many chains as the cost of N parallel samples buys.")
        parts += [_equal_cost(groups, place, row) for row in range(len(shapes["at_equal_cost"]))]
    return document(*parts)


def _equal_n(groups: Groups, place: int, row: int) -> str:
    first = groups[0]["shapes"][place]["at_equal_n"][row]
    return table(
        [f"N = {first['n']}", *(f"{shape['width']} × {shape['depth']}" for shape in first["shapes"])],
        [
            [group["name"], *map(_shape, group["shapes"][place]["at_equal_n"][row]["shapes"])]
            for group in groups
        ],
    )


def _equal_cost(groups: Groups, place: int, row: int) -> str:
    n = groups[0]["shapes"][place]["at_equal_cost"][row]["n"]
    tables = [
        next((r for r in group["shapes"][place]["at_equal_cost"] if r["n"] == n), None) for group in groups
    ]
    depths = sorted({d["depth"] for found in tables if found for d in found["depths"]})
    rows = []
    for group, shapes in zip(groups, tables, strict=True):
        found = {d["depth"]: d for d in shapes["depths"]} if shapes else {}
        rows.append([group["name"], *(_shape(found[depth]) if depth in found else "–" for depth in depths)])
    return table([f"cost of N = {n}", *(f"depth {depth}" for depth in depths)], rows)


def family_section(group: Mapping[str, Any], unit: str) -> str:
    """Return every strategy at every budget in one group of prompts."""
    budgets = group["at_equal_cost"]
    names = list(dict.fromkeys(name for row in budgets for name in row["strategies"]))
    rows = []
    for name in names:
        cells = [as_text(name)]
        for row in budgets:
            found = row["strategies"].get(name)
            if found is None:
                cells.append("–")
                continue
            star = "*" if found["all_spent"] else ""
            difference = "" if name == names[0] else f" ({over(found, 'vote')})"
            cells.append(f"{found['value']:.3f}{star}{difference}")
        rows.append(cells)
    return document(
        f"## Every strategy, {'all prompts' if group['name'] == 'all' else 'bin ' + group['name']}",
        "Accuracy, and the difference to the majority vote at equal cost; * more than its largest recorded "
        "size costs.",
        table([unit.replace("_", " "), *(f"{row['budget']:.4g} (N = {row['n']})" for row in budgets)], rows),
    )


def _shape(found: Mapping[str, Any]) -> str:
    if found["depth"] == 1 or found["over_parallel"] is None:
        return f"{found['value']:.3f}, best in {found['wins']:.0%}"
    return f"{over(found, 'parallel')}, {found['wins']:.0%}"


def over(found: Mapping[str, Any], name: str) -> str:
    """Return a difference with its interval."""
    return difference(found[f"over_{name}"], found[f"over_{name}_interval"])
