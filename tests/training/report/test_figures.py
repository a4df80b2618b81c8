"""Figures: their types and sizes, what is drawn of whom, and titles that say what is seen."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from training.evaluate import evaluate
from training.report.allocation_figure import allocation_figure
from training.report.canvas import FigureStyle, new_figure, plain_numbers
from training.report.figures import draw_figures, reliability_figure
from training.report.frontier_figure import frontier_figure
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import Report


@pytest.fixture(scope="module")
def report(trained: Any) -> Report:
    return evaluate(trained.bundle, trained.test_log, n_bootstrap=100)


def test_every_type_is_written_as_wide_as_asked_and_the_same_twice(report: Report, tmp_path: Path) -> None:
    style = FigureStyle(("png", "svg", "pdf"), 3.35)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_figures(report, tmp_path / name, style)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 9
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    drawn = (tmp_path / "one" / "frontier.svg").read_text()
    assert f'width="{3.35 * 72:g}pt"' in drawn and ">learned policy</text>" in drawn  # letters, not outlines
    assert (tmp_path / "one" / "frontier.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("style", "said"),
    [
        (FigureStyle(("gif",)), "written as png, svg, pdf; got"),  # type: ignore[arg-type]  # what a user may type
        (FigureStyle(()), "written as png, svg, pdf"),
        (FigureStyle(width=0.5), "2 to 20 inches wide .a column of a paper is 3.35., got 0.5"),
    ],
)
def test_styles_that_do_not_exist_are_refused(style: FigureStyle, said: str, trained: Any) -> None:
    with pytest.raises(InvalidInputError, match=said):
        evaluate(trained.bundle, trained.test_log, figures=style)


@pytest.mark.parametrize("width", [3.35, 7.0])
@pytest.mark.parametrize("draw", [frontier_figure, allocation_figure, reliability_figure])
def test_no_letter_lies_outside_the_figure(report: Report, draw: Any, width: float) -> None:
    """With three generators, the words below the third panel were cut off."""
    three = {f"generator-{at}": row for at, row in enumerate([*report.calibration.values()][:1] * 3)}
    figure = draw(replace(report, calibration=three), width)
    figure.canvas.draw()
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= -0.01 and drawn.x1 <= width + 0.01
    assert drawn.y0 >= -0.01 and drawn.y1 <= figure.get_figheight() + 0.01


@pytest.mark.parametrize("width", [3.35, 7.0])
def test_the_frontier_shows_ours_first_and_paired_differences(report: Report, width: float) -> None:
    above, below = frontier_figure(report, width).axes
    labels = [text.get_text() for text in above.texts]
    assert set(labels) == {OURS, STATIC, BEST_RULE} and len(above.lines) == 3
    heights = sorted((text.get_position()[1] for text in above.texts), reverse=True)
    assert all(first - second > 0.02 for first, second in pairwise(heights))
    bold = [text.get_text() for text in above.texts if text.get_fontweight() == "bold"]
    assert bold == [OURS]
    rows = [row for row in report.comparison["at_equal_cost"][OURS] if row.get("difference") is not None]
    static, _ = below.containers
    assert [float(y) for y in static[0].get_ydata()] == [row["difference"] for row in rows]
    assert not above.collections  # no broad bands, which hide what is sure


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"multiple": 2.5, "interval": [2.0, 3.0]},
            r"cost 2\.50 \[2\.00, 3\.00\] times what",
        ),
        ({"multiple": 1.1, "interval": [0.8, 3.0]}, "that may be chance"),
        ({"multiple": 1.0, "interval": [1.0, 1.001]}, "^Fixed numbers of samples cost as much as the policy"),
        ({"multiple": 0.0, "interval": [0.0, 0.0]}, "No saving against fixed numbers of samples is shown"),
    ],
)
def test_the_title_says_what_is_seen(report: Report, row: dict[str, Any], said: str) -> None:
    changed = {**report.comparison, "cost_multiples": {OURS: [{"way_to_plateau": 0.75, **row}]}}
    tables = {name: getattr(report, name) for name in Report.__dataclass_fields__}
    figure = frontier_figure(Report(**tables | {"comparison": changed}), 7.0)
    assert re.search(said, " ".join(figure._suptitle.get_text().split()))


def test_who_gets_what_has_readable_ticks_and_speaking_titles(report: Report) -> None:
    left, right = allocation_figure(report, 7.0).axes
    figure = left.figure
    figure.canvas.draw()
    ticks = [label.get_text() for label in right.get_xticklabels()]
    assert len(ticks) == len(report.bands["allocations"]) and not any("e" in tick for tick in ticks)
    titles = [axes.get_title(loc="left") for axes in (left, right)]
    assert re.search("fifth gets|about as many", titles[0]) and "kind" in titles[1]
    assert len(right.containers) <= 7


@pytest.mark.parametrize(("early", "side"), [(1.0, "left"), (6.0, "right")])
def test_words_of_who_gets_what_stand_where_no_line_is(report: Report, early: float, side: str) -> None:
    samples = [(1.0, 1.0), (early, early + 0.2), (early, early), (6.0, 6.0), (6.0, 6.0)]
    kinds = report.bands["allocations"][0]["share"]
    table = [
        {"budget": 1e-4 * 5**at, "mean_samples_per_band": list(each), "share": kinds}
        for at, each in enumerate(samples)
    ]
    left, _ = allocation_figure(replace(report, bands={**report.bands, "allocations": table}), 7.0).axes
    assert {text.get_ha() for text in left.texts} == {side}
    left.figure.canvas.draw()
    lines = [line.get_path().transformed(left.transData) for line in left.lines]
    boxes = [text.get_window_extent() for text in left.texts]
    assert not any(line.intersects_bbox(box, filled=False) for line in lines for box in boxes)


def test_a_short_logarithmic_axis_has_numbers_enough_to_read_it() -> None:
    axes = new_figure(4, 3).add_subplot()
    axes.plot([1, 2], [1.0, 1.8])
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    low, high = axes.get_ylim()
    shown = [text.get_text() for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert shown == ["1", "1.2", "1.5"]


def test_beliefs_that_nothing_judges_are_not_drawn(report: Report, tmp_path: Path) -> None:
    draw_figures(replace(report, calibration={}), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"frontier.png", "allocation.png"}
