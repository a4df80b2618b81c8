"""What tests share: the test side of the trained bundle, priced, and its halves; the lab's language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from planner.planner import Planner
from planner.planning.pricing import Pricing
from policies.cost.cost_model import CostModel
from policies.menu.curves import CurveTable, measure_curves
from policies.solver.prices import price_grid
from training.evaluation import baselines as base


@pytest.fixture(scope="module")
def bed(trained: Any) -> base.TestBed:
    bundle, log = trained.bundle, trained.test_log
    pricing = Pricing(cost_model=CostModel(unit="output_tokens"))
    curves = measure_curves(log, bundle.curves.allocations)
    train_cost = pricing.recorded(bundle.curves)
    return base.TestBed(
        bundle=bundle,
        train_cost=train_cost,
        curves=curves,
        cost=pricing.recorded(curves),
        coordinates=Planner(bundle=bundle).coordinates(log.prompts),
        prices=price_grid(bundle.curves.value.mean(axis=0), train_cost.mean(axis=0), n_prices=30),
    )


@pytest.fixture(scope="module")
def halves(trained: Any) -> tuple[CurveTable, CurveTable]:
    allocations = trained.bundle.curves.allocations
    even, odd = (measure_curves(trained.test_log, allocations, half=half) for half in ("even", "odd"))
    return even, odd


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: small models gain nothing from two, and results stay the same to the bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Return the lab's tokenizer."""
    from transformers import AutoTokenizer

    from training.lab import LANGUAGE_MODEL

    return AutoTokenizer.from_pretrained(LANGUAGE_MODEL)


@pytest.fixture(scope="session")
def language() -> Any:
    """Return the lab's language model."""
    from transformers import AutoModelForCausalLM

    from training.lab import LANGUAGE_MODEL

    return AutoModelForCausalLM.from_pretrained(LANGUAGE_MODEL).eval()
