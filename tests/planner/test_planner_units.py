"""Planning in every unit, for the generators at hand, where text tells nothing, and without training."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from planned_texts import mean_value, texts, total

from difficulty.errors import UnknownGeneratorError, UnknownUnitError
from difficulty.generator import Generator
from difficulty.prompt import as_prompts
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.planning.expectation import Expectation, Lengths
from planner.simulated import SimulatedBackend, SimulatedExtractor
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.cost.budget import UNITS, Budget
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.solver.hull import upper_hull

# Sums of this length are strange to the bundle now and then, which has its own tests.
pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")

FIGURES = CostModel(
    unit="samples",
    generators={
        f"model-{number}": Generator(
            name=f"model-{number}", params=1e9, usd_per_mtok_in=0.1, usd_per_mtok_out=0.4
        )
        for number in range(2)
    },
    joules_per_output_token={"model-0": 0.5, "model-1": 1.0},
)


@pytest.fixture(scope="module")
def planner(trained: Any) -> Planner:
    return Planner.load(trained.folder)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_can_be_planned_in(trained: Any, unit: Any) -> None:
    planner = Planner.load(
        trained.folder, cost_model=FIGURES, decode=DecodeModel(per_step=0.01, per_sample=1e-3)
    )
    prompts = texts(6)
    dearest = total(planner.plan(prompts, budget=Budget(limit=1e18, unit=unit, max_per_prompt=1e18)))
    least = planner.frontier(prompts, unit=unit)[0].expected_cost
    budget = Budget(limit=max(2 * least, least + 1e-12), unit=unit)
    plans = planner.plan(prompts, budget=budget)
    assert total(plans) <= budget.limit * 6 * (1 + 1e-9)
    assert {plan.unit for plan in plans} == {unit}
    assert total(plans) < dearest
    assert all(plan.expected_cost > 0 for plan in plans)


@pytest.mark.parametrize(
    ("unit", "missing"), [("usd", "usd_per_mtok"), ("joules", "joules_per"), ("seconds", "decode model")]
)
def test_a_unit_without_its_figures_says_what_is_missing(planner: Planner, unit: Any, missing: str) -> None:
    with pytest.raises(UnknownUnitError, match=missing):
        planner.plan(texts(2), budget=Budget(limit=1e6, unit=unit))
    with pytest.raises(UnknownUnitError):
        planner.frontier(texts(2), unit="bananas")


def test_runs_in_seconds_are_refused_before_anything_is_drawn(trained: Any) -> None:
    planner = Planner.load(trained.folder, decode=DecodeModel(per_step=0.01, per_sample=1e-3))
    budget = Budget(limit=100.0, unit="seconds")
    with pytest.raises(UnknownUnitError, match="can be planned in, but no run is held"):
        planner.run(texts(2), budget=budget, backend=SimulatedBackend(), extractor=SimulatedExtractor())


def static(bundle: PolicyBundle) -> PolicyBundle:
    """Return a bundle that was not shown to gain anything: the best static mix, and nothing of the text."""
    value, model = (
        bundle.table.value.mean(axis=0),
        CostModel(unit="output_tokens", generators=bundle.generators),
    )
    one_shot = np.array([course.one_shot for course in bundle.table.courses])
    cost = bundle.table.cost(model, {name: np.zeros(len(bundle.table.value)) for name in bundle.generators})
    worth = value - bundle.policy.prices[:, None] * cost.mean(axis=0)
    best = np.where(one_shot & bundle.deployed, worth, -np.inf).argmax(axis=1)
    n_levels = len(bundle.policy.prices)
    return replace(
        bundle,
        policy=CoursePolicy(
            prices=bundle.policy.prices,
            offered=best[:, None] == np.arange(len(value)),
            telling=replace(Telling.plain(n_levels), slope=np.zeros(n_levels)),
        ),
    )


def test_where_text_does_not_pay_everybody_gets_the_best_static_mix(trained: Any) -> None:
    bundle = static(trained.bundle)
    planner, prompts = Planner(bundle=bundle), texts(30)
    model = CostModel(unit="output_tokens", generators=bundle.generators)
    value = bundle.table.value.mean(axis=0, dtype=np.float64)
    nothing = {name: np.zeros(len(bundle.table.value)) for name in bundle.generators}
    cost = bundle.table.cost(model, nothing).mean(axis=0, dtype=np.float64)
    kept = np.array([c.one_shot for c in bundle.table.courses]) & bundle.deployed
    hull = np.flatnonzero(kept)[upper_hull(value[None, kept], cost[None, kept])[0]]
    on_hull = {bundle.table.courses[column] for column in hull}
    # These prompts are longer than those of the log, and cost more.
    lengths = Lengths(
        reference={name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)},
        fit=bundle.prompt_token_fit,
    )
    priced = Expectation.of(bundle.table, model, lengths)
    cost = priced.expect_alike(priced.tokens(as_prompts(prompts)))[1].mean(axis=0)
    for limit in np.geomspace(cost[hull].min() * 1.01, cost[hull].max() * 1.1, 8).tolist():
        plans = planner.plan(prompts, budget=Budget(limit=limit, unit="output_tokens"))
        # A mix of two neighbours on the hull; what is left over may buy some prompts something between them.
        assert {plan.course for plan in plans} <= on_hull
        mixed = np.interp(limit, cost[hull][np.argsort(cost[hull])], value[hull][np.argsort(cost[hull])])
        assert mean_value(plans) >= mixed - 1 / len(prompts)


def test_prompts_are_told_apart_also_where_all_get_the_same(trained: Any) -> None:
    bundle = static(trained.bundle)
    policy = replace(bundle.policy, telling=Telling.plain(len(bundle.policy.prices)))
    prompts, telling = texts(30), Planner(bundle=replace(bundle, policy=policy))
    budget = Budget(limit=300, unit="output_tokens")
    alike, apart = (one.plan(prompts, budget=budget) for one in (Planner(bundle=bundle), telling))
    assert [plan.course for plan in alike] == [plan.course for plan in apart]
    assert [plan.expected_cost for plan in alike] == [plan.expected_cost for plan in apart]
    terms = np.array([prompt.count("+") for prompt in prompts])
    told = np.array([plan.expected_accuracy for plan in apart])
    assert told[terms <= 3].mean() > told[terms >= 6].mean() + 0.3
    target = float(told.mean())
    reached = telling.plan(prompts, target_accuracy=target)
    assert mean_value(reached) >= target - 1e-9


def test_other_settings_of_a_generator_warn_at_the_caller(trained: Any) -> None:
    given = dict(trained.bundle.generators)
    given["model-0"] = replace(given["model-0"], temperature=0.2, model="another")
    with pytest.warns(UserWarning, match="'model-0' differs .* in model, temperature") as caught:
        Planner.load(trained.folder, generators=given)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Planner.load(trained.folder, generators=trained.bundle.generators)


def test_only_the_generators_at_hand_are_planned_for(trained: Any) -> None:
    some = {"model-0": trained.bundle.generators["model-0"], "unheard-of": Generator(name="unheard-of")}
    planner = Planner.load(trained.folder, generators=some)
    plans = planner.plan(texts(8), price=0.0)
    assert {plan.allocation.generator for plan in plans} == {"model-0"}
    with pytest.raises(UnknownGeneratorError, match="trained on model-0, model-1; none of other is"):
        Planner.load(trained.folder, generators={"other": Generator(name="other")})


def test_new_prices_of_a_generator_change_plans_in_dollars(trained: Any) -> None:
    def spent(usd: float) -> float:
        given = {
            name: replace(generator, usd_per_mtok_in=0.0, usd_per_mtok_out=usd)
            for name, generator in trained.bundle.generators.items()
        }
        with pytest.warns(UserWarning, match="usd_per_mtok"):
            planner = Planner.load(trained.folder, generators=given)
        return planner.frontier(texts(3), unit="usd")[-1].expected_cost

    assert_allclose(spent(2.0), 2 * spent(1.0))


def test_untrained_plans_more_where_more_may_be_spent() -> None:
    planner = Planner.untrained(["a", "b"])
    widths = [
        planner.plan(["What is 6 times 7?"], budget=Budget(limit=limit, unit="samples"))[0].allocation.n
        for limit in (1, 3, 8, 40)
    ]
    assert widths == sorted(widths)
    assert widths[0] == 1
    assert widths[-1] > 8
    coverage = Planner.untrained(objective="coverage").plan(["x"], budget=Budget(limit=8, unit="samples"))[0]
    assert coverage.objective == "coverage"
    assert coverage.allocation.strategy == "first_success"
