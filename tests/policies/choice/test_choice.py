"""The deployed policy: what prompts take, what one price spends, what is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidBudgetError, InvalidInputError
from policies.choice.course_policy import CoursePolicy
from policies.choice.levels import reach, spend
from policies.choice.telling import Telling, rising

PRICES = np.array([1.0, 0.1, 0.01])


def policy(*offered: str) -> CoursePolicy:
    """Offers by level, a 1 for each course."""
    table = np.array([[sign == "1" for sign in row] for row in offered])
    return CoursePolicy(prices=PRICES, offered=table, telling=Telling.plain(3))


def test_prompts_take_the_best_of_what_is_on_offer() -> None:
    found = policy("100", "011", "001").choose(
        np.array([[0.2, 0.5, 0.6], [0.2, 0.9, 0.1]]), np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    )
    assert found.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_what_is_left_of_an_offer_is_not_taken_for_want_of_what_it_was_made_for() -> None:
    """The first course brings nothing; it was offered beside the last, which would have been taken."""
    value, cost = np.array([[0.0, 0.5, 0.6]]), np.array([[1.0, 2.0, 3.0]])
    allowed = np.array([[True, True, False]])
    found = policy("001", "101", "110")
    assert found.choose(value, cost).tolist() == [[2, 2, 1]]
    assert found.choose(value, cost, allowed).tolist() == [[0, 1, 1]]
    assert found.choose_at(0.1, value, cost, allowed).tolist() == [1]


def test_where_nothing_on_offer_is_allowed_the_best_of_the_rest_is_taken() -> None:
    value, cost = np.array([[0.2, 0.5, 0.6]]), np.array([[1.0, 2.0, 4.0]])
    allowed = np.array([[True, True, False]])
    assert policy("001", "001", "001").choose(value, cost, allowed).tolist() == [[0, 1, 1]]
    with pytest.raises(InvalidInputError, match="no course at all"):
        policy("001", "001", "001").choose(value, cost, ~np.ones((1, 3), dtype=bool))


def test_policies_survive_their_arrays_and_refuse_others() -> None:
    one = policy("100", "011", "001")
    again = CoursePolicy.from_arrays(one.to_arrays())
    assert (again.offered == one.offered).all() and again.by_text.tolist() == [False, True, False]
    for change in (
        {"prices": PRICES[::-1]},
        {"prices": np.array([np.inf, 0.1, 0.01])},
        {"offered": np.zeros((3, 3), dtype=bool)},
        {"offered": np.ones((2, 3), dtype=bool)},
        {"told.slope": np.array([-1.0, 0, 0])},
        {"told.offset": np.array([np.nan, 0, 0])},
        {"told.lean": np.zeros(2)},
        {"told.lower": np.full((2, 3, 2), 0.5)},
        {"told.upper": np.full((2, 3, 2), 0.5)},
        {"told.upper": np.ones((2, 3, 1))},
        {"told.upper": np.ones((2, 3, 9))},
        {"told.cost_lower": np.ones((2, 3))},
        {"told.cost_lower": np.full((2, 3), 2.0), "told.cost_upper": np.full((2, 3), 3.0)},
        {"told.cost_lower": np.ones((2, 3)), "told.cost_upper": np.full((2, 3), np.inf)},
    ):
        with pytest.raises(InvalidInputError):
            CoursePolicy.from_arrays(one.to_arrays() | change)
    with pytest.raises(InvalidInputError, match="lack"):
        CoursePolicy.from_arrays({"prices": PRICES})


def test_told_values_lie_on_a_line_within_0_and_1() -> None:
    told = replace(Telling.plain(1), offset=np.array([-0.1]), slope=np.array([0.5]), lean=np.array([0.25]))
    usual, expected = np.full((3, 1), 0.5), np.array([[0.5], [0.9], [9.0]])
    assert told.tell(usual).ravel().tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert told.tell(usual, expected).ravel().tolist() == pytest.approx([0.4, 0.6, 1.0])
    near = np.array([[0.1], [0.5], [0.5]])
    assert told.tell(usual, expected, near).ravel().tolist() == pytest.approx([0.3, 0.6, 1.0])


def test_more_compute_is_never_told_to_bring_less() -> None:
    values = np.random.default_rng(0).random((50, 8))
    told = Telling.plain(8).tell(values)
    assert (np.diff(told, axis=1) >= 0).all()
    assert np.abs(told.mean() - values.mean()) < 0.02
    assert np.allclose(rising(np.sort(values, axis=1)), np.sort(values, axis=1))


def test_strangers_may_lie_anywhere_and_intervals_hold_what_is_told() -> None:
    knots = np.linspace(0, 1, 5)
    told = replace(
        Telling.plain(1),
        lower=np.stack([knots - 0.1, 0 * knots])[:, None].clip(0, 1),
        upper=np.stack([knots + 0.1, 0 * knots + 1])[:, None].clip(0, 1),
        cost_lower=np.array([[0.9], [0.5]]),
        cost_upper=np.array([[1.1], [3.0]]),
    )
    level, familiarity = np.zeros(3, dtype=np.intp), np.array([1.0, 0.5, 0.0])
    low, high = told.interval(np.full(3, 0.6), level, familiarity)
    assert low.tolist() == pytest.approx([0.5, 0.25, 0.0])
    assert high.tolist() == pytest.approx([0.7, 0.85, 1.0])
    low, high = told.interval(np.array([0.0, 0.02, 1.0]), level)
    assert (low <= [0.0, 0.02, 1.0]).all() and (high >= [0.0, 0.02, 1.0]).all()
    low, high = told.cost_interval(level, familiarity)
    assert low.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert high.tolist() == pytest.approx([1.1, 2.05, 3.0])


def test_what_all_err_by_together_does_not_fall_with_their_number() -> None:
    told = replace(Telling.plain(1), error=np.array([0.02, 0.04, 0.02]), spread=np.array([0.1, 0.4, 0.1]))
    shared, own = told.mean_errors(np.full(100, 0.5))
    assert (shared, own) == pytest.approx((0.04, 0.04))
    assert told.mean_errors(np.full(10_000, 0.5)) == pytest.approx((0.04, 0.004))
    low, high = told.mean_interval(np.full(100, 0.25))
    assert (low, high) == pytest.approx(
        (0.25 - 1.96 * np.hypot(0.03, 0.025), 0.25 + 1.96 * np.hypot(0.03, 0.025))
    )
    # Strangers may all be of one kind, which may be anything with this mean.
    assert told.mean_errors(np.full(100, 0.5), np.zeros(100))[0] == pytest.approx(0.5)
    assert told.mean_interval(np.full(100, 0.5), np.zeros(100)) == (0.0, 1.0)
    with pytest.raises(InvalidInputError, match="errors of what is told"):
        replace(told, spread=np.array([0.1, -0.1, 0.1]))


def test_a_few_prompts_choose_at_once_what_many_choose_price_by_price() -> None:
    rng = np.random.default_rng(0)
    many = 40_000
    prices = np.geomspace(1, 0.01, 6)
    offered = rng.random((6, 5)) < 0.4
    offered[:, 2] = True
    one = CoursePolicy(prices=prices, offered=offered, telling=Telling.plain(6))
    value, cost = rng.random((many, 5)), rng.uniform(1, 9, (many, 5))
    allowed = rng.random((many, 5)) < 0.5
    allowed[:, 4] = True
    levels = np.array([0, 3, 5])
    for rule in (None, allowed):
        together = one.choose(value, cost, rule, levels)
        few = one.choose(value[:50], cost[:50], None if rule is None else rule[:50], levels)
        assert (few == together[:50]).all()


@st.composite
def menus(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, levels = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cost = np.sort(rng.uniform(1, 20, (n, levels)), axis=1)
    if draw(st.booleans()):  # what is told need not rise with the level
        cost = rng.permuted(cost, axis=1)
    return rng.uniform(0, 1, (n, levels)), cost


@given(menus(), st.floats(1.0, 300.0), st.floats(1.0, 3.0))
@settings(max_examples=300, deadline=None)
def test_a_budget_is_never_exceeded_and_more_is_never_worse(
    menu: tuple[np.ndarray, np.ndarray], budget: float, extra: float
) -> None:
    value, cost = menu
    prices = np.geomspace(1, 0.01, value.shape[1])
    rows = np.arange(len(value))
    least = cost.min(axis=1).sum()
    if budget < least * (1 - 1e-6):
        with pytest.raises(InvalidBudgetError) as caught:
            spend(value, cost, budget=budget, prices=prices)
        assert caught.value.least == pytest.approx(least)
        return
    if budget < least * (1 + 1e-6):
        return
    level = spend(value, cost, budget=budget, prices=prices).level
    assert cost[rows, level].sum() <= budget * (1 + 1e-6)
    more = spend(value, cost, budget=budget * extra, prices=prices).level
    assert value[rows, more].sum() >= value[rows, level].sum() - 1e-9


@given(menus(), st.floats(0.0, 1.0))
@settings(max_examples=200, deadline=None)
def test_any_target_within_reach_is_reached(menu: tuple[np.ndarray, np.ndarray], share: float) -> None:
    value, cost = menu
    prices = np.geomspace(1, 0.01, value.shape[1])
    best = value.mean(axis=0).max()
    target = max(share * best, 1e-6)
    level = reach(value, cost, target=target, prices=prices).level
    assert value[np.arange(len(value)), level].mean() >= target - 1e-9
    with pytest.raises(InvalidBudgetError) as caught:
        reach(value, cost, target=best + 0.01, prices=prices)
    assert caught.value.reachable == pytest.approx(best)


def test_one_prompt_gets_the_dearest_level_that_fits() -> None:
    value, cost = np.array([[0.1, 0.5, 0.9]]), np.array([[1.0, 5.0, 9.0]])
    assert [spend(value, cost, budget=b, prices=PRICES).level[0] for b in (1, 6, 9, 90)] == [0, 1, 2, 2]


def test_a_batch_spends_what_brings_more() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 0.3, (200, 1))
    value, cost = base + np.array([0.0, 0.2, 0.3]), np.tile([1.0, 3.0, 9.0], (200, 1))
    for budget in (200.0, 431.0, 600.0, 1111.0, 1800.0):
        level = spend(value, cost, budget=budget, prices=PRICES).level
        spent = cost[np.arange(200), level].sum()
        assert 0.97 * budget <= spent <= budget * (1 + 1e-6)


@pytest.mark.parametrize("n", [20, 80])
def test_what_some_save_at_no_loss_pays_for_others(n: int) -> None:
    """Half of the prompts are told the same at the next level and cost less there, the others gain by it."""
    value = np.tile([[0.5, 0.5], [0.5, 0.9]], (n // 2, 1))
    cost = np.tile([[3.0, 2.0], [1.0, 2.5]], (n // 2, 1))
    told = spend(value, cost, budget=float(cost[:, 1].sum()) * 1.0001, prices=np.array([1.0, 0.1]))
    nearly = spend(value, cost, budget=float(cost[:, 1].sum()) - 2.0, prices=np.array([1.0, 0.1]))
    worth = [float(value[np.arange(n), one.level].mean()) for one in (told, nearly)]
    assert worth[0] == pytest.approx(0.7)
    assert worth[1] == pytest.approx(0.7 - 2 * 0.4 / n)


def test_a_target_is_reached_at_least_cost_or_refused() -> None:
    value = np.tile([0.2, 0.5, 0.6], (100, 1))
    cost = np.tile([1.0, 2.0, 9.0], (100, 1))
    found = reach(value, cost, target=0.35, prices=PRICES)
    rows = np.arange(100)
    assert value[rows, found.level].mean() == pytest.approx(0.35)
    assert cost[rows, found.level].mean() == pytest.approx(1.5)
    with pytest.raises(InvalidBudgetError, match=r"expected to reach 0\.6 at 9 per prompt"):
        reach(value, cost, target=0.7, prices=PRICES)


def test_errors_speak_of_one_prompt_as_one() -> None:
    value, cost = np.array([[0.2, 0.5]]), np.array([[3.0, 5.0]])
    with pytest.raises(
        InvalidBudgetError, match=r"cheapest plan of this prompt .* cost 3, .* raise it to 3$"
    ):
        spend(value, cost, budget=1.0, prices=PRICES[:2], per_prompt=True)
