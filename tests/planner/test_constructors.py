"""What is no number is refused by name by everything that people write by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from planner.drivers import Limits
from policies.answering.answering import AnswerPrice
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.course.course import Step
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Beta, Share, Unanimous

STEP = Step(generator="tiny")
ALLOCATION = Allocation(generator="tiny", strategy="majority_vote", width=2)
GENERATOR = Generator(name="tiny")
COST = CostModel(unit="samples", generators={})
NEEDED = [
    (Agreement(), ["count"]),
    (Share(), ["share", "least"]),
    (Beta(), ["threshold", "futile_from", "futile_below"]),
    (Unanimous(), ["window"]),
    (STEP, ["n"]),
    (Selection(), ["power"]),
    (ALLOCATION, ["width", "depth"]),
    (Budget(limit=5, unit="samples"), ["limit"]),
    (Limits(), ["max_concurrency"]),
    (AnswerPrice(wrong=1.0), ["wrong"]),
    (COST, ["cached_discount"]),
]
OPTIONAL = [
    (Budget(limit=5, unit="samples"), ["max_per_prompt"]),
    (Limits(), ["max_samples", "max_samples_per_prompt", "max_output_tokens", "max_cost", "max_seconds"]),
    (
        GENERATOR,
        ["params", "active_params", "temperature", "top_p", "max_output_tokens", "thinking_tokens"],
    ),
    (GENERATOR, ["usd_per_mtok_in", "usd_per_mtok_out", "usd_per_mtok_cached"]),
    (COST, ["verifier_params", "predictor_params", "usd_per_mtok_verifier", "joules_per_verifier_token"]),
]
# A score may be of any size.
SIGNED = [(BestScore(threshold=0.5), ["threshold"]), (Selection(), ["threshold"])]
BAD = (math.nan, math.inf, True, "3")


def cases() -> list[Any]:
    """Each field with each value that it must refuse."""
    rows = []
    for group, bad in ((NEEDED, (*BAD, None, -1)), (OPTIONAL, (*BAD, -1)), (SIGNED, (*BAD, None))):
        for one, names in group:
            for name in names:
                what = f"{type(one).__name__}-{name}"
                rows += [pytest.param(one, name, value, id=f"{what}-{value!r}") for value in bad]
    return rows


@pytest.mark.parametrize(("one", "name", "value"), cases())
def test_what_is_no_number_is_refused_by_name(one: Any, name: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=rf"\b{name}\b"):
        replace(one, **{name: value})
