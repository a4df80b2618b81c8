"""What allocations are expected to cost, in every unit, against sums done by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from planner.planning.pricing import Pricing, columns_by_generator

from difficulty.belief.reference_prompts import Belief, ReferencePrompts
from difficulty.errors import UnknownUnitError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.allocation import Allocation
from policies.menu.curves import CurveTable

ONE = Allocation(generator="small", strategy="majority_vote", width=1)
FIVE = Allocation(generator="small", strategy="majority_vote", width=5)
BEST = Allocation(generator="small", strategy="best_of_n", width=4, params={"verifier": "score"})
LIKELY = Allocation(generator="small", strategy="best_of_n", width=4, params={"verifier": "mean_logprob"})
LARGE = Allocation(generator="large", strategy="majority_vote", width=1)
CHAINS = Allocation(
    generator="small", strategy="sequential_revision", width=2, depth=3, params={"selection": "majority"}
)
MENU = (ONE, FIVE, BEST, LIKELY, LARGE, CHAINS)
GENERATORS = {
    "small": Generator(name="small", params=1e9, usd_per_mtok_in=1.0, usd_per_mtok_out=2.0),
    "large": Generator(name="large", params=8e9, usd_per_mtok_in=10.0, usd_per_mtok_out=20.0),
}


def table(menu: Sequence[Allocation] = MENU) -> CurveTable:
    """Two reference prompts of 100 and 200 tokens, samples of 10 and 30 output tokens."""
    samples = np.tile([float(a.n) for a in menu], (2, 1))
    prompt = np.array([[100.0], [200.0]])
    # Chains re-send the question and what came before: 130 tokens a step here, for the first prompt.
    readings = np.array([1.3 * a.n if a.depth > 1 else 1.0 for a in menu])
    return CurveTable(
        prompt_ids=("a", "b"),
        allocations=tuple(menu),
        value=np.full(samples.shape, 0.5),
        samples=samples,
        prompt_tokens=prompt * readings,
        output_tokens=np.array([[10.0], [30.0]]) * samples,
    )


def belief(rows: list[list[float]]) -> Belief:
    references = ReferencePrompts(
        generators=("small", "large"),
        n=np.full((2, 2), 4),
        n_correct=np.full((2, 2), 2),
        output_tokens=np.array([[10.0, 10.0], [30.0, 30.0]]),
        coordinates=np.zeros((2, 1)),
    )
    return Belief(weights=np.array(rows, dtype=np.float32), references=references)


def test_columns_are_grouped_by_generator_in_order_of_appearance() -> None:
    groups = columns_by_generator([LARGE, ONE, LARGE])
    assert list(groups) == ["large", "small"]
    assert_array_equal(groups["large"], [0, 2])


def test_recorded_costs_are_the_recorded_usage() -> None:
    def recorded(unit: str) -> np.ndarray:
        return Pricing(cost_model=CostModel(unit=unit, generators=GENERATORS)).recorded(table())  # type: ignore[arg-type]

    assert_allclose(recorded("samples")[0], [1, 5, 4, 4, 1, 6])
    assert_allclose(recorded("output_tokens")[1], [30, 150, 120, 120, 30, 180])
    assert_allclose(recorded("total_tokens")[0], [110, 150, 140, 140, 110, 780 + 60])
    assert_allclose(recorded("flops")[0, [0, 4]], [2e9 * 110, 16e9 * 110])
    assert_allclose(recorded("usd")[0, [0, 4]], [(100 + 2 * 10) / 1e6, (1000 + 200) / 1e6])


def test_expected_costs_are_weighted_over_references() -> None:
    pricing = Pricing(cost_model=CostModel(unit="output_tokens"))
    prompts = [Prompt(id="x"), Prompt(id="y")]
    cost = pricing.expected(prompts, belief([[0.5, 0.5], [1.0, 0.0]]), table())
    assert_allclose(cost[:, 1], [100, 50])
    samples = Pricing(cost_model=CostModel(unit="samples")).expected(
        prompts, belief([[1.0, 0.0]] * 2), table()
    )
    assert_array_equal(samples, [[1, 5, 4, 4, 1, 6]] * 2)


def test_a_known_prompt_length_replaces_the_believed_one() -> None:
    pricing = Pricing(cost_model=CostModel(unit="total_tokens"), prompt_token_fit={"small": (10.0, 0.5)})
    prompts = [
        Prompt(id="known", prompt_tokens=50, text="x" * 1000),
        Prompt(id="from its length", text="x" * 100),
        Prompt(id="unknown"),
    ]
    cost = pricing.expected(prompts, belief([[1.0, 0.0]] * 3), table())
    assert_allclose(cost[:, 0], [50 + 10, 10 + 50 + 10, 100 + 10])
    # The same ratio holds for what chains re-send.
    assert_allclose(cost[:, 5], [780 * 0.5 + 60, 780 * 0.6 + 60, 780 + 60])
    # No fit for the large generator: its belief stands where the length is not given.
    assert_allclose(cost[:, 4], [50 + 10, 100 + 10, 100 + 10])


def test_a_reward_model_reads_question_and_completion_of_every_sample() -> None:
    free = Pricing(cost_model=CostModel(unit="flops", generators=GENERATORS)).recorded(table())
    paid = Pricing(cost_model=CostModel(unit="flops", generators=GENERATORS, verifier_params=7e9)).recorded(
        table()
    )
    assert_allclose((paid - free)[0], [0, 0, 2 * 7e9 * 4 * (100 + 10), 0, 0, 0])


@pytest.mark.parametrize(
    ("unit", "figure", "per_token"),
    [
        ("usd", {"usd_per_mtok_verifier": 3.0}, 3e-6),
        ("joules", {"joules_per_verifier_token": 0.2}, 0.2),
        ("total_tokens", {"verifier_params": 7e9}, 1.0),
        ("output_tokens", {"verifier_params": 7e9}, 0.0),
        ("samples", {"verifier_params": 7e9}, 0.0),
        ("usd", {"verifier_params": 7e9}, 0.0),
    ],
)
def test_the_verifier_is_charged_where_the_unit_has_a_figure_for_it(
    unit: str, figure: dict[str, float], per_token: float
) -> None:
    energy = {"small": 1.0, "large": 1.0}

    def cost(**more: float) -> np.ndarray:
        model = CostModel(unit=unit, generators=GENERATORS, joules_per_output_token=energy, **more)  # type: ignore[arg-type]
        return Pricing(cost_model=model).recorded(table())

    assert_allclose((cost(**figure) - cost())[0], np.array([0, 0, 440 * per_token, 0, 0, 0]), atol=1e-12)


def test_seconds_read_the_question_once_per_round() -> None:
    decode = DecodeModel(per_step=0.01, per_prompt_token=0.001)
    seconds = Pricing(cost_model=CostModel(unit="seconds"), decode=decode).recorded(table())
    # Five samples side by side take as long as one: ten steps, and one reading of 100 tokens.
    assert_allclose(seconds[0, [0, 1, 4]], 10 * 0.01 + 100 * 0.001)
    alone = decode.seconds(width=2, depth=3, output_tokens=10, prompt_tokens=100)
    assert_allclose(seconds[0, 5], alone)


def test_seconds_need_a_decode_model() -> None:
    with pytest.raises(UnknownUnitError, match=r"seconds need a decode model.*DecodeModel\.fit"):
        Pricing(cost_model=CostModel(unit="seconds")).recorded(table())


def test_tokens_that_were_not_recorded_cannot_be_priced() -> None:
    unrecorded = table().columns(np.array([0]))
    unrecorded.output_tokens[:] = np.nan
    with pytest.raises(UnknownUnitError, match=r"output_tokens were not recorded.*unit 'samples'"):
        Pricing(cost_model=CostModel(unit="output_tokens")).recorded(unrecorded)
    assert_array_equal(Pricing(cost_model=CostModel(unit="samples")).recorded(unrecorded), [[1], [1]])


def test_chains_alone_still_know_their_question() -> None:
    decode = DecodeModel(per_step=0.0, per_prompt_token=0.001)
    seconds = Pricing(cost_model=CostModel(unit="seconds"), decode=decode).recorded(table([CHAINS]))
    assert 0.13 * 3 <= seconds[0, 0] < 0.13 * 3 + 0.2


BEAM = Allocation(generator="small", strategy="beam_search", width=4, params={"beam_width": 2, "n": 4})
SCORED = Pricing(cost_model=CostModel(unit="total_tokens", verifier_params=0.0))


def searched(read: Sequence[float] | None) -> CurveTable:
    """One sample, best of four and a search of size four that re-sends 300 and 600 prompt tokens."""
    curves = table([ONE, BEST, BEAM])
    curves.prompt_tokens[:, 2] *= 3
    if read is None:
        return curves
    recorded = np.full((2, 3), np.nan)
    recorded[:, 2] = read
    return replace(curves, verifier_tokens=recorded)


def test_recorded_reading_takes_the_place_of_the_estimate() -> None:
    estimated = SCORED.recorded(searched(None))
    assert_allclose(estimated[0], [110, 140 + 440, 340 + 440])
    assert_allclose(SCORED.recorded(searched([1000, np.nan])) - estimated, [[0, 0, 1000 - 440], [0, 0, 0]])
    free = Pricing(cost_model=CostModel(unit="total_tokens")).recorded(searched([1000, 2000]))
    assert_allclose(free[0], [110, 140, 340])


def test_a_recorded_zero_is_free() -> None:
    assert_allclose(SCORED.recorded(searched([0, 0]))[:, 2], [340, 720])


def test_what_is_read_of_a_new_prompt_grows_with_its_length() -> None:
    prompts = [Prompt(id="as the references"), Prompt(id="long", prompt_tokens=300)]
    weights = belief([[1.0, 0.0]] * 2)
    plain = SCORED.expected(prompts, weights, searched(None))
    twice = SCORED.expected(prompts, weights, searched([880, np.nan]))
    # Twice the estimate on the reference prompt, so twice the estimate of a prompt of any length.
    assert_allclose((twice - plain)[:, 2], [440, 4 * 300 + 40], rtol=1e-6)
    assert_allclose(twice[:, :2], plain[:, :2])


def test_reference_prompts_without_a_recording_stand_at_their_estimate() -> None:
    half = belief([[0.5, 0.5]])
    plain = SCORED.expected([Prompt(id="x")], half, searched(None))
    mixed = SCORED.expected([Prompt(id="x")], half, searched([1440, np.nan]))
    assert_allclose((mixed - plain)[0, 2], 500, rtol=1e-5)


def test_reading_that_no_estimate_explains_is_expected_as_recorded() -> None:
    led = replace(BEAM, params={"beam_width": 2, "n": 4, "verifier": "mean_logprob"})
    curves = replace(searched([700, 900]), allocations=(ONE, BEST, led))
    cost = SCORED.expected([Prompt(id="x")], belief([[0.5, 0.5]]), curves)
    assert_allclose(cost[0, 2], 1.5 * 300 + 4 * 20 + 800, rtol=1e-6)


def test_a_search_alone_is_read_as_among_others_where_the_reading_is_given() -> None:
    curves = searched(None)
    reading = SCORED.reading(curves)
    alone = replace(curves, verifier_tokens=reading).columns(np.array([2]))
    assert_allclose(SCORED.recorded(alone)[:, 0], SCORED.recorded(curves)[:, 2])
    assert Pricing(cost_model=CostModel(unit="output_tokens")).reading(curves) is None
