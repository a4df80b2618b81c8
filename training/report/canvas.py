"""Figures without a display: their sizes, their types of file, and what all of them share.

It assumes Matplotlib, which is loaded here and nowhere else in a report. Widths are in inches, as journals
give them: a column of a paper is about 3.35 wide, a page about 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from difficulty.errors import InvalidInputError, require

__all__ = ["COLOURS", "NARROW", "FigureFormat", "FigureStyle", "new_figure", "plain_numbers", "save"]

FigureFormat: TypeAlias = Literal["png", "svg", "pdf"]

# Colours that differ for most kinds of colour vision (Okabe and Ito, 2008), ours first.
COLOURS: Final = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#999999",
)  # fmt: skip

_DPI: Final = 200
_SHORT: Final = 3.0  # times the low end of a logarithmic axis, to its high end
_CLOSE: Final = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_NARROWEST, _WIDEST = 2.0, 20.0
NARROW: Final = 4.5
"""Inches, below which letters are smaller and panels stand above each other."""
# Letters as letters, not as outlines, so that they can be searched for and set in the paper's own type.
_SETTINGS: Final = {"svg.fonttype": "none", "svg.hashsalt": "figure", "pdf.fonttype": 42}
_NO_DATE: Final = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


class FigureStyle(NamedTuple):
    """How figures are written.

    Attributes
    ----------
    formats : tuple of str
        Types of file, of ``png``, ``svg`` and ``pdf``.
    width : float
        Inches, from 2 to 20; heights follow.
    """

    formats: tuple[FigureFormat, ...] = ("png",)
    width: float = 7.0

    def check(self) -> FigureStyle:
        """Return the style.

        Raises
        ------
        InvalidInputError
            When there is no type of file, one that does not exist, or a width out of range.
        """
        allowed = get_args(FigureFormat)
        if not self.formats or any(one not in allowed for one in self.formats):
            raise InvalidInputError(f"figures are written as {', '.join(allowed)}; got {self.formats!r}")
        if not _NARROWEST <= self.width <= _WIDEST:
            raise InvalidInputError(
                f"figures are {_NARROWEST:g} to {_WIDEST:g} inches wide (a column of a paper is 3.35), got "
                f"{self.width:g}"
            )
        return self


def new_figure(width: float, height: float) -> Any:
    """Return a figure that needs no display and no global state."""
    require("matplotlib", extra="train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, folder: Path, name: str, formats: Iterable[FigureFormat]) -> None:
    """Write a figure in each of the formats; equal figures give equal bytes."""
    matplotlib = require("matplotlib", extra="train")
    with matplotlib.rc_context(_SETTINGS):
        for form in formats:
            figure.savefig(folder / f"{name}.{form}", metadata=_NO_DATE[form])


def plain_numbers(axis: Any, ticks: Iterable[float] | None = None) -> None:
    """Write plain numbers on a logarithmic axis: at the ticks given, or at 1, 2 and 5 of each power of 10.

    Where the axis is too short for those to tell anything, at all round numbers between.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    if ticks is None:
        low, high = axis.get_view_interval()
        short = 0 < high < _SHORT * low
        axis.set_major_locator(LogLocator(subs=_CLOSE if short else (1.0, 2.0, 5.0)))
    else:
        axis.set_major_locator(FixedLocator(list(ticks)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, place: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """Return a number in three digits, two below .01, without an exponent where people would write none.

    Examples
    --------
    >>> [plain(value) for value in (12345.6, 72.4, 0.5, 2.31e-5)]
    ['12,300', '72.4', '0.5', '2.3e-05']
    """
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.2g}"
