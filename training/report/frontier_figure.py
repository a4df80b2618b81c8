"""The figure of a frontier: value against cost, and below it what ours gains over each rival at equal cost.

Two curves may lie within each other's intervals and still differ for sure, since both are measured on the
same prompts: so intervals are drawn of the paired differences, never of the curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Final

from training.report.canvas import COLOURS, NARROW, new_figure, plain_numbers
from training.report.markdown import figure_label
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import Report

_RIVALS: Final = (STATIC, BEST_RULE)
_COLOURS: Final = {OURS: COLOURS[0], STATIC: "#222222", BEST_RULE: COLOURS[2]}
_HEIGHT: Final = 0.72  # of the width
_TALL: Final = 1.0  # of a narrow figure
_LETTER: Final = 0.62  # width of a letter, of its size
_WAY: Final = 0.75  # to the plateau of fixed numbers of samples
# How far apart the points of two rivals at one budget stand, as a factor of the cost.
_APART: Final = 1.03
_LINE: Final = 1.35  # height of a line, of the size of its letters


def frontier_figure(report: Report, width: float) -> Any:
    """Return the figure, `width` inches wide."""
    narrow = width < NARROW
    small = 7 if narrow else 8.5
    height = (_TALL if narrow else _HEIGHT) * width
    figure = new_figure(width, height)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    frontiers, plateau = report.comparison["frontiers"], report.comparison["plateau"]
    last = plateau["plateau_cost"] * 1.6
    shown = [name for name in _COLOURS if name in frontiers]
    ends = []
    for place, name in enumerate(shown):
        points = [point for point in frontiers[name] if point["cost"] <= last]
        cost, value = [p["cost"] for p in points], [p["value"] for p in points]
        above.plot(
            [*cost, last],
            [*value, value[-1]],
            color=_COLOURS[name],
            linewidth=(1.8 if narrow else 2.4) if name == OURS else (1.0 if narrow else 1.4),
            zorder=len(shown) - place + 2,
        )
        ends.append((value[-1], name))
    above.set_ylabel(str(report.data["objective"]), fontsize=small)
    letters = int(72 * width * 0.9 / (_LETTER * small))
    figure.suptitle(fill(_title(report), letters), fontsize=small + 0.5, x=0.01, ha="left")
    _label_ends(above, ends, small, gap=_LINE * small / 72 / (height / 2))
    _differences(below, report)
    below.axhline(0, color="black", linewidth=0.8)
    below.set_ylabel("gain at equal\ncost, paired 95 %", fontsize=small)
    below.set_xlabel(f"mean cost per prompt ({report.data['unit'].replace('_', ' ')})", fontsize=small)
    below.set_xscale("log")
    below.set_xlim(plateau["cheapest_cost"] / _APART**2, last)
    plain_numbers(below.xaxis)
    for axes in (above, below):
        axes.tick_params(labelsize=small)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _title(report: Report) -> str:
    """Say what is seen: what fixed numbers of samples cost at equal value, or that nothing is shown."""
    rows = report.comparison.get("cost_multiples", {}).get(OURS, [])
    (row,) = [row for row in rows if row["way_to_plateau"] == _WAY] or [{"multiple": 0.0}]
    where = f"at 75 % of the way to the best ({report.data['n_prompts']} held-out prompts)"
    if not row["multiple"] or None in row["interval"]:
        return f"No saving against fixed numbers of samples is shown {where}"
    low, high = row["interval"]
    if {f"{one:.2f}" for one in (low, row["multiple"], high)} == {"1.00"}:
        return f"Fixed numbers of samples cost as much as the policy does {where}"
    times = f"{row['multiple']:.2f} [{low:.2f}, {high:.2f}] times"
    doubt = ": that may be chance" if low <= 1 <= high else ""
    return f"Fixed numbers of samples cost {times} what the policy does {where}{doubt}"


def _label_ends(axes: Any, ends: Sequence[tuple[float, str]], size: float, *, gap: float) -> None:
    """Write names beside the ends of the lines, far enough apart to be read, ours before those it meets."""
    low, high = axes.get_ylim()
    place = {name: (value - low) / (high - low) for value, name in ends}
    met = {name: place[OURS] for name in place if OURS in place and abs(place[name] - place[OURS]) < gap}
    above = float("inf")
    for name in sorted(place, key=lambda name: (-met.get(name, place[name]), name != OURS)):
        above = min(place[name], above - gap)
        axes.annotate(
            figure_label(name),
            (1.01, above),
            xycoords="axes fraction",
            color=_COLOURS[name],
            fontsize=size,
            fontweight="bold" if name == OURS else "normal",
            va="center",
        )


def _differences(axes: Any, report: Report) -> None:
    """Draw what ours gains over each rival at each budget, with the paired interval."""
    rivals = {STATIC: report.comparison["at_equal_cost"].get(OURS, [])}
    rivals |= {name: row["at_equal_cost"] for name, row in report.rivals.items() if name in _RIVALS}
    names = [name for name in _RIVALS if name in rivals]
    for place, name in enumerate(names):
        rows = [row for row in rivals[name] if row.get("difference") is not None]
        ends = [row.get("difference_interval") or row["interval"] for row in rows]
        gain = [row["difference"] for row in rows]
        axes.errorbar(
            [row["budget"] * _APART ** (2 * place - len(names) + 1) for row in rows],
            gain,
            yerr=[
                [max(mid - low, 0.0) for mid, (low, _) in zip(gain, ends, strict=True)],
                [max(high - mid, 0.0) for mid, (_, high) in zip(gain, ends, strict=True)],
            ],
            fmt="o",
            markersize=3.5,
            linewidth=1.2,
            capsize=2,
            color=_COLOURS[name],
        )
