"""What `planner plan` and `planner run` are asked for: a budget, a price or a target, within some bounds.

It checks which options go together; numbers that cannot be are refused by the planner, in its own words. What
is drawn, and where, is left to `planner.commands.terminal.draw_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from planner.commands.terminal.options import fields_of, max_rounds_option, one_shot_option, packed
from policies.cost.budget import UNITS, Budget, check_unit

if TYPE_CHECKING:
    from planner.bundle.policy_bundle import PolicyBundle
    from policies.answering.answering import AnswerPrice

_OPTIONS: Final = (
    click.option("--budget", type=float, help="Limit per prompt on average, or for the batch (--scope)."),
    click.option(
        "--unit",
        type=click.Choice(UNITS),
        help="Unit of --budget; by default the one that the bundle was trained in.",
    ),
    click.option(
        "--scope",
        type=click.Choice(["prompt", "batch"]),
        default="prompt",
        help="Whether --budget is the average per prompt or the total.",
    ),
    click.option("--max-per-prompt", type=float, help="Hard cap on the cost of any prompt."),
    click.option("--price", type=float, help="In place of a budget: value that a unit of cost must bring."),
    click.option(
        "--target-accuracy",
        type=float,
        help="In place of a budget: mean expected accuracy to reach at least cost.",
    ),
    click.option(
        "--target-risk",
        type=float,
        help="Alone or with --budget: the most answers among which the share of errors stays below this; "
        "others are withheld.",
    ),
    click.option(
        "--wrong-costs",
        type=float,
        help="Cost of a wrong answer, a right one being worth 1: answers not worth it are withheld, and "
        "nothing is drawn where none is expected to be.",
    ),
    click.option(
        "--no-answer-costs", type=float, help="Beside --wrong-costs: cost of no answer; 0 by default."
    ),
    one_shot_option,
    max_rounds_option,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """The options as they were given."""

    budget: float | None
    unit: str | None
    scope: Literal["prompt", "batch"]
    max_per_prompt: float | None
    price: float | None
    target_accuracy: float | None
    target_risk: float | None
    wrong_costs: float | None
    no_answer_costs: float | None
    one_shot: bool
    max_rounds: int | None

    @property
    def plans_anew(self) -> bool:
        """Whether anything but a budget was given, which plans of a file have settled already."""
        risks = (self.target_risk, self.wrong_costs, self.no_answer_costs)
        other = (self.max_rounds, self.price, self.target_accuracy, *risks)
        return self.one_shot or any(value is not None for value in other)

    def limit(self, bundle: PolicyBundle) -> Budget | None:
        """Return the budget, or None where a price or target is given instead.

        Raises
        ------
        click.UsageError
            When options do not go together.
        """
        others = [value for value in (self.price, self.target_accuracy) if value is not None]
        if self.target_risk is not None and others:
            raise click.UsageError("--target-risk goes alone or with --budget")
        n_given = len(others) + (self.budget is not None)
        if n_given + (self.target_risk is not None and not n_given) != 1:
            raise click.UsageError("give one of --budget, --price, --target-accuracy and --target-risk")
        if self.budget is not None:
            unit = check_unit(self.unit or bundle.unit)
            return Budget(limit=self.budget, unit=unit, scope=self.scope, max_per_prompt=self.max_per_prompt)
        for name, value in (("--unit", self.unit), ("--max-per-prompt", self.max_per_prompt)):
            if value is not None:
                raise click.UsageError(f"{name} goes with --budget")
        return None

    def of(self, bundle: PolicyBundle) -> dict[str, Any]:
        """Return what is asked of a planner, by the names of its own arguments.

        Raises
        ------
        click.UsageError
            When options do not go together.
        """
        return {
            "budget": self.limit(bundle),
            "price": self.price,
            "target_accuracy": self.target_accuracy,
            "target_risk": self.target_risk,
            "answer_price": self._answer_price(),
            "one_shot": self.one_shot,
            "max_rounds": self.max_rounds,
        }

    def in_words(self, bundle: PolicyBundle) -> str:
        """Say what is asked for."""
        limit = self.limit(bundle)
        if limit is not None:
            where = "per prompt on average" if limit.scope == "prompt" else "for the batch"
            cap = "" if limit.max_per_prompt is None else f", at most {limit.max_per_prompt:g} each"
            return f"budget {limit.limit:g} {limit.unit.replace('_', ' ')} {where}{cap}"
        if self.target_risk is not None:
            return f"target risk {self.target_risk:g}"
        if self.price is not None:
            return f"price {self.price:g} per {bundle.unit.rstrip('s').replace('_', ' ')}"
        return f"target {bundle.objective} {self.target_accuracy:g}"

    def _answer_price(self) -> AnswerPrice | None:
        """Return the price of errors and silence, where one is given."""
        from policies.answering.answering import AnswerPrice

        if self.wrong_costs is None:
            if self.no_answer_costs is not None:
                raise click.UsageError("--no-answer-costs goes with --wrong-costs")
            return None
        if self.target_risk is not None:
            raise click.UsageError("give --target-risk or --wrong-costs, not both")
        return AnswerPrice(wrong=self.wrong_costs, none=self.no_answer_costs or 0.0)


asking_options: Final = packed("asking", fields_of(Asking), _OPTIONS)
"""What is asked for, as the argument ``asking``."""
