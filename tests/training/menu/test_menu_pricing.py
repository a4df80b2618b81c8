"""The menu of a log, priced: each allocation as among the others, what was not recorded left out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.errors import UnknownUnitError
from training.menu.pricing import Pricing
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.menu.curves import CurveTable
from training.menu.menu_pricing import price_menu

VOTES = [Allocation(generator="g", strategy="majority_vote", width=n) for n in (1, 4)]
BEST = Allocation(generator="g", strategy="best_of_n", width=4, params={"verifier": "score"})
BEAM = Allocation(generator="g", strategy="beam_search", width=8, params={"beam_width": 4})
PRICING = Pricing(cost_model=CostModel(unit="total_tokens", verifier_params=0.0))


def table(*, read: float = np.nan, lost: bool = False) -> CurveTable:
    """Three prompts of 20 tokens, completions of 50; the search sends the prompt eight times."""
    menu = (*VOTES, BEST, BEAM)
    samples = np.tile([float(allocation.n) for allocation in menu], (3, 1))
    prompt = np.tile([20.0, 20.0, np.nan if lost else 20.0, 160.0], (3, 1))
    value = np.full(samples.shape, 0.5)
    value[2, 1] = np.nan
    recorded = np.full(samples.shape, np.nan)
    recorded[:, 3] = read
    return CurveTable(
        prompt_ids=("a", "b", "c"), allocations=menu, value=value, samples=samples, prompt_tokens=prompt,
        output_tokens=50 * samples, verifier_tokens=recorded,
    )  # fmt: skip


def test_a_search_reads_the_question_and_not_all_that_it_sent() -> None:
    curves, cost, n_dropped = price_menu(table(), PRICING)
    assert_allclose(cost[0], [70, 220, 220 + 4 * 70, 160 + 400 + 8 * 70])
    assert_array_equal(np.isnan(cost), np.isnan(curves.value))
    assert n_dropped == 0


def test_what_was_recorded_stays_what_was_recorded() -> None:
    curves, cost, _ = price_menu(table(read=3000), PRICING)
    assert_allclose(cost[:, 3], 560 + 3000)
    assert curves.verifier_tokens is not None and np.isnan(curves.verifier_tokens[:, :3]).all()


def test_what_was_not_recorded_is_left_out_and_counted() -> None:
    curves, cost, n_dropped = price_menu(table(lost=True), PRICING)
    assert curves.allocations == (*VOTES, BEAM) and n_dropped == 1
    assert cost.shape == (3, 3)
    with pytest.raises(UnknownUnitError, match="joules"):
        price_menu(table(), Pricing(cost_model=CostModel(unit="joules")))
