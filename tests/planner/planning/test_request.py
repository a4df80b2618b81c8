"""What is asked of a planner is checked before anything is worked out."""

from __future__ import annotations

from typing import Any

import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.planner import Planner
from policies.cost.budget import Budget


@pytest.mark.parametrize(
    "asked",
    [
        {"price": "1"},
        {"price": True},
        {"price": float("inf")},
        {"target_accuracy": "most"},
        {"price": 1.0, "max_per_prompt": "5"},
        {"budget": 5},
        {"price": 1.0, "budget": Budget(limit=1.0, unit="samples")},
    ],
)
def test_what_is_no_budget_price_or_target_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidBudgetError, match=list(asked)[-1]):
        Planner.untrained().plan(["6 * 7?"], **asked)


@pytest.mark.parametrize("asked", [{"max_rounds": 1.5}, {"max_rounds": True}, {"seed": -1}, {"seed": 0.5}])
def test_rounds_and_seeds_are_whole_numbers(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="whole number"):
        Planner.untrained().plan(["6 * 7?"], price=1.0, **asked)
