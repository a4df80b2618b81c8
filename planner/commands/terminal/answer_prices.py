"""Options that say what errors and silence cost, for `planner plan` and `planner run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from planner.commands.terminal.options import Decorator

if TYPE_CHECKING:
    from policies.answering.answering import AnswerPrice

__all__ = ["answer_price_of", "no_answer_costs_option", "wrong_costs_option"]

wrong_costs_option: Final[Decorator] = click.option(
    "--wrong-costs",
    type=float,
    default=None,
    help="Cost of a wrong answer, a right one being worth 1: answers not worth it are withheld, and nothing "
    "is drawn where none is expected to be.",
)
no_answer_costs_option: Final[Decorator] = click.option(
    "--no-answer-costs",
    type=float,
    default=None,
    help="Beside --wrong-costs: cost of no answer; 0 by default.",
)


def answer_price_of(wrong: float | None, none: float | None, target_risk: float | None) -> AnswerPrice | None:
    """Return the price of errors and silence, where one is given."""
    from policies.answering.answering import AnswerPrice

    if wrong is None:
        if none is not None:
            raise click.UsageError("--no-answer-costs goes with --wrong-costs")
        return None
    if target_risk is not None:
        raise click.UsageError("give --target-risk or --wrong-costs, not both")
    return AnswerPrice(wrong=wrong, none=0.0 if none is None else none)
