"""A policy as a table that people can read and other programs follow: at which price, which course, for whom.

It assumes prompts that are like those to come, wherever the policy reads texts; a policy that treats all
prompts alike needs none. Every number is what plans tell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final, Literal, TypeAlias

from difficulty.errors import InvalidInputError
from difficulty.printable import printable
from difficulty.prompt import Prompt
from planner.planner import Planner

DecisionForm: TypeAlias = Literal["csv", "markdown"]

_ANY: Final = "any prompt at all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What some prompts get at a price.

    Parameters
    ----------
    price : float
        Value that a unit of cost must bring.
    share : float
        Share of the prompts that get it, in (0, 1].
    generator, strategy : str
        Who draws first, and how.
    n : int
        The most samples.
    course : str
        All of it, in words.
    expected_value, expected_cost : float
        Means over those prompts, in the bundle's objective and unit.
    """

    price: float
    share: float
    generator: str
    strategy: str
    n: int
    course: str
    expected_value: float
    expected_cost: float


def decision_table(
    planner: Planner, prompts: Sequence[Prompt | str] = (), *, n_prices: int = 12
) -> list[Decision]:
    """Return what a policy decides, from dear compute to cheap.

    Parameters
    ----------
    planner : Planner
        Whose policy.
    prompts : sequence of Prompt or str
        Prompts like those to come; needed where the policy reads texts.
    n_prices : int
        Prices at most, at least 2: those at which the expected frontier moves on.

    Raises
    ------
    InvalidInputError
        When the policy reads texts and there are no prompts.

    Examples
    --------
    >>> first, *_ = decision_table(Planner.untrained())
    >>> first.share, first.n
    (1.0, 1)
    """
    if not prompts and bool(planner.bundle.policy.by_text.any()):
        raise InvalidInputError(
            "this policy reads texts, so its decisions depend on the prompts; give some like those to come "
            "(prompts=..., --prompts FILE)"
        )
    batch = list(prompts) or [_ANY]
    found = []
    for point in planner.frontier(batch, n_points=n_prices):
        groups: dict[str, list[int]] = {}
        plans = planner.plan(batch, price=point.price)
        for place, plan in enumerate(plans):
            groups.setdefault(str(plan.course or plan.allocation), []).append(place)
        for course, places in sorted(groups.items(), key=lambda item: -len(item[1])):
            mine = [plans[place] for place in places]
            found.append(
                Decision(
                    price=point.price,
                    share=len(mine) / len(plans),
                    generator=mine[0].allocation.generator,
                    strategy=mine[0].allocation.strategy,
                    n=mine[0].allocation.n,
                    course=course,
                    expected_value=sum(plan.expected_accuracy for plan in mine) / len(mine),
                    expected_cost=sum(plan.expected_cost for plan in mine) / len(mine),
                )
            )
    return found


def decisions_as_text(decisions: Sequence[Decision], form: DecisionForm) -> str:
    r"""Return a table of decisions as CSV or Markdown.

    Examples
    --------
    >>> one = Decision(price=0.1, share=1.0, generator="g", strategy="greedy", n=1, course="g | x1",
    ...                expected_value=0.5, expected_cost=12.0)
    >>> print(decisions_as_text([one], "markdown").splitlines()[2])
    | 0.1 | 100 % | g | greedy | 1 | g \| x1 | 0.500 | 12 |
    """
    names = [field.name for field in fields(Decision)]
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(astuple(one) for one in decisions)
        return buffer.getvalue()
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * len(names) + "|"]
    for one in decisions:
        cells = (
            f"{one.price:.3g}",
            f"{one.share:.0%}".replace("%", " %"),
            _cell(one.generator),
            _cell(one.strategy),
            str(one.n),
            _cell(one.course),
            f"{one.expected_value:.3f}",
            f"{one.expected_cost:.4g}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return text that stands in a cell of Markdown as it is."""
    plain = printable(text).replace("\n", " ")
    for sign in "\\|<>*_`":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
