"""What courses are expected to cost, in every unit, against sums done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.belief.weighing import DenseWeights
from difficulty.errors import UnknownUnitError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.planning.expectation import Expectation, Lengths
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.course import Course, Step, waves
from policies.course.stop import Agreement
from policies.table.table import CourseTable, Slots

GENERATORS = {
    "small": Generator(name="small", params=1e9, usd_per_mtok_in=1.0, usd_per_mtok_out=2.0),
    "large": Generator(name="large", params=8e9, usd_per_mtok_in=10.0, usd_per_mtok_out=20.0),
}
COURSES = (
    Course(steps=waves("small", (1,))),
    Course(steps=waves("small", (5,))),
    Course(steps=waves("small", (1, 1, 1)), stop=Agreement(count=2)),
    Course(steps=(Step(generator="small"), Step(generator="large"))),
)
# Small, small, small, and small and large of the last course.
SAMPLES = np.array([[1.0, 5.0, 2.5, 1.0, 1.0]] * 2)
REQUESTS = np.array([[1.0, 1.0, 2.5, 1.0, 1.0]] * 2)
LENGTHS = Lengths(
    reference={"small": np.array([100.0, 200.0]), "large": np.array([100.0, 200.0])}, fit={"small": (10, 0.5)}
)
FIRST = [Prompt(id="as the first reference prompt", prompt_tokens=100)]


def table(**changes: Any) -> CourseTable:
    """Two reference prompts, samples of 10 and 30 output tokens."""
    fields: dict[str, Any] = {
        "value": np.array([[0.2, 0.4, 0.5, 0.6], [0.6, 0.8, 0.9, 1.0]]),
        "rounds": np.array([[1.0, 1.0, 2.5, 1.0]] * 2),
        "samples": SAMPLES,
        "requests": REQUESTS,
        "output_tokens": np.array([[10.0], [30.0]]) * SAMPLES,
        "resent_tokens": np.zeros((2, 5)),
        "cached_tokens": np.zeros((2, 5)),
        "verifier_tokens": np.zeros((2, 5)),
    }
    return CourseTable(courses=COURSES, slots=Slots.for_courses(COURSES), **{**fields, **changes})


def expected(unit: Any, prompts: list[Prompt], weights: list[list[float]], **model: Any) -> np.ndarray:
    priced = Expectation.of(table(), CostModel(unit=unit, generators=GENERATORS, **model), LENGTHS)
    return priced.expect(DenseWeights(np.array(weights, dtype=np.float32)), priced.tokens(prompts))[1]


def test_costs_are_the_recorded_usage() -> None:
    alone = [[1.0, 0.0]]
    assert_allclose(expected("samples", FIRST, alone), [[1, 5, 2.5, 2]])
    assert_allclose(expected("output_tokens", FIRST, [[0.0, 1.0]]), [[30, 150, 75, 60]], rtol=1e-6)
    assert_allclose(expected("total_tokens", FIRST, alone)[0, [0, 1, 2]], [110, 150, 275], rtol=1e-6)
    dollars = (100 + 2 * 10) / 1e6 + (1000 + 200) / 1e6
    assert_allclose(expected("usd", FIRST, alone)[0, 3], dollars, rtol=1e-6)


def test_prompts_that_samples_send_themselves_are_not_charged_by_request() -> None:
    """Where no prompt is shared, what was sent stands in the table."""
    lengths = Lengths(reference={**LENGTHS.reference, "small": np.zeros(2)}, fit=LENGTHS.fit)
    model = CostModel(unit="total_tokens", generators=GENERATORS)
    priced = Expectation.of(table(resent_tokens=7 * SAMPLES), model, lengths)
    for prompt in (FIRST[0], Prompt(id="of unknown length", text="as long as this")):
        cost = priced.expect(DenseWeights(np.array([[1.0, 0.0]], dtype=np.float32)), priced.tokens([prompt]))[
            1
        ]
        assert_allclose(cost[0, :3], 17 * SAMPLES[0, :3], rtol=1e-6)


def test_attention_over_prompts_is_expected_as_it_is_charged() -> None:
    """What a token of output costs depends on the prompt before it, of which the references tell."""
    model = CostModel(unit="flops", generators=GENERATORS, attention_widths={"small": 1e5, "large": 1e6})
    priced = Expectation.of(table(), model, LENGTHS)
    tokens = priced.tokens(FIRST)
    cost = priced.expect(DenseWeights(np.array([[1.0, 0.0]], dtype=np.float32)), tokens)[1]
    charged = table().cost(model, LENGTHS.reference)[0]
    assert_allclose(cost[0], charged, rtol=1e-6)


def test_values_and_costs_are_weighted_over_reference_prompts() -> None:
    priced = Expectation.of(table(), CostModel(unit="output_tokens", generators=GENERATORS), LENGTHS)
    weights = DenseWeights(np.array([[0.5, 0.5], [1.0, 0.0]], dtype=np.float32))
    value, cost = priced.expect(weights, priced.tokens(FIRST * 2))
    assert_allclose(value, [[0.4, 0.6, 0.7, 0.8], [0.2, 0.4, 0.5, 0.6]], rtol=1e-6)
    assert_allclose(cost[:, 1], [100, 50], rtol=1e-6)
    assert_allclose(priced.expect_value(weights, np.array([[3, 0], [1, 1]])), [[0.8, 0.4], [0.4, 0.4]])
    alike = priced.expect_alike(priced.tokens(FIRST))
    assert_allclose(alike[0], value[:1], rtol=1e-6)
    assert_allclose(alike[1], cost[:1], rtol=1e-6)


def test_a_prompt_is_as_long_as_it_says_else_as_its_text_else_as_usual() -> None:
    prompts = [
        Prompt(id="known", prompt_tokens=50, text="x" * 1000),
        Prompt(id="from its length", text="x" * 100),
        Prompt(id="unknown"),
    ]
    cost = expected("total_tokens", prompts, [[1.0, 0.0]] * 3)
    assert_allclose(cost[:, 0], [50 + 10, 10 + 50 + 10, 150 + 10], rtol=1e-6)
    # Every wave sends the prompt again.
    assert_allclose(cost[:, 2], [2.5 * 50 + 25, 2.5 * 60 + 25, 2.5 * 150 + 25], rtol=1e-6)
    # Nothing is known of how the large generator counts: the usual length stands.
    assert_allclose(cost[:, 3], [50 + 50 + 20, 60 + 150 + 20, 150 + 150 + 20], rtol=1e-6)


def test_a_number_of_samples_is_certain_where_nothing_stops_early() -> None:
    def certain(unit: Any) -> list[bool]:
        model = CostModel(unit=unit, generators=GENERATORS)
        return list(Expectation.of(table(), model, LENGTHS).exact)

    assert certain("samples") == [True, True, False, True]
    assert certain("output_tokens") == [False] * 4


def test_a_reward_model_is_charged_for_what_it_reads() -> None:
    read = table(verifier_tokens=np.array([[0.0, 550.0, 0.0, 0.0, 0.0]] * 2))

    def cost(unit: Any, **more: Any) -> np.ndarray:
        model = CostModel(unit=unit, generators=GENERATORS, **more)
        priced = Expectation.of(read, model, LENGTHS)
        return priced.expect_alike(priced.tokens(FIRST))[1][0]

    assert_allclose(
        cost("usd", usd_per_mtok_verifier=3.0) - cost("usd"), [0, 550 * 3e-6, 0, 0], rtol=1e-5, atol=1e-10
    )
    assert_allclose(cost("samples", verifier_params=7e9), cost("samples"))


def test_seconds_go_step_after_step_and_need_a_decode_model() -> None:
    model = CostModel(unit="seconds", generators=GENERATORS)
    with pytest.raises(UnknownUnitError, match=r"seconds need a decode model.*DecodeModel\.fit"):
        Expectation.of(table(), model, LENGTHS)
    decode = DecodeModel(per_step=0.01, per_prompt_token=0.001)
    seconds = Expectation.of(table(), model, LENGTHS, decode=decode).measured.values[:, 4:8]
    one = float(decode.seconds(width=1, depth=1, output_tokens=10, prompt_tokens=100))
    assert_allclose(seconds[0, [0, 2]], [one, 2.5 * one], rtol=1e-6)


def test_what_was_not_recorded_cannot_be_priced() -> None:
    unrecorded = table(output_tokens=np.full((2, 5), np.nan))
    with pytest.raises(UnknownUnitError, match=r"did not record.*unit 'samples'"):
        Expectation.of(unrecorded, CostModel(unit="output_tokens", generators=GENERATORS), LENGTHS)
    samples = Expectation.of(unrecorded, CostModel(unit="samples", generators=GENERATORS), LENGTHS)
    assert_allclose(samples.expect_alike(samples.tokens(FIRST))[1], [[1, 5, 2.5, 2]])
    nowhere = Lengths(reference={name: np.full(2, np.nan) for name in GENERATORS}, fit={})
    with pytest.raises(UnknownUnitError, match="prompt_tokens were not recorded"):
        Expectation.of(table(), CostModel(unit="total_tokens", generators=GENERATORS), nowhere)


@pytest.mark.parametrize(("unit", "least"), [("samples", [1, 5, 1, 1]), ("output_tokens", [0, 0, 0, 0])])
def test_the_samples_of_the_first_step_are_drawn_for_sure(unit: Any, least: list[float]) -> None:
    priced = Expectation.of(table(), CostModel(unit=unit, generators=GENERATORS), LENGTHS)
    assert priced.least.tolist() == least
