"""The three figures of a report: value against cost, who gets what, and whether beliefs hold.

Each is written as PNG, SVG or PDF, as wide as is asked. Drawn from the report's tables alone, without a
display.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from training.report.allocation_figure import allocation_figure
from training.report.canvas import COLOURS, NARROW, FigureStyle, new_figure, save
from training.report.frontier_figure import frontier_figure
from training.report.markdown import figure_label
from training.report.names import MOST_DRAWN
from training.report.report import Report

_PLAIN: Final = FigureStyle()


def draw_figures(report: Report, folder: Path, style: FigureStyle = _PLAIN) -> None:
    """Write ``frontier``, ``allocation`` and, where beliefs can be judged, ``reliability`` into a folder.

    Raises
    ------
    InvalidInputError
        When the style asks for what does not exist.
    """
    style.check()
    save(frontier_figure(report, style.width), folder, "frontier", style.formats)
    save(allocation_figure(report, style.width), folder, "allocation", style.formats)
    if report.calibration:
        save(reliability_figure(report, style.width), folder, "reliability", style.formats)


def reliability_figure(report: Report, width: float) -> Any:
    """Return the figure of predicted and observed success, `width` inches wide, of the first generators."""
    names = list(report.calibration)[:MOST_DRAWN]
    n_panels = len(names)
    stacked = width < NARROW
    small = 7 if stacked else 8.5
    side = width if stacked else width / max(n_panels, 2)
    figure = new_figure(side if stacked else side * n_panels, side * (n_panels if stacked else 1) + 0.3)
    panels = figure.subplots(*((n_panels, 1) if stacked else (1, n_panels)), squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        rows = report.calibration[name]["reliability"]
        observed = [row["observed"] for row in rows]
        low = [max(row["observed"] - row["lower"], 0) for row in rows]
        high = [max(row["upper"] - row["observed"], 0) for row in rows]
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.6)
        axes.errorbar(
            [row["predicted"] for row in rows],
            observed,
            yerr=[low, high],
            fmt="o",
            markersize=4,
            color=COLOURS[0],
        )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_title(figure_label(name), fontsize=small + 0.5, loc="left")
        axes.tick_params(labelsize=small)
        axes.grid(alpha=0.25)
    figure.supxlabel("predicted success of one sample", fontsize=small)
    figure.supylabel("observed, with 95 % intervals", fontsize=small)
    return figure
