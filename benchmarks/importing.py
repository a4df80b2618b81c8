"""Time ``import planner`` against ``import numpy``, each in fresh interpreters, in one run.

Numpy is imported first and timed apart, so both numbers of a row come from one interpreter; each is the best
of several starts. What bounds an import is running the modules it names, so names are loaded on first use.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

# Statement, what it shows, and the most milliseconds that it may add to numpy (None: no bound).
_ROWS: Final = (
    ("import planner", "the package", 50.0),
    ("from planner import Planner, Budget, Prompt", "the names of a first plan", None),
    ("from difficulty import SampleLog", "reading a log", None),
    ("import planner.cli", "the command line before a command", None),
)
_TIMED: Final = """
import time
start = time.perf_counter()
import numpy
between = time.perf_counter()
{statement}
print((time.perf_counter() - between) * 1000, (between - start) * 1000)
"""


class Measurement(NamedTuple):
    """One row: a statement, its milliseconds on top of numpy's, and numpy's own."""

    statement: str
    shows: str
    added_ms: float
    numpy_ms: float
    bound_ms: float | None


def run(n_starts: int = 7) -> list[Measurement]:
    """Measure every row, the best of `n_starts` interpreters each.

    Parameters
    ----------
    n_starts : int
        At least 1.
    """
    rows = []
    for statement, shows, bound in _ROWS:
        added_ms, numpy_ms = _best(statement, n_starts)
        rows.append(Measurement(statement, shows, added_ms, numpy_ms, bound))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` takes the best of 3 starts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the best of 3 starts")
    arguments = parser.parse_args(argv)
    table = Table(title="Imports on top of numpy", caption="Bound by running the modules named.")
    for heading in ("statement", "shows", "added ms", "numpy ms", "ratio", "bound ms"):
        table.add_column(heading, justify="left" if heading in ("statement", "shows") else "right")
    for row in run(3 if arguments.quick else 7):
        table.add_row(
            row.statement,
            row.shows,
            f"{row.added_ms:.1f}",
            f"{row.numpy_ms:.1f}",
            f"{row.added_ms / row.numpy_ms:.2f}",
            "" if row.bound_ms is None else f"{row.bound_ms:.0f}",
        )
    Console().print(table)


def _best(statement: str, n_starts: int) -> tuple[float, float]:
    """Return the least milliseconds of a statement and of numpy before it, over fresh interpreters."""
    command = [sys.executable, "-c", _TIMED.format(statement=statement)]
    starts = [
        [float(word) for word in subprocess.check_output(command, text=True).split()] for _ in range(n_starts)
    ]
    added_ms, numpy_ms = (min(column) for column in zip(*starts, strict=True))
    return added_ms, numpy_ms


if __name__ == "__main__":
    main()
