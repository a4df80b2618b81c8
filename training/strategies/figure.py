"""The figure of a comparison of strategies: accuracy against cost, one panel per bin of difficulty.

Drawn from the tables alone, without a display. Shown are the majority vote with its band, the other parallel
strategies, the fully sequential chain and every search, so that a panel stays readable; all else is in the
tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.report.canvas import FigureFormat, new_figure, plain_numbers, save
from training.report.markdown import figure_label
from training.strategies.report import StrategyComparison

# Colours that differ for most kinds of colour vision (Okabe and Ito, 2008).
_PARALLEL: Final = ("#000000", "#777777", "#b5b5b5", "#6a3d9a", "#b294c7")
_REVISION: Final = ("#0072b2", "#56b4e9")
_SEARCH: Final = ("#d55e00", "#e69f00", "#cc79a7", "#009e73", "#8c564b", "#b2182b", "#f0b7d1")


def draw_strategies(report: StrategyComparison, folder: Path, formats: Sequence[FigureFormat]) -> None:
    """Write ``strategies`` in each of the formats into an existing folder."""
    groups = report.groups[1:]
    figure = new_figure(3.3 * max(len(groups), 2) + 0.6, 4.6)
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    shown = _shown(report.families)
    handles: dict[str, Any] = {}
    for axes, group in zip(panels, groups, strict=True):
        for name, (colour, marker, with_band) in shown.items():
            line = _curve(axes, group["points"][name], colour, marker, with_band=with_band)
            handles.setdefault(name, line)
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
        axes.set_title(f"bin {group['name']}: {group['n_prompts']} prompts", fontsize=9)
        axes.set_xlabel(report.data["unit"].replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("accuracy", fontsize=9)
    figure.legend(
        handles.values(),
        [figure_label(name) for name in handles],
        loc="outside lower center",
        ncols=max(len(groups), 2),
        fontsize=8,
        frameon=False,
    )
    save(figure, folder, "strategies", formats)


def _shown(families: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str, bool]]:
    """Return colour, marker and whether to draw a band, by the name of each family that is drawn."""
    palettes = {"parallel": _PARALLEL, "revision": _REVISION, "search": _SEARCH}
    markers = {"parallel": "o", "revision": "s", "search": "^"}
    found: dict[str, tuple[str, str, bool]] = {}
    counts = dict.fromkeys(palettes, 0)
    for family in families:
        kind, name = family["kind"], family["name"]
        mixed = kind == "revision" and "one chain" not in name
        if mixed or counts[kind] == len(palettes[kind]):
            continue
        found[name] = (palettes[kind][counts[kind]], markers[kind], counts[kind] == 0)
        counts[kind] += 1
    return found


def _curve(
    axes: Any, points: Sequence[Mapping[str, Any]], colour: str, marker: str, *, with_band: bool
) -> Any:
    """Draw one family's points, and the band of its intervals."""
    cost = [point["cost"] for point in points]
    (line,) = axes.plot(
        cost,
        [point["value"] for point in points],
        marker=marker,
        markersize=3.5,
        color=colour,
        linewidth=1.4,
    )
    if with_band:
        low, high = ([point["interval"][end] for point in points] for end in (0, 1))
        axes.fill_between(cost, low, high, color=colour, alpha=0.12, linewidth=0)
    return line
