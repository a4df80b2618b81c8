"""The three figures of a report: value against cost, what each difficulty gets as the budget grows,
reliability.

Drawn from the report's tables alone, without a display. Matplotlib is loaded here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from difficulty.errors import require
from training.report.markdown import figure_label
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import Report

__all__ = ["draw_figures"]

_MOST_KINDS: Final = 9
_REST: Final = "other kinds"

_SHOWN: Final = {
    OURS: ("#d55e00", "-"),
    STATIC: ("#000000", "-"),
    BEST_RULE: ("#009e73", "-"),
    "without the text": ("#56b4e9", "--"),
    "without reacting to samples": ("#e69f00", "--"),
    "shuffled text": ("#cc79a7", ":"),
    "hindsight (half B)": ("#999999", ":"),
}


def draw_figures(report: Report, folder: Path) -> None:
    """Write ``frontier.png``, ``allocation.png`` and ``reliability.png`` into an existing folder."""
    _save(_frontier(report), folder / "frontier.png")
    _save(_allocation(report), folder / "allocation.png")
    _save(_reliability(report), folder / "reliability.png")


def _figure(n_panels: int = 1) -> tuple[Any, Any]:
    """Return a figure that needs no display and no global state."""
    require("matplotlib", extra="train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * n_panels + 2.4, 4.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, n_panels, squeeze=False)[0]


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})


def _frontier(report: Report) -> Any:
    figure, (axes,) = _figure()
    frontiers = report.comparison["frontiers"]
    for name, (colour, style) in _SHOWN.items():
        if name not in frontiers:
            continue
        points = frontiers[name]
        cost = [point["cost"] for point in points]
        axes.plot(cost, [point["value"] for point in points], style, color=colour, label=name, linewidth=1.8)
        if name in (OURS, STATIC):
            low, high = [p["lower"] for p in points], [p["upper"] for p in points]
            axes.fill_between(cost, low, high, color=colour, alpha=0.13, linewidth=0)
    plateau = report.comparison["plateau"]
    axes.axhline(plateau["plateau_value"], color="black", linewidth=0.6, alpha=0.4)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_xlim(plateau["cheapest_cost"] * 0.95, plateau["plateau_cost"] * 1.6)
    axes.set_xlabel(f"mean cost per prompt ({report.data['unit'].replace('_', ' ')})")
    axes.set_ylabel(report.data["objective"])
    axes.set_title(f"{report.data['n_prompts']} held-out prompts, 95 % intervals", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")
    return figure


def _allocation(report: Report) -> Any:
    figure, (left, right) = _figure(2)
    table = report.bands["allocations"]
    budgets = [row["budget"] for row in table]
    n_bands = len(table[0]["mean_samples_per_band"])
    for band in range(n_bands):
        shade = (0.15 + 0.7 * band / max(n_bands - 1, 1), 0.25, 0.75 - 0.6 * band / max(n_bands - 1, 1))
        label = f"{band + 1}" + (" (easiest)" if band == 0 else " (hardest)" if band == n_bands - 1 else "")
        left.plot(
            budgets, [row["mean_samples_per_band"][band] for row in table], "o-", color=shade, label=label
        )
    left.set_xscale("log")
    left.set_yscale("log")
    _plain_numbers(left.xaxis)
    _plain_numbers(left.yaxis)
    left.set_xlabel(f"budget per prompt ({report.data['unit'].replace('_', ' ')})")
    left.set_ylabel("mean samples")
    left.set_title("samples by observed difficulty", fontsize=10)
    left.legend(fontsize=8)
    left.grid(alpha=0.25)
    shares = _largest([row["share"] for row in table])
    bottom = [0.0] * len(table)
    for kind in shares:
        right.bar(range(len(table)), shares[kind], bottom=bottom, label=figure_label(kind))
        bottom = [b + s for b, s in zip(bottom, shares[kind], strict=True)]
    right.set_xticks(range(len(table)), [f"{budget:.2g}" for budget in budgets])
    right.set_xlabel("budget per prompt")
    right.set_ylabel("share of prompts")
    right.set_title("kind of course", fontsize=10)
    right.set_ylim(0, 1)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def _largest(table: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the shares of the kinds that most prompts get, largest first, and of the rest together."""
    total: dict[str, float] = {}
    for row in table:
        for kind, share in row.items():
            total[kind] = total.get(kind, 0.0) + share
    kept = sorted(total, key=lambda kind: (-total[kind], kind))
    kept = kept if len(kept) <= _MOST_KINDS + 1 else kept[:_MOST_KINDS]
    shares = {kind: [row.get(kind, 0.0) for row in table] for kind in kept}
    if len(kept) < len(total):
        shares[_REST] = [1 - sum(row.get(kind, 0.0) for kind in kept) for row in table]
    return shares


def _plain_numbers(axis: Any) -> None:
    """Write plain numbers at 1, 2 and 5 of a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:.4g}"))
    axis.set_minor_formatter(NullFormatter())


def _reliability(report: Report) -> Any:
    names = list(report.calibration)[:3]
    figure, panels = _figure(max(len(names), 1))
    for axes, name in zip(panels, names, strict=False):
        rows = report.calibration[name]["reliability"]
        observed = [row["observed"] for row in rows]
        low = [max(row["observed"] - row["lower"], 0) for row in rows]
        high = [max(row["upper"] - row["observed"], 0) for row in rows]
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.6)
        axes.errorbar(
            [row["predicted"] for row in rows], observed, yerr=[low, high], fmt="o", color="#d55e00"
        )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("predicted success of one sample")
        axes.set_ylabel("observed")
        axes.set_title(figure_label(name), fontsize=10)
        axes.grid(alpha=0.25)
    return figure
