"""The planner's promises: budgets in expectation, caps always, one prompt at a price, targets reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from planned_texts import mean_value, texts, total

from difficulty.errors import InvalidBudgetError, InvalidInputError, InvalidPromptError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.cost.budget import Budget

# Sums of this length are strange to the bundle now and then, which has its own tests.
pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)


def randomised(bundle: PolicyBundle, seed: int) -> PolicyBundle:
    """Return the bundle with values, lengths, offers and what is told that are arbitrary."""
    rng = np.random.default_rng(seed)
    table, policy = bundle.table, bundle.policy
    shape, n_levels = table.value.shape, len(policy.prices)
    tokens = table.samples * rng.gamma(2, 50, (shape[0], 1)) * rng.uniform(0.5, 2, table.samples.shape)
    offered = (rng.random(policy.offered.shape) < 0.3) & bundle.deployed
    offered[np.arange(n_levels), rng.choice(np.flatnonzero(bundle.deployed), n_levels)] = True
    return replace(
        bundle,
        table=replace(
            table,
            value=rng.random(shape).astype(np.float32),
            output_tokens=tokens.astype(np.float32),
        ),
        policy=CoursePolicy(
            prices=policy.prices,
            offered=offered,
            telling=replace(
                Telling.plain(n_levels),
                offset=rng.uniform(-0.2, 0.2, n_levels),
                slope=rng.uniform(0, 1.5, n_levels),
                lean=rng.uniform(0, 1.5, n_levels),
                cost=rng.uniform(0.7, 1.4, n_levels),
            ),
        ),
    )


@pytest.fixture(scope="module")
def planner(trained: Any) -> Planner:
    return Planner.load(trained.folder)


@SHARED
@given(seed=st.integers(0, 10**6), limit=st.floats(1.0, 20.0), cap=st.floats(1.0, 30.0), n=st.integers(1, 25))
def test_budgets_are_kept_in_expectation_and_caps_always(
    trained: Any, seed: int, limit: float, cap: float, n: int
) -> None:
    planner = Planner(bundle=randomised(trained.bundle, seed))
    least = min(plan.expected_cost for plan in planner.plan(texts(n, seed), price=1e9))
    prompts = texts(n, seed)
    cheapest = total(planner.plan(prompts, price=1e9))
    for scope, amount in (("prompt", limit * cheapest / n), ("batch", limit * cheapest)):
        budget = Budget(limit=amount, unit="output_tokens", scope=scope)  # type: ignore[arg-type]
        plans = planner.plan(prompts, budget=budget)
        assert total(plans) <= budget.total(n_prompts=n) * (1 + 1e-9)
        capped = replace(budget, max_per_prompt=cap * least)
        try:
            plans = planner.plan(prompts, budget=capped)
        except InvalidBudgetError as error:
            assert error.least is not None or "cap" in str(error)
            continue
        assert max(plan.expected_cost for plan in plans) <= cap * least * (1 + 1e-9)
        assert total(plans) <= budget.total(n_prompts=n) * (1 + 1e-9)


@SHARED
@given(seed=st.integers(0, 10**6))
def test_expected_accuracy_never_falls_as_the_budget_grows(trained: Any, seed: int) -> None:
    planner = Planner(bundle=randomised(trained.bundle, seed))
    prompts = texts(9, seed)
    cheapest = total(planner.plan(prompts, price=1e9))
    worth = [
        mean_value(
            planner.plan(prompts, budget=Budget(limit=cheapest * more, unit="output_tokens", scope="batch"))
        )
        for more in (1.001, 1.5, 2, 3, 5, 9, 20)
    ]
    assert np.all(np.diff(worth) >= -1e-9)


@SHARED
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.999))
def test_targets_are_reached_at_least_cost(trained: Any, seed: int, share: float) -> None:
    planner = Planner(bundle=randomised(trained.bundle, seed))
    prompts = texts(7, seed)
    low, high = mean_value(planner.plan(prompts, price=1e9)), mean_value(planner.plan(prompts, price=0.0))
    target = low + share * (high - low)
    plans = planner.plan(prompts, target_accuracy=target)
    assert mean_value(plans) >= target - 1e-9
    # No frontier point that reaches the target may be cheaper than the plan by more than one prompt's step.
    dearest = max(plan.expected_cost for plan in planner.plan(prompts, price=0.0))
    for point in planner.frontier(prompts, n_points=60):
        if point.expected_accuracy >= target:
            assert total(plans) <= point.expected_cost * 7 + dearest
            break


def test_a_target_out_of_reach_says_what_is_reachable(planner: Planner) -> None:
    prompts = texts(5)
    best = planner.frontier(prompts)[-1].expected_accuracy
    with pytest.raises(InvalidBudgetError) as caught:
        planner.plan(prompts, target_accuracy=min(best + 0.01, 1.0))
    assert caught.value.reachable is not None
    assert_allclose(caught.value.reachable, best, rtol=1e-6)
    plans = planner.plan(prompts, target_accuracy=caught.value.reachable - 1e-9)
    assert mean_value(plans) >= best - 2e-9


@pytest.mark.parametrize("target", [0.0, -0.5, 1.5, float("nan"), 10**400])
def test_a_target_that_is_no_accuracy_is_refused(planner: Planner, target: float) -> None:
    with pytest.raises(InvalidBudgetError):
        planner.plan(texts(2), target_accuracy=target)


def test_a_price_of_any_type_of_number_is_planned_at(planner: Planner) -> None:
    (plan,) = planner.plan(texts(1), price=Fraction(1, 3))  # type: ignore[arg-type]  # users have them
    assert plan == planner.plan(texts(1), price=1 / 3)[0]


def test_at_a_price_a_plan_depends_on_its_prompt_alone(planner: Planner) -> None:
    prompts = texts(12)
    together = planner.plan(prompts, price=2e-4)
    alone = [planner.plan([prompt], price=2e-4)[0] for prompt in prompts]
    assert [plan.allocation for plan in together] == [plan.allocation for plan in alone]
    assert_allclose([p.expected_cost for p in together], [p.expected_cost for p in alone], rtol=1e-5)
    assert len({plan.allocation for plan in together}) > 1


def test_reordering_prompts_reorders_plans(planner: Planner) -> None:
    prompts = texts(20)
    order = np.random.default_rng(0).permutation(20)
    budget = Budget(limit=150, unit="output_tokens")
    straight = planner.plan(prompts, budget=budget)
    shuffled = planner.plan([prompts[index] for index in order], budget=budget)
    assert [plan.prompt_id for plan in shuffled] == [straight[index].prompt_id for index in order]
    assert [plan.allocation for plan in shuffled] == [straight[index].allocation for index in order]


def test_equal_seeds_give_equal_plans_and_the_seed_breaks_ties_only() -> None:
    planner = Planner.untrained()
    prompts, budget = texts(9), Budget(limit=7, unit="samples")
    assert planner.plan(prompts, budget=budget, seed=3) == planner.plan(prompts, budget=budget, seed=3)
    one, two = planner.plan(prompts, budget=budget, seed=0), planner.plan(prompts, budget=budget, seed=1)
    assert [plan.allocation for plan in one] != [plan.allocation for plan in two]
    assert sorted(map(str, (p.allocation for p in one))) == sorted(map(str, (p.allocation for p in two)))


def test_strings_and_prompts_are_planned_alike(planner: Planner) -> None:
    (text,) = texts(1)
    budget = Budget(limit=150, unit="output_tokens")
    from_text, from_prompt = (planner.plan([p], budget=budget)[0] for p in (text, Prompt(text=text)))
    assert from_text == from_prompt
    assert planner.plan([Prompt(id="mine", text=text)], budget=budget)[0].prompt_id == "mine"


def test_hard_prompts_are_told_from_easy_ones(planner: Planner) -> None:
    easy, hard = "Add up 3 + 4.", "Add up 3 + 44 + 8 + 59 + 12 + 7 + 31 + 20 + 5."
    assert planner.bundle.policy.by_text.any()
    means = planner.belief([easy, hard]).mean("model-0")
    assert means[0] > 0.6
    assert means[1] < 0.3


def test_no_prompts_no_plans(planner: Planner) -> None:
    assert planner.plan([], budget=Budget(limit=5, unit="samples")) == []
    assert planner.plan([], price=0.1) == []
    assert planner.frontier([]) == []


def test_prompts_without_text_get_what_the_population_gets(planner: Planner) -> None:
    plans = planner.plan([Prompt(id="a"), Prompt(id="b")], price=2e-4)
    assert plans[0].allocation == plans[1].allocation


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"price": 0.1, "target_accuracy": 0.5},
        {"price": -1.0},
        {"price": float("nan")},
        {"budget": 100},
        {"budget": Budget(limit=1e-9, unit="output_tokens")},
        {"budget": Budget(limit=0.5, unit="samples")},
    ],
)
def test_what_cannot_be_meant_or_met_is_refused(planner: Planner, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidBudgetError):
        planner.plan(texts(2), **arguments)


def test_a_budget_below_one_sample_says_the_least(planner: Planner) -> None:
    with pytest.raises(InvalidBudgetError) as caught:
        planner.plan(texts(3), budget=Budget(limit=0.5, unit="samples"))
    assert caught.value.least == 3


def test_a_cap_below_the_cheapest_allocation_is_refused(planner: Planner) -> None:
    with pytest.raises(InvalidBudgetError):
        planner.plan(texts(2), budget=Budget(limit=500, unit="output_tokens", max_per_prompt=1e-3))


def test_empty_and_repeated_prompts_are_refused(planner: Planner) -> None:
    with pytest.raises(InvalidPromptError, match="is empty"):
        planner.plan(["fine", "  "], price=0.1)
    with pytest.raises(InvalidPromptError, match="twice"):
        planner.plan([Prompt(id="a", text="x"), Prompt(id="a", text="y")], price=0.1)
    with pytest.raises(InvalidPromptError, match="not one string"):
        planner.plan("one string", price=0.1)


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (Prompt(text="6 * 7?"), "not one prompt"),
        (None, "got NoneType"),
        (7, "got int"),
        ({"6 * 7?": "42"}, "the column of prompts"),
        (pandas.DataFrame({"prompt": ["6 * 7?"]}), "the column of prompts"),
    ],
)
def test_what_holds_no_prompts_is_refused(planner: Planner, prompts: Any, words: str) -> None:
    with pytest.raises(InvalidPromptError, match=words):
        planner.plan(prompts, price=0.1)


@pytest.mark.parametrize("backend", [None, "openai", Planner])
def test_what_is_no_backend_is_refused(planner: Planner, backend: Any) -> None:
    with pytest.raises(InvalidInputError, match="must have a method `sample`"):
        planner.run(["6 * 7?"], budget=Budget(limit=4, unit="samples"), backend=backend)


@SHARED
@given(seed=st.integers(0, 10**6))
def test_a_lower_price_never_promises_a_prompt_less(trained: Any, seed: int) -> None:
    planner = Planner(bundle=randomised(trained.bundle, seed))
    prompts = texts(9, seed)
    told = [
        [plan.expected_accuracy for plan in planner.plan(prompts, price=price)]
        for price in np.geomspace(1, 1e-7, 12).tolist()
    ]
    assert (np.diff(told, axis=0) >= 0).all()


def test_costs_of_plans_lie_in_their_intervals_or_nobody_knows(planner: Planner) -> None:
    prompts = texts(12)
    for plan in planner.plan(prompts, budget=Budget(limit=300, unit="output_tokens")):
        assert plan.cost_interval is not None
        assert plan.cost_interval[0] <= plan.expected_cost <= plan.cost_interval[1]
    for plan in planner.plan(prompts, budget=Budget(limit=4, unit="samples"), one_shot=True):
        assert plan.cost_interval == (plan.expected_cost, plan.expected_cost)
    reacting = planner.plan(prompts, budget=Budget(limit=4, unit="samples"))
    assert any(plan.cost_interval is None for plan in reacting if plan.course and not plan.course.one_shot)
    (cold,) = Planner.untrained().plan(prompts[:1], budget=Budget(limit=4000, unit="output_tokens"))
    assert cold.cost_interval is None and cold.accuracy_interval == (0.0, 1.0)


def test_the_frontier_rises_and_its_prices_buy_its_points(planner: Planner) -> None:
    prompts = texts(10)
    points = planner.frontier(prompts)
    assert len(points) > 5
    costs, values, prices, ends = (np.array(column) for column in zip(*points, strict=True))
    assert np.all((ends[:, 0] <= values) & (values <= ends[:, 1]))
    assert np.all(np.diff(costs) > 0)
    assert np.all(np.diff(values) >= -1e-9)
    assert np.all(np.diff(prices) < 0)
    for point in (points[0], points[len(points) // 2], points[-1]):
        plans = planner.plan(prompts, price=point.price)
        assert_allclose(total(plans) / 10, point.expected_cost, rtol=1e-5)
        assert_allclose(mean_value(plans), point.expected_accuracy, rtol=1e-5)


def test_a_frontier_of_one_point_is_refused(planner: Planner) -> None:
    with pytest.raises(InvalidBudgetError, match="n_points"):
        planner.frontier(texts(2), n_points=1)


def test_equal_prompts_get_equal_plans_wherever_they_stand(planner: Planner) -> None:
    same = [Prompt(id=str(number), text="Add up 3 + 4 + 15.") for number in range(61)]
    plans = planner.plan(same, price=1e-3)
    assert {replace(plan, prompt_id="any") for plan in plans} == {replace(plans[0], prompt_id="any")}


def test_a_budget_of_exactly_the_cheapest_is_enough(planner: Planner) -> None:
    least = planner.frontier(texts(20))[0].expected_cost
    plans = planner.plan(texts(20), budget=Budget(limit=least, unit="output_tokens"))
    assert total(plans) <= 20 * least * (1 + 1e-6)


def test_chunks_of_prompts_do_not_show(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, budget = texts(11), Budget(limit=150, unit="output_tokens")
    whole = planner.plan(prompts, budget=budget)
    monkeypatch.setattr("planner.planning.menu.CHUNK", 4)
    cut = planner.plan(prompts, budget=budget)
    assert [plan.allocation for plan in cut] == [plan.allocation for plan in whole]
    assert_allclose([p.accuracy_interval for p in cut], [p.accuracy_interval for p in whole], rtol=1e-4)


def test_intervals_hold_the_expectation_and_are_narrower_with_less_spread(planner: Planner) -> None:
    for plan in planner.plan(texts(10), budget=Budget(limit=150, unit="output_tokens")):
        low, high = plan.accuracy_interval
        assert 0 <= low <= plan.expected_accuracy <= high <= 1
        assert high > low


def test_prompts_that_count_no_tokens_are_held_as_the_log_has_them(trained: Any) -> None:
    class LongTemplate:
        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            rows = await SimulatedBackend(mean_output_tokens=200).sample(requests)
            return [[replace(row[0], prompt_tokens=300), *row[1:]] for row in rows]

    planner = Planner(
        bundle=replace(
            trained.bundle, prompt_token_fit=dict.fromkeys(trained.bundle.generators, (300.0, 0.0))
        )
    )
    prompts = [Prompt(id=prompt.id, text=prompt.text) for prompt in trained.test_log.prompts[:6]]
    for prompt in prompts:
        least = planner.frontier([prompt], unit="total_tokens")[0].expected_cost
        for limit in (least + 5, 1.5 * least, 3 * least):
            budget = Budget(limit=limit, unit="total_tokens", scope="prompt")
            (outcome,) = planner.run([prompt], backend=LongTemplate(), budget=budget)
            assert outcome.cost is not None and 0 < outcome.cost <= limit
