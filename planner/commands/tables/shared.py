"""How tables of the commands look, and how they name allocations and write numbers.

It assumes a terminal of about 100 columns. What the tables say is left to the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table

from policies.course.allocation import Allocation

__all__ = ["allocation_name", "counted", "new_table", "number", "strategy_name"]


def new_table(title: str, *, show_header: bool = True, show_footer: bool = False) -> Table:
    """Return an empty table in the common style."""
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=show_header,
        show_footer=show_footer, pad_edge=False, collapse_padding=True,
    )  # fmt: skip


def allocation_name(allocation: Allocation) -> str:
    """Name an allocation for a narrow column."""
    if allocation.n == 1:
        return f"{allocation.generator} once"
    size = allocation.n if allocation.depth == 1 else f"{allocation.width}x{allocation.depth}"
    return f"{allocation.generator} {allocation.strategy} {size}"


def strategy_name(allocation: Allocation) -> str:
    """Name the strategy and its parameters, without the size; of a course, how it selects and when it ends.

    Examples
    --------
    >>> words = "tiny x1 4 times; best by mean logprob; until one answers"
    >>> strategy_name(Allocation(generator="tiny", strategy="best_of_n", width=4, params={"course": words}))
    'best by mean logprob; until one answers'
    """
    if allocation.n == 1:
        return "one sample"
    course = allocation.parameters.get("course")
    if course is not None:
        return _all_but_first(str(course), allocation.generator)
    params = [str(value) for key, value in allocation.parameters.items() if key != "n"]
    return allocation.strategy + (f" ({', '.join(params)})" if params else "")


def _all_but_first(course: str, generator: str) -> str:
    """Return the words of a course without its steps, where all are of the generator that is named anyhow."""
    steps, _, rest = course.partition("; ")
    others = [step for step in steps.split(", ") if not step.startswith(f"{generator} x")]
    return rest if not others else course


def counted(kinds: Mapping[str, int]) -> str:
    """List how often each kind came: ``3 complete, 1 time``."""
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))


def number(value: float) -> str:
    """Four significant digits, thousands separated, exponents only beyond a billion."""
    if value != value:
        return "–"
    if abs(value) >= 1e9 or 0 < abs(value) < 1e-3:
        return f"{value:.3e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
