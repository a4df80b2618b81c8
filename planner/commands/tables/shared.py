"""How tables of the commands look, and how they name allocations and write shares.

It assumes a terminal of about 100 columns. What the tables say is left to the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.table import Table

from policies.course.allocation import Allocation
from policies.course.course import Course


def new_table(
    title: str | None, *headings: str, show_header: bool = True, show_footer: bool = False
) -> Table:
    """Return a table in the style of all, with columns of numbers under `headings`."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=show_header,
        show_footer=show_footer, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def facts_table(title: str | None, rows: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names in bold and what is said of each."""
    table = new_table(title, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def allocation_name(allocation: Allocation) -> str:
    """Name an allocation for a narrow column."""
    if allocation.n == 1:
        return f"{allocation.generator} once"
    size = allocation.n if allocation.depth == 1 else f"{allocation.width}x{allocation.depth}"
    return f"{allocation.generator} {allocation.strategy} {size}"


def strategy_in_words(course: Course) -> str:
    """Name how a course selects and when it ends; its steps, too, where they are of several generators.

    Examples
    --------
    >>> from policies.course.course import waves
    >>> strategy_in_words(Course(steps=waves("tiny", (4,))))
    'vote'
    """
    if course.n == 1:
        return "one sample"
    words = str(course)
    if len(course.generators) > 1:
        return words
    chained = any(step.kind == "revise" for step in course.steps)
    return ("chains; " if chained else "") + words.partition("; ")[2]


def counted(kinds: Mapping[str, int]) -> str:
    """List how often each kind came: ``3 complete, 1 time``."""
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))


def percent(share: float | None) -> str:
    """Write a share without decimals: ``nothing`` where there is none, and never ``-0 %``."""
    return "nothing" if share is None else f"{100 * share:.0f} %".replace("-0 %", "0 %")
