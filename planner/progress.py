"""Bars that show how far a training, an evaluation, a collection or a run is: in notebooks, and in terminals.

It assumes a callable that is told a stage, what is done of it and how much it is, or a run's own report. In a
notebook bars are HTML that is replaced in place; elsewhere rich draws them on standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from html import escape
from typing import Any, Final, TypeAlias

from difficulty.printable import printable

__all__ = ["Progress", "Teller", "progress_bars", "silent"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the name of a stage, how much of it is done, and how much there is."""

_STAGES: Final = {
    "verifier": "learned verifier",
    "table": "what courses are worth",
    "belief": "belief from text",
    "families": "kinds of prompts left out",
    "search": "trials of beliefs",
    "policy": "policy",
    "answers": "how sure answers are",
    "extension": "new generator",
    "hindsight": "hindsight",
    "curves": "what allocations are worth",
    "bootstrap": "bootstrap",
    "figures": "figures",
    "model": "load the model",
    "collect": "collect samples",
    "rehearsals": "rehearse on recorded samples",
    "live": "run live",
}
# Seconds between two pictures in a notebook.
_PAUSE: Final = 0.2


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def _stage_name(stage: str) -> str:
    """Return what a stage is called beside its bar."""
    return _STAGES.get(stage, stage)


class Teller:
    """What `progress_bars` yields: to be given as ``progress=`` to `train`, `evaluate`, `collect` and `run`.

    Parameters
    ----------
    show : callable
        Called with stage, done, total and how fast it goes, in words.
    rests : callable
        Gives a context in which nothing is drawn, as while a question is asked.
    """

    def __init__(
        self,
        show: Callable[[str, int, int, str], None],
        rests: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._show, self.rests = show, rests

    def __call__(self, stage: Any, done: int = 0, total: int = 0) -> None:
        """Move a bar: of a stage by name, or of what a run or a collection reports."""
        if isinstance(stage, str):
            self._show(stage, done, total, "")
        elif hasattr(stage, "n_pieces"):
            rate = f"{stage.usage.output_tokens / max(stage.seconds, 1e-9):,.0f} tokens/s"
            rate += f", {stage.n_failures} failed" if stage.n_failures else ""
            self._show("collect", stage.n_done, stage.n_pieces, rate)
        else:
            self._show("prompts", stage.n_done, stage.n_tasks, "")


@contextmanager
def progress_bars() -> Iterator[Teller]:
    """Show one bar per stage while the block runs.

    Yields
    ------
    Teller
        To be given as ``progress=``.

    Examples
    --------
    >>> from planner import Planner
    >>> with progress_bars() as bars:  # doctest: +SKIP
    ...     outcomes = Planner.untrained().run(prompts, budget=budget, backend=backend, progress=bars)
    """
    display = _notebook_display()
    if display is not None:
        bars = _NotebookBars(display)
        yield Teller(bars.show)
        bars.draw()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, rate: str) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(printable(_stage_name(stage)), total=total, rate=rate)
            progress.update(tasks[stage], completed=done, total=total, rate=rate)

        @contextmanager
        def rests() -> Iterator[None]:
            progress.stop()
            yield
            progress.start()

        yield Teller(show, rests)


class _NotebookBars:
    """One HTML bar per stage, replaced in place.

    Parameters
    ----------
    display : callable
        Shows HTML: the first in a new place, the others in that one.
    """

    def __init__(self, display: Callable[[str], None]) -> None:
        self._display = display
        self._stages: dict[str, tuple[int, int, str]] = {}
        self._drawn = -_PAUSE

    def show(self, stage: str, done: int, total: int, rate: str) -> None:
        """Move a bar; pictures are drawn a few times a second, and at the end of each stage."""
        self._stages[stage] = (done, total, rate)
        if done >= total or time.monotonic() - self._drawn >= _PAUSE:
            self.draw()

    def draw(self) -> None:
        """Draw all bars."""
        self._drawn = time.monotonic()
        rows = "".join(
            f"<tr><th>{escape(printable(_stage_name(stage)))}</th>"
            f'<td><progress value="{done}" max="{max(total, 1)}"></progress></td>'
            f"<td>{done:,} of {total:,}</td><td>{rate}</td></tr>"
            for stage, (done, total, rate) in self._stages.items()
        )
        self._display(f"<table>{rows}</table>")


def _notebook_display() -> Callable[[str], None] | None:
    """Return what shows HTML in place, or None where no notebook runs this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    handle: list[Any] = []

    def show(content: str) -> None:
        if handle:
            handle[0].update(HTML(content))
        else:
            handle.append(display(HTML(content), display_id=True))

    return show
