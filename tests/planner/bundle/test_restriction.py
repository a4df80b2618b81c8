"""What is left of a bundle where a user lacks some of its generators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difficulty.errors import UnknownGeneratorError
from difficulty.generator import Generator
from planner.bundle.restriction import restrict
from planner.planner import Planner

PROMPTS = [f"Add up 3 + {number}." for number in range(12)]


def test_courses_of_missing_generators_are_not_planned(trained: Any) -> None:
    left = restrict(trained.bundle, {"model-1": trained.bundle.generators["model-1"]})
    assert left.deployed.any() and not left.deployed.all()
    assert np.all(left.deployed <= trained.bundle.deployed)
    planner = Planner(bundle=left)
    for price in (1e-2, 1e-3, 1e-4, 1e-6):
        for plan in planner.plan(PROMPTS, price=price):
            assert plan.course is not None
            assert plan.course.generators == ("model-1",)


def test_all_generators_leave_everything(trained: Any) -> None:
    whole = restrict(trained.bundle, {**trained.bundle.generators, "more": Generator(name="more")})
    assert np.array_equal(whole.deployed, trained.bundle.deployed)
    assert "more" not in whole.generators


def test_a_bundle_without_any_known_generator_is_refused(trained: Any) -> None:
    with pytest.raises(UnknownGeneratorError, match="none of other is"):
        restrict(trained.bundle, {"other": Generator(name="other")})


def test_a_bundle_whose_policy_uses_none_of_them_is_refused(trained: Any) -> None:
    from dataclasses import replace

    only = np.array([course.generators == ("model-1",) for course in trained.bundle.table.courses])
    bundle = replace(trained.bundle, deployed=trained.bundle.deployed & only)
    with pytest.raises(UnknownGeneratorError, match="uses none of model-0"):
        restrict(bundle, {"model-0": trained.bundle.generators["model-0"]})
