"""Write a comparison of strategies into a folder: JSON, Markdown and the figure.

The document is made by `training.strategies.report` and the figure by `training.strategies.figure`; this
module knows both and neither knows the other. Files that stand there already are written over.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.report.canvas import FigureFormat, FigureStyle
from training.strategies.figure import draw_strategies
from training.strategies.report import StrategyComparison


def write_strategies(report: StrategyComparison, folder: Path, formats: Sequence[FigureFormat]) -> None:
    """Write ``strategies.json``, ``strategies.md`` and the figure, as PNG whatever else is asked."""
    FigureStyle(tuple(formats)).check()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strategies.json").write_bytes(report.to_json())
    (folder / "strategies.md").write_text(report.to_markdown(), encoding="utf-8")
    draw_strategies(report, folder, tuple(dict.fromkeys(("png", *formats))))
