"""Reasons say what a plan rests on, what it gains, and why no more was bought."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from difficulty.belief.weight_spec import STATIC
from planner.planning.reason import Reasons

from planner.planner import Planner
from policies.cost.budget import Budget

EASY, HARD = "Add up 3 + 4.", "Add up 3 + 44 + 8 + 59 + 12 + 7 + 31 + 20 + 5."


def share(reason: str) -> int:
    return int(reason.split("easier than ")[1].split(" %")[0])


def test_a_learned_plan_places_the_prompt_among_the_training_prompts(trained: Any) -> None:
    planner = Planner.load(trained.folder)
    easy, hard = (plan.reason for plan in planner.plan([EASY, HARD], price=1e-4))
    assert share(easy) > 75
    assert share(hard) < 25


def test_a_static_plan_and_a_cold_one_do_not_pretend_to_know_the_prompt(trained: Any) -> None:
    static = Planner(bundle=replace(trained.bundle, policy=STATIC))
    assert "the best static mix" in static.plan([EASY], price=1e-4)[0].reason
    cold = Planner.untrained().plan([EASY], budget=Budget(limit=4, unit="samples"))[0].reason
    assert cold.startswith("nothing was recorded yet")


def test_the_gain_is_over_the_smallest_allocation() -> None:
    reasons = Reasons(ground="static", levels=(0.0,), names=("one", "five"), base=0)
    value = np.array([0.4, 0.65])
    assert "five adds +0.250 over one" in reasons.write(0.0, 1, value, price=1e-3, unit="output_tokens")
    assert "adds" not in reasons.write(0.0, 0, value, price=1e-3, unit="output_tokens")


def test_the_price_says_why_no_more_was_bought() -> None:
    reasons = Reasons(ground="static", levels=(0.0,), names=("one",), base=0)
    value = np.array([0.4])
    assert reasons.write(0.0, 0, value, price=2e-4, unit="samples").endswith(
        "more would gain less than 0.0002 per sample"
    )
    assert reasons.write(0.0, 0, value, price=0.0, unit="samples").endswith("nothing that would add more")


def test_units_are_named_in_the_singular() -> None:
    reasons = Reasons(ground="static", levels=(0.0,), names=("one",), base=0)
    for unit, singular in (
        ("flops", "per FLOP"),
        ("usd", "per dollar"),
        ("output_tokens", "per output token"),
    ):
        assert reasons.write(0.0, 0, np.array([0.4]), price=1.0, unit=unit).endswith(singular)
