"""Which of a few moves a prompt takes at a price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from difficulty.belief.weight_spec import PolicySpec
from difficulty.errors import InvalidInputError
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.routing import Routing
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rules import Always

LEVEL = np.linspace(-1.5, 1.5, 40)[:, None]
PRICES = np.array([1.0, 0.1, 0.01])
# The second move is right where the first is wrong, above the middle; the third costs ten times as much.
EASY = (LEVEL[:, 0] > 0).astype(float)
ROUTING = Routing(
    options=((0,), (0, 1), (1, 0, 2)),
    value=np.column_stack([1 - EASY, 1 - EASY, EASY, EASY, 1 - EASY, np.ones(40)]),
    cost=np.array([1.0, 1, 1, 1, 1, 10.0]) * np.ones((40, 6)),
    taken=np.column_stack([0 * EASY, EASY, 1 - EASY]).astype(int),
)


def moves(routing: Routing, prices: np.ndarray = PRICES, levels: np.ndarray = LEVEL) -> np.ndarray:
    """Return the moves that the options stand for."""
    options = routing.pick(levels, references=LEVEL, prices=prices)
    table = [np.array(offered)[options[:, at]] for at, offered in enumerate(routing.options)]
    return np.stack(table, axis=1)


def test_prompts_take_what_was_best_for_those_that_they_resemble() -> None:
    picked = moves(ROUTING)
    clear = np.abs(LEVEL[:, 0]) > 0.9
    np.testing.assert_array_equal(picked[:, 0], 0)
    np.testing.assert_array_equal(picked[clear, 1], EASY[clear])
    # Where it is not clear which of the cheap ones is right, the dear one is worth its price.
    np.testing.assert_array_equal(picked[clear, 2], EASY[clear])
    assert set(picked[np.abs(LEVEL[:, 0]) < 0.1, 2]) == {2}


def test_prices_decide_between_dear_and_cheap_moves() -> None:
    dear = replace(
        ROUTING,
        options=((2, 1),),
        value=ROUTING.value[:, [5, 3]],
        cost=ROUTING.cost[:, [5, 3]],
        taken=ROUTING.taken[:, :1],
    )
    picked = [moves(dear, np.array([price])) for price in (1e-6, 1.0)]
    assert (picked[0] == 2).mean() > (picked[1] == 2).mean()
    assert set(picked[1][:, 0]) == {1}


def test_a_prompt_is_picked_for_alone_as_in_a_batch() -> None:
    together = ROUTING.pick(LEVEL, references=LEVEL, prices=PRICES)
    alone = [ROUTING.pick(row[None], references=LEVEL, prices=PRICES)[0] for row in LEVEL]
    np.testing.assert_array_equal(together, alone)


def test_references_that_were_not_replayed_have_no_say() -> None:
    value, cost = ROUTING.value.copy(), ROUTING.cost.copy()
    value[::2] = np.nan
    cost[::2] = np.nan
    fewer = replace(ROUTING, value=value, cost=cost)
    np.testing.assert_array_equal(
        fewer.pick(LEVEL, references=LEVEL, prices=PRICES),
        ROUTING.take(np.arange(1, 40, 2)).pick(LEVEL, references=LEVEL[1::2], prices=PRICES),
    )
    nothing = np.full_like(value, np.nan)
    nobody = replace(ROUTING, value=nothing, cost=nothing)
    np.testing.assert_array_equal(moves(nobody), np.tile([0, 0, 1], (40, 1)))
    # Nor has anybody where coordinates tell nothing.
    none = np.zeros((40, 0))
    np.testing.assert_array_equal(ROUTING.pick(none, references=none, prices=PRICES), 0)


def test_each_option_is_measured_on_those_that_take_it() -> None:
    values = np.arange(120.0).reshape(40, 3)
    among = ROUTING.among(values)
    assert among.shape == (40, 6)
    np.testing.assert_array_equal(np.nansum(among[:, 1:3], axis=1), values[:, 1])
    np.testing.assert_array_equal(np.isnan(among[:, 2]), EASY == 0)
    assert np.isnan(among[:, 5]).all()


INFINITE, NEGATIVE, TWO = (np.where(np.eye(40, 6, dtype=bool), number, 0.5) for number in (np.inf, -1.0, 2.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": ((0,), (), (1, 0, 2))},
        {"value": ROUTING.value[:, :4], "cost": ROUTING.cost[:, :4]},
        {"cost": ROUTING.cost[:5]},
        {"options": ((0,), (0, 0), (1, 0, 2))},
        {"value": TWO},
        {"value": NEGATIVE},
        {"value": ROUTING.value.astype(complex)},
        {"value": ROUTING.value.astype(str)},
        {"value": np.where(np.eye(40, 6, dtype=bool), np.nan, 0.5)},
        {"cost": NEGATIVE},
        {"cost": INFINITE},
        {"taken": ROUTING.taken + 1},
        {"taken": ROUTING.taken.astype(float)},
        {"taken": ROUTING.taken[:, :2]},
        {"belief": PolicySpec(family="bins")},
    ],
)
def test_parts_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        replace(ROUTING, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [((1,), (0, 1), (1, 0, 2)), ((0,), (0, 1), (1, 0, 3))])
def test_a_policy_refuses_a_routing_that_is_not_its_own(options: tuple[tuple[int, ...], ...]) -> None:
    ladders = [Ladder(waves=(Wave(generator=name),)) for name in ("a", "b", "c")]
    policy = AdaptivePolicy(
        moves=tuple(Move(ladder=ladder, rule=Always()) for ladder in ladders),
        prices=PRICES,
        choice=np.array([0, 0, 1]),
        scales={name: SampleScale() for name in ("a", "b", "c")},
        routing=ROUTING,
    )
    assert [len(policy.options(level)) for level in range(3)] == [1, 2, 3]
    with pytest.raises(InvalidInputError, match="own choice first"):
        replace(policy, routing=replace(ROUTING, options=options))
