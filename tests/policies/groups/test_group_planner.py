import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.groups.group_planner import GroupPlanner
from policies.groups.rate_belief import Drift
from policies.groups.values import GROUP_VALUES, values_at


def seen(n: int = 300, seed: int = 0, **options: object) -> tuple[GroupPlanner, np.ndarray]:
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.4, 0.4, n)
    drawn = np.full(n, 12)
    planner = GroupPlanner.start(n, drift=Drift(), **options)  # type: ignore[arg-type]
    return planner.after(drawn, rng.binomial(12, rates)), rates


@pytest.mark.parametrize("value", GROUP_VALUES)
def test_keeps_budget_floor_and_cap(value: str) -> None:
    planner, _ = seen(floor=3, cap=10, value=value)
    plan = planner.plan(1500)
    assert plan.cost.sum() <= 1500 * (1 + 1e-9)
    assert set(plan.n.tolist()) <= {0, *range(3, 11)}
    everybody = seen(floor=3, cap=10, value=value, everybody=True)[0].plan(1500)
    assert everybody.n.min() >= 3


def test_reaches_what_brute_force_reaches() -> None:
    planner, _ = seen(3, floor=2, cap=4)
    from itertools import product

    from policies.groups.rate_belief import RATES
    from policies.groups.values import expected_values

    sizes = np.array([0, 2, 3, 4])
    worth = expected_values(planner.belief.foreseen().shares, RATES, sizes, "contrast")
    best = max(
        sum(worth[row, at] for row, at in enumerate(pick))
        for pick in product(range(4), repeat=3)
        if sizes[list(pick)].sum() <= 12
    )
    assert planner.plan(12).value.sum() == pytest.approx(best)


def test_goes_where_successes_and_failures_meet() -> None:
    planner, rates = seen()
    n = planner.plan(900).n
    middle = (rates > 0.3) & (rates < 0.7)
    ends = (rates < 0.01) | (rates > 0.99)
    assert n[middle].mean() > 4 * n[ends].mean()


def test_long_rollouts_get_fewer() -> None:
    planner = GroupPlanner.start(2, floor=2, cap=8, drift=Drift()).after(
        np.array([8, 8]), np.array([4, 4]), output_tokens=np.array([800.0, 8000.0])
    )
    assert planner.lengths[1] > 4 * planner.lengths[0]
    n = planner.plan(price=0.0003).n
    assert n[0] > n[1]


def test_batches_add_up_to_an_epoch() -> None:
    planner = GroupPlanner.start(4, drift=Drift())
    whole = planner.after(np.array([4, 4, 4, 4]), np.array([0, 1, 2, 4]))
    parts = planner.after(np.array([4, 4]), np.array([0, 1]), rows=np.array([0, 1]))
    # The population is fitted on the first counts, so that only what follows is the same.
    more = [
        each.after(np.array([4]), np.array([1]), rows=np.array([3]), same_epoch=True)
        for each in (whole, parts)
    ]
    assert [each.epoch for each in more] == [1, 1]
    assert_array_equal(more[0].belief.shares[:3], whole.belief.shares[:3])
    assert more[0].plan(8, rows=np.array([2, 3])).n.shape == (2,)


def test_equal_seeds_give_equal_plans() -> None:
    planner, _ = seen()
    assert_array_equal(planner.plan(600, seed=1).n, planner.plan(600, seed=1).n)


def test_prompts_are_paid_once_for_each_group() -> None:
    planner = GroupPlanner.start(2, tokens_per_rollout=10.0, prompt_tokens=[0.0, 1000.0], cap=4)
    plan = planner.plan(price=0.001)
    assert plan.n.tolist() == [4, 0]
    assert_allclose(plan.cost, [40.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"floor": 0}, "floor"),
        ({"floor": 9, "cap": 8}, "floor"),
        ({"cap": 5000}, "cap"),
        ({"value": "regret"}, "contrast"),
        ({"tokens_per_rollout": 0.0}, "above 0"),
        ({"prompt_tokens": [1.0, 2.0, 3.0]}, "prompt_tokens"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        GroupPlanner.start(2, **arguments)  # type: ignore[arg-type]


def test_prompts_are_counted_in_any_kind_of_whole_number() -> None:
    assert GroupPlanner.start(np.int64(4)).plan(8).n.tolist() == GroupPlanner.start(4).plan(8).n.tolist()  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="whole numbers 1 <= floor"):
        GroupPlanner.start(4, floor=2.5, cap=8)  # type: ignore[arg-type]


def test_budgets_that_cannot_be_met_say_what_would_be_enough() -> None:
    planner = GroupPlanner.start(10, floor=4, everybody=True)
    with pytest.raises(InvalidBudgetError, match="expected to cost 40") as caught:
        planner.plan(39)
    assert caught.value.least == 40
    for asked in ({}, {"budget": 1.0, "price": 1.0}, {"budget": float("nan")}, {"price": -1.0}):
        with pytest.raises(InvalidBudgetError):
            GroupPlanner.start(2).plan(**asked)


def test_tokens_must_match_the_counts() -> None:
    with pytest.raises(InvalidInputError, match="output_tokens"):
        GroupPlanner.start(2).after(np.array([1, 1]), np.array([0, 1]), output_tokens=np.array([1.0]))


def test_values_at_the_ends_and_in_the_middle() -> None:
    sizes = np.array([0, 1, 2, 4])
    for value in GROUP_VALUES:
        table = values_at(np.array([0.0, 0.5, 1.0]), sizes, value)  # type: ignore[arg-type]
        assert (table[[0, 2]] == 0).all() and (table[:, :2] == 0).all()
        assert (np.diff(table[1, 1:]) > 0).all()


@pytest.mark.parametrize("n_batches", [1, 12])
def test_epochs_cost_what_they_are_expected_to(n_batches: int) -> None:
    """Long prompts wait for epochs, and must not be taken for short ones when they come back."""
    rng = np.random.default_rng(0)
    n_prompts = 600
    rates, lengths = rng.beta(0.5, 0.5, n_prompts), rng.lognormal(5.0, 0.8, n_prompts)
    planner = GroupPlanner.start(n_prompts, floor=4, cap=32)
    told, came = [], []
    for epoch in range(14):
        for number, rows in enumerate(np.array_split(rng.permutation(n_prompts), n_batches)):
            plan = planner.plan(2 * len(rows) * (lengths.mean() if epoch else 1.0), rows=rows, seed=epoch)
            tokens = rng.gamma(np.maximum(4 * plan.n, 1e-9), lengths[rows] / 4) * (plan.n > 0)
            told.append(plan.cost.sum() if epoch >= 6 else 0.0)
            came.append(tokens.sum() if epoch >= 6 else 0.0)
            planner = planner.after(
                plan.n,
                rng.binomial(plan.n, rates[rows]),
                output_tokens=tokens,
                rows=rows,
                same_epoch=number > 0,
            )
    assert sum(came) / sum(told) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("rise", [0.35, -0.25])
def test_what_is_told_of_groups_follows_odds_that_move(rise: float) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(-1, 2, 1500)
    groups, ratios = GroupPlanner.start(len(base), floor=4, cap=16), []
    for epoch in range(9):
        rates = 1 / (1 + np.exp(-(base + rise * epoch)))
        plan = groups.plan(2.0 * len(base), seed=epoch)
        came = (1 - rates**plan.n - (1 - rates) ** plan.n)[plan.n > 0].sum()
        ratios.append(plan.value.sum() / came)
        groups = groups.after(plan.n, rng.binomial(plan.n, rates))
    assert np.mean(ratios[5:]) == pytest.approx(1, abs=0.06)
    assert groups.belief.drift_.log_odds * rise > 0
