"""What is given in place of a whole number or a log is refused at the door, wherever it is given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.arguments import check_number
from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.collection.run import collect
from planner.planner import Planner
from planner.simulated import SimulatedBackend
from policies.menu.build import build_menu
from policies.menu.curves import measure_curves
from policies.solver.solver import solve
from training.evaluate import evaluate
from training.savings.savings import savings
from training.simulated.log import simulated_log
from training.strategies.compare import compare_strategies
from training.train import train

LOG = simulated_log(4, n_samples=2)


@pytest.mark.parametrize("given", ["log.jsonl", Path("log.jsonl"), None])
@pytest.mark.parametrize(
    "function",
    [
        lambda log: train(log, "policy"),
        lambda log: evaluate("policy", log),
        savings,
        compare_strategies,
    ],
)
def test_a_path_in_the_place_of_a_log_is_told_how_to_be_read(
    function: Callable[[Any], object], given: object
) -> None:
    with pytest.raises(InvalidInputError, match=r"SampleLog\.read\(path\)"):
        function(given)


@pytest.mark.parametrize("value", [-1, 1.5, math.nan, math.inf, "3", None, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda value: train(LOG, "policy", n_trials=value),
        lambda value: train(LOG, "policy", seed=value),
        lambda value: evaluate("policy", LOG, seed=value),
        lambda value: savings(LOG, seed=value),
        lambda value: compare_strategies(LOG, seed=value),
        lambda value: solve([[0.5]], [1.0], budget=1.0, seed=value),
        lambda value: collect(["a"], "log.jsonl", generators={}, backend=SimulatedBackend(), samples=value),
        lambda value: Planner.untrained(max_samples=value),
    ],
)
def test_what_is_no_whole_number_is_refused_by_name(function: Callable[[Any], object], value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"must be at least [01] and a whole number, got"):
        function(value)


def test_shares_halves_and_drivers_that_do_not_exist_are_refused() -> None:
    menu = build_menu(LOG)
    wrong: Any = "neither"
    for call, words in (
        (lambda: build_menu(LOG, share=0.0), r"share must lie in \(0, 1\], got 0.0"),
        (lambda: build_menu(LOG, share=math.nan), r"share must lie in \(0, 1\], got nan"),
        (lambda: measure_curves(LOG, menu, half=wrong), "half must be one of all, even, odd; got 'neither'"),
        (
            lambda: collect(["a"], "log.jsonl", generators={}, backend=SimulatedBackend(), driver=wrong),
            "driver must be one of",
        ),
    ):
        with pytest.raises(InvalidInputError, match=words):
            call()


@pytest.mark.parametrize(
    ("within", "allowed", "refused"),
    [
        ("above 0", (1e-9, 3, np.float64(2)), (0, -1, math.inf, 10**400, math.nan, True, "1")),
        (">= 0", (0, 0.5, np.int64(2)), (-1e-9, math.inf, math.nan, True, "1")),
        ("in (0, 1]", (0.1, 1), (0, 1.1, math.nan, True)),
        ("in (0, 1)", (0.1, 0.9), (0, 1, math.nan)),
        ("in [0, 1]", (0, 1), (-0.1, 1.1, math.nan)),
    ],
)
def test_numbers_are_held_to_their_range(within: Any, allowed: Any, refused: Any) -> None:
    check_number("x", None, within, optional=True)
    for value in allowed:
        check_number("x", value, within)
    for value in (*refused, None):
        with pytest.raises(InvalidBudgetError, match=rf"x must .*{re.escape(within)}, got"):
            check_number("x", value, within, error=InvalidBudgetError)
