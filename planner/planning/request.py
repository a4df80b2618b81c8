"""What may be asked of a planner, and what it says of prompts that are strange to it.

The checks assume nothing of the bundle; what a bundle cannot price is said by `planner.planning.expectation`.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number, check_whole
from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.scale import UNIT, Scale
from policies.answering.answering import AnswerPrice
from policies.answering.risk import check_risk
from policies.cost.budget import Budget, Unit, check_unit

# Below this familiarity a prompt is unlike those that were trained on.
STRANGE: Final = 0.5
# Of a batch like those of training, a few in a hundred look strange; more than this share is said.
_USUAL: Final = 0.05


# Code that stands between a user's line and a warning.
_OURS: Final = frozenset({"planner", "difficulty", "policies", "training", "asyncio"})


class UnfamiliarPromptsWarning(UserWarning):
    """Prompts are unlike those that a bundle was trained on, so that their plans say little of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked of a planner for a batch; parameters as in `planner.planner.Planner.arun`."""

    budget: Budget | None = None
    price: float | None = None
    target_accuracy: float | None = None
    target_risk: float | None = None
    answer_price: AnswerPrice | None = None
    max_per_prompt: float | None = None
    one_shot: bool = False
    max_rounds: int | None = None
    seed: int = 0

    def check(self, scale: Scale = UNIT) -> None:
        """Refuse what cannot be asked; a target lies on the `scale` of values.

        Raises
        ------
        InvalidBudgetError
            When not exactly one of budget, price and target accuracy is given (a target risk goes alone or
            with a budget), or a number is out of range.
        InvalidInputError
            When `max_rounds` is no whole number of at least 1, `seed` none of at least 0, or both a risk and
            a price of answers are given.
        """
        budget, price, target_risk = self.budget, self.price, self.target_risk
        target_accuracy = self.target_accuracy
        max_per_prompt, max_rounds, seed = self.max_per_prompt, self.max_rounds, self.seed
        if target_risk is not None and self.answer_price is not None:
            raise InvalidInputError("give target_risk or answer_price, not both")
        given = [argument for argument in (budget, price, target_accuracy) if argument is not None]
        if target_risk is not None:
            if price is not None or target_accuracy is not None:
                raise InvalidBudgetError(
                    "target_risk goes alone or with a budget, not with a price or an accuracy"
                )
            check_risk(target_risk)
            given = given or [target_risk]
        if len(given) != 1:
            raise InvalidBudgetError(
                f"give exactly one of budget, price and target_accuracy, or a target_risk; got {len(given)}"
            )
        if budget is not None and not isinstance(budget, Budget):
            raise InvalidBudgetError(
                f"budget must be a Budget such as Budget(limit=4000, unit='output_tokens'), got {budget!r}"
            )
        check_number("max_per_prompt", max_per_prompt, "above 0", optional=True, error=InvalidBudgetError)
        if max_per_prompt is not None and budget is not None:
            raise InvalidBudgetError(
                "max_per_prompt is a field of the budget where there is one: "
                f"Budget(..., max_per_prompt={max_per_prompt!r})"
            )
        check_number("price", price, ">= 0", optional=True, error=InvalidBudgetError)
        if price is not None:
            object.__setattr__(self, "price", float(price))
        if target_accuracy is not None and not _within(target_accuracy, scale.lower, scale.upper):
            raise InvalidBudgetError(
                f"target_accuracy must lie in ({scale.lower:g}, {scale.upper:g}], got {target_accuracy!r}"
            )
        if max_rounds is not None:
            check_whole("max_rounds", max_rounds, least=1)
        check_whole("seed", seed)

    @property
    def withholds(self) -> bool:
        """Whether answers that are not sure enough are withheld."""
        return self.target_risk is not None or self.answer_price is not None

    @property
    def cap(self) -> float | None:
        """The most that a prompt may be expected to cost, in the unit that is planned in."""
        return self.max_per_prompt if self.budget is None else self.budget.max_per_prompt

    def unit(self, usual: str) -> Unit:
        """Return the unit that is planned in: the budget's, else the usual one.

        Raises
        ------
        UnknownUnitError
            When it is none.
        """
        return check_unit(usual if self.budget is None else self.budget.unit)


def _within(value: object, above: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return bool(value <= most and not value <= above)


def warn_of_strangers(familiarity: NDArray[np.float64] | None) -> None:
    """Warn once where more prompts of a batch are unlike those of training than of any batch.

    Parameters
    ----------
    familiarity : ndarray of float64, shape (N,), or None
        In [0, 1]; None where nobody can tell.
    """
    strange = 0 if familiarity is None else int((familiarity < STRANGE).sum())
    if familiarity is not None and strange > _USUAL * len(familiarity):
        warnings.warn(
            f"{strange} of {len(familiarity)} prompts {'is' if strange == 1 else 'are'} unlike the training "
            "prompts: plans for such prompts expect about the average, whatever they ask. Train on prompts "
            "like them",
            UnfamiliarPromptsWarning,
            stacklevel=_frames_to_the_user(),
        )


def _frames_to_the_user() -> int:
    """Return how many frames up, counted from the caller, somebody else's code is: the line to warn of."""
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _OURS:
            break
        level, frame = level + 1, frame.f_back
    return level + 1
