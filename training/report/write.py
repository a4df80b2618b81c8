"""Write a report into a folder: JSON, Markdown and the figures.

The document is made by `training.report.report` and the figures by `training.report.figures`; this module
knows both and neither knows the other. Files that stand there already are written over.
"""

from __future__ import annotations

from pathlib import Path

from training.report.canvas import FigureStyle
from training.report.figures import draw_figures
from training.report.report import Report


def write_report(report: Report, folder: Path, style: FigureStyle) -> None:
    """Write ``report.json``, ``report.md`` and the figures into a folder, as PNG whatever else is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")
    formats = dict.fromkeys(("png", *style.formats))
    draw_figures(report, folder, style._replace(formats=tuple(formats)))
