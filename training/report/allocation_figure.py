"""The figure of who gets what: samples by observed difficulty, and the kinds of course, as the budget grows.

Drawn from the report's table alone. Titles say what is seen in this report; names of strangers are shown as
they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, Final

from training.report.canvas import COLOURS, NARROW, new_figure, plain, plain_numbers
from training.report.markdown import figure_label
from training.report.report import Report

_MOST_KINDS: Final = 6
_REST: Final = "other kinds"
_HEIGHT: Final = 0.5
_TALL: Final = 1.25  # of a figure as narrow as a column, whose panels stand above each other
_LINE: Final = 0.12  # height of a line in a panel
_LEAST: Final = 0.02  # share of the prompts at some budget, below which a kind is one of the others
_LONGEST: Final = 34  # characters of a line of the legend
_ALIKE: Final = 1.15  # ratio of samples up to which difficulties get about the same


def allocation_figure(report: Report, width: float) -> Any:
    """Return the figure, `width` inches wide."""
    narrow = width < NARROW
    small = 7 if narrow else 8.5
    figure = new_figure(width, (_TALL if narrow else _HEIGHT) * width)
    panels = figure.subplots(2, 1) if narrow else figure.subplots(1, 2, width_ratios=(1, 1.1))
    table = report.bands["allocations"]
    _samples(panels[0], table, report, small)
    _kinds(panels[1], table, report, small)
    for axes in panels:
        axes.tick_params(labelsize=small)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        labels[::-1],
        loc="outside lower center",
        ncols=1 if narrow else 2,
        fontsize=small - 0.5,
        frameon=False,
    )
    return figure


def _samples(axes: Any, table: Sequence[Mapping[str, Any]], report: Report, small: float) -> None:
    budgets = [row["budget"] for row in table]
    n_bands = len(table[0]["mean_samples_per_band"])
    high = _rises_early([row["mean_samples_per_band"] for row in table])
    for band in range(n_bands):
        part = band / max(n_bands - 1, 1)
        shade = (0.15 + 0.7 * part, 0.25, 0.75 - 0.6 * part)
        values = [row["mean_samples_per_band"][band] for row in table]
        axes.plot(budgets, values, "o-", color=shade, markersize=3.5, linewidth=1.4)
        if band in (0, n_bands - 1):
            name, line = ("easiest fifth", 0.0) if band == 0 else ("hardest fifth", _LINE)
            place, side = ((0.97, 0.03 + _LINE - line), "right") if high else ((0.03, 0.97 - line), "left")
            where = {"va": "bottom" if high else "top", "ha": side, "transform": axes.transAxes}
            axes.text(*place, name, color=shade, fontsize=small, **where)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_numbers(axes.xaxis, _apart(budgets))
    axes.margins(y=0.18)
    plain_numbers(axes.yaxis)
    axes.set_xlabel(f"budget per prompt ({report.data['unit'].replace('_', ' ')})", fontsize=small)
    axes.set_ylabel("mean samples", fontsize=small)
    axes.set_title(fill(_title_of_samples(table), 42), fontsize=small + 0.5, loc="left")
    axes.grid(alpha=0.25)


def _rises_early(samples: Sequence[Sequence[float]]) -> bool:
    """Return whether lines fill the upper left corner, so that words stand in the lower right one."""
    least, most = min(map(min, samples)), max(map(max, samples))
    early = max(map(max, samples[: (len(samples) + 1) // 2]))
    return early**3 > least * most**2


def _kinds(axes: Any, table: Sequence[Mapping[str, Any]], report: Report, small: float) -> None:
    shares = _largest([row["share"] for row in table])
    bottom = [0.0] * len(table)
    for place, (kind, values) in enumerate(shares.items()):
        colour = "#bbbbbb" if kind == _REST else COLOURS[place % len(COLOURS)]
        label = fill(figure_label(kind), _LONGEST)
        axes.bar(range(len(table)), values, bottom=bottom, label=label, color=colour, width=0.8)
        bottom = [b + s for b, s in zip(bottom, values, strict=True)]
    axes.set_xticks(range(len(table)), [plain(row["budget"]) for row in table])
    axes.set_xlabel(f"budget per prompt ({report.data['unit'].replace('_', ' ')})", fontsize=small)
    axes.set_ylabel("share of prompts", fontsize=small)
    axes.set_ylim(0, 1)
    axes.set_title(fill(_title_of_kinds(table), 42), fontsize=small + 0.5, loc="left")


def _title_of_samples(table: Sequence[Mapping[str, Any]]) -> str:
    """Say what the hardest prompts get against the easiest, at the middle budget."""
    samples = table[len(table) // 2]["mean_samples_per_band"]
    easy, hard = samples[0], samples[-1]
    if max(easy, hard) <= _ALIKE * max(min(easy, hard), 1e-9):
        return "Easy and hard prompts get about as many samples"
    more, less = ("hardest", "easiest") if hard > easy else ("easiest", "hardest")
    ratio = max(easy, hard) / max(min(easy, hard), 1e-9)
    return f"The {more} fifth gets {ratio:.2g} times the samples of the {less} (middle budget)"


def _title_of_kinds(table: Sequence[Mapping[str, Any]]) -> str:
    """Say whether all prompts are treated alike at each budget."""
    most = [max(row["share"].values()) for row in table]
    if min(most) > 0.99:
        return "At each budget, all prompts get one kind of course"
    middle = table[len(table) // 2]["share"]
    return f"{sum(share >= 0.01 for share in middle.values())} kinds of course share the middle budget"


def _apart(budgets: Sequence[float]) -> list[float]:
    """Return the budgets that can be written beside each other on a logarithmic axis."""
    kept = [budgets[0]]
    for budget in budgets[1:]:
        if budget > 1.25 * kept[-1]:
            kept.append(budget)
    return kept


def _largest(table: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the shares of the kinds that most prompts get, largest first, and of the rest together."""
    total: Counter[str] = Counter()
    for row in table:
        total.update(row)
    seen = [kind for kind in total if max(row.get(kind, 0.0) for row in table) >= _LEAST]
    kept = sorted(seen, key=lambda kind: (-total[kind], kind))
    kept = kept if len(kept) <= _MOST_KINDS + 1 else kept[:_MOST_KINDS]
    shares = {kind: [row.get(kind, 0.0) for row in table] for kind in kept}
    if len(kept) < len(total):
        shares[_REST] = [1 - sum(row.get(kind, 0.0) for kind in kept) for row in table]
    return shares
