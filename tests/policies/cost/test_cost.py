"""Prices by hand, one formula for scalars and arrays, and errors instead of guesses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, UnknownGeneratorError, UnknownUnitError
from difficulty.generator import Generator
from policies.cost.budget import UNIT_TRAITS, UNITS
from policies.cost.cost_model import CostModel
from policies.cost.flops import attention_flops
from policies.cost.usage import Usage

SMALL = Generator(name="small", params=8e9, active_params=2e9, usd_per_mtok_in=0.5, usd_per_mtok_out=2.0)
MODEL = CostModel(
    unit="samples",
    generators={"small": SMALL},
    verifier_params=7e9,
    predictor_params=1e9,
    cached_discount=0.75,
    usd_per_mtok_verifier=0.1,
    usd_per_mtok_predictor=0.0,
    joules_per_output_token={"small": 3.0},
    joules_per_prompt_token={"small": 0.1},
    joules_per_verifier_token=0.5,
)
USAGE = Usage(
    samples=4,
    prompt_tokens=1000,
    cached_prompt_tokens=600,
    output_tokens=2000,
    wasted_tokens=50,
    verifier_tokens=300,
    requests=2,
    seconds=12.5,
)
EXPECTED = {
    "samples": 4,
    "output_tokens": 2000,
    "total_tokens": 1000 + 2000 + 300,
    "flops": 2 * 2e9 * (400 + 2000) + 2 * 7e9 * 300,
    "usd": (0.5 * (1000 - 0.75 * 600) + 2 * 2000 + 0.1 * 300) / 1e6,
    "seconds": 12.5,
    "joules": 3.0 * 2000 + 0.1 * 400 + 0.5 * 300,
}


def test_every_unit_has_an_expected_price() -> None:
    assert set(EXPECTED) == set(UNITS)


@pytest.mark.parametrize("unit", UNITS)
def test_prices_by_hand(unit: str) -> None:
    assert replace(MODEL, unit=unit).price(USAGE, "small") == pytest.approx(EXPECTED[unit])


@pytest.mark.parametrize("unit", UNITS)
def test_prices_add_up(unit: str) -> None:
    model = replace(MODEL, unit=unit)
    total = model.price(USAGE, "small") + model.price(USAGE * 3, "small")
    assert model.price(USAGE + USAGE * 3, "small") == pytest.approx(total)


def test_predictor_tokens_are_charged() -> None:
    more = replace(USAGE, predictor_tokens=100)
    for unit, extra in {"total_tokens": 100.0, "flops": 2e11, "usd": 0.0, "output_tokens": 0.0}.items():
        model = replace(MODEL, unit=unit)
        assert model.price(more, "small") - model.price(USAGE, "small") == pytest.approx(extra)
    with pytest.raises(UnknownUnitError, match="predictor"):
        replace(MODEL, unit="joules").price(more, "small")


def test_arrays_are_priced_like_scalars() -> None:
    model = replace(MODEL, unit="usd")
    prompt, output = np.array([[10.0], [20.0]]), np.array([100.0, 200.0, 300.0])
    costs = model.price_arrays("small", prompt_tokens=prompt, output_tokens=output)
    assert costs.shape == (2, 3)
    for row in range(2):
        for column in range(3):
            usage = Usage(prompt_tokens=prompt[row, 0], output_tokens=output[column])
            assert costs[row, column] == model.price(usage, "small")


def test_attention_grows_with_the_context() -> None:
    model = replace(MODEL, unit="flops", attention_widths={"small": 1000.0})
    plain = replace(MODEL, unit="flops")
    usage = Usage(samples=1, requests=1, prompt_tokens=100, output_tokens=50)
    # 100 prompt tokens see 50 on average, 50 output tokens see 100 + 25.
    extra = 4 * 1000.0 * (100 * 50 + 50 * 125)
    assert model.price(usage, "small") - plain.price(usage, "small") == pytest.approx(extra)
    # The last 40 of a prompt of which 60 are cached see 80 on average.
    cached = replace(usage, cached_prompt_tokens=60)
    extra = 4 * 1000.0 * (40 * 80 + 50 * 125)
    assert model.price(cached, "small") - plain.price(cached, "small") == pytest.approx(extra)


def test_attention_is_counted_as_two_products_of_matrices() -> None:
    """Token by token: a query times the keys that it sees, and weights times their values."""
    prompt, output, layers, width = 300, 200, 3, 16
    seen = sum(range(1, prompt + 1)) + sum(range(prompt + 1, prompt + output + 1))
    two_products = layers * seen * (2 * width + 2 * width)
    counted = attention_flops(
        prompt_tokens=prompt,
        cached_prompt_tokens=0,
        output_tokens=output,
        samples=1,
        requests=1,
        attention_width=layers * width,
    )
    assert float(counted) == pytest.approx(two_products, rel=0.01)


def test_energy_without_a_prompt_figure_includes_the_prompt() -> None:
    model = replace(MODEL, unit="joules", joules_per_prompt_token={})
    usage = replace(USAGE, prompt_tokens=math.nan, verifier_tokens=0)
    assert model.price(usage, "small") == 6000.0


@pytest.mark.parametrize(
    ("unit", "change", "words"),
    [
        ("flops", {"generators": {"small": replace(SMALL, params=None, active_params=None)}}, "add params"),
        ("flops", {"verifier_params": None}, "verifier_params"),
        ("usd", {"generators": {"small": replace(SMALL, usd_per_mtok_in=None)}}, "add usd_per_mtok_in"),
        ("usd", {"generators": {"small": replace(SMALL, usd_per_mtok_out=None)}}, "add usd_per_mtok_out"),
        ("usd", {"usd_per_mtok_verifier": None}, "usd_per_mtok_verifier"),
        ("joules", {"joules_per_output_token": {}}, "joules_per_output_token"),
        ("joules", {"joules_per_verifier_token": None}, "joules_per_verifier_token"),
    ],
)
def test_missing_figures_are_errors_that_name_them(unit: str, change: dict[str, object], words: str) -> None:
    with pytest.raises(UnknownUnitError, match=words):
        replace(MODEL, unit=unit, **change).price(USAGE, "small")


@pytest.mark.parametrize(
    ("unit", "field"),
    [
        ("output_tokens", "output_tokens"),
        ("total_tokens", "prompt_tokens"),
        ("flops", "cached_prompt_tokens"),
        ("usd", "output_tokens"),
        ("seconds", "seconds"),
        ("joules", "prompt_tokens"),
    ],
)
def test_tokens_that_were_not_recorded_are_errors(unit: str, field: str) -> None:
    with pytest.raises(UnknownUnitError, match=f"its {field} were not recorded"):
        replace(MODEL, unit=unit).price(replace(USAGE, **{field: math.nan}), "small")


def test_unrecorded_tokens_do_not_matter_where_they_are_not_read() -> None:
    usage = Usage(samples=3, prompt_tokens=math.nan, output_tokens=math.nan)
    assert MODEL.price(usage, "anything") == 3


def test_seconds_that_nobody_measured_are_an_error() -> None:
    with pytest.raises(UnknownUnitError, match="decode model"):
        replace(MODEL, unit="seconds").price(replace(USAGE, seconds=0), "small")
    assert replace(MODEL, unit="seconds").price(Usage(), "small") == 0


@pytest.mark.parametrize("unit", ["flops", "usd"])
def test_unknown_generators_are_named(unit: str) -> None:
    with pytest.raises(UnknownGeneratorError, match=r"'big'.*'small'"):
        replace(MODEL, unit=unit).price(USAGE, "big")


@pytest.mark.parametrize(
    "change",
    [
        {"verifier_params": -1.0},
        {"cached_discount": 1.5},
        {"cached_discount": math.nan},
        {"joules_per_output_token": {"small": math.inf}},
    ],
)
def test_figures_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(change))):
        replace(MODEL, **change)


@pytest.mark.parametrize("use", [CostModel.charges_verifier, lambda model: model.price(USAGE, "small")])
def test_a_unit_without_a_formula_is_never_priced_as_another(use: Callable[[CostModel], object]) -> None:
    model = replace(MODEL)
    object.__setattr__(model, "unit", "water")
    with pytest.raises(UnknownUnitError, match="'water' has no formula of its price; those that do are"):
        use(model)


def test_every_unit_has_traits_and_fields_to_read() -> None:
    assert set(UNIT_TRAITS) == set(UNITS)
    for unit in UNITS:
        assert replace(MODEL, unit=unit).reads("small")


def test_scores_are_charged_where_a_figure_of_the_unit_is_declared() -> None:
    charging = {unit for unit in UNITS if replace(MODEL, unit=unit).charges_verifier()}
    assert charging == {"total_tokens", "flops", "usd", "joules"}
    assert not CostModel(unit="total_tokens").charges_verifier()
    assert not replace(MODEL, unit="usd", usd_per_mtok_verifier=None).charges_verifier()


def test_unknown_units() -> None:
    with pytest.raises(UnknownUnitError, match="bananas"):
        CostModel(unit="bananas")
