"""How a log shows itself in a notebook: one row a generator, as HTML.

It assumes nothing of names, which others wrote: they are shown as they are. Counting is left to the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from difficulty.printable import printable


def log_html(
    title: str,
    generators: Sequence[str],
    n_recorded: NDArray[np.int64],
    n_known: NDArray[np.int64],
    n_correct: NDArray[np.int64],
) -> str:
    """Return a table of a log's generators.

    Parameters
    ----------
    title : str
        What the log is, in one line.
    generators : sequence of str
        The G names.
    n_recorded, n_known, n_correct : ndarray of int64, shape (P, G)
        Samples, those of known correctness, and right ones.
    """
    rows = []
    for place, name in enumerate(generators):
        known = int(n_known[:, place].sum())
        right = f"{n_correct[:, place].sum() / known:.1%}" if known else "not known"
        cells = (
            f"{np.count_nonzero(n_recorded[:, place]):,}",
            f"{n_recorded[:, place].sum():,}",
            right,
        )
        rows.append(
            f"<tr><th>{escape(printable(name))}</th>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("generator", "prompts", "samples", "right"))
    return f"<p>{escape(printable(title))}</p><table><tr>{head}</tr>{''.join(rows)}</table>"
