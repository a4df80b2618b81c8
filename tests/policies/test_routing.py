"""Which of a few moves a prompt takes at a price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from policies.adaptive_policy import AdaptivePolicy, Move
from policies.ladder import Ladder, SampleScale, Wave
from policies.routing import Routing
from policies.stop_rules import Always

LEVEL = np.linspace(-1.5, 1.5, 40)[:, None]
PRICES = np.array([1.0, 0.1, 0.01])
# The second move is right where the first is wrong, above the middle; the third costs ten times as much.
EASY = (LEVEL[:, 0] > 0).astype(float)
ROUTING = Routing(
    options=((0,), (0, 1), (1, 0, 2)),
    value=np.column_stack([1 - EASY, 1 - EASY, EASY, EASY, 1 - EASY, np.ones(40)]),
    cost=np.array([1.0, 1, 1, 1, 1, 10.0]) * np.ones((40, 6)),
)


def test_prompts_take_what_was_best_for_those_that_they_resemble() -> None:
    picked = ROUTING.pick(LEVEL, references=LEVEL, prices=PRICES)
    clear = np.abs(LEVEL[:, 0]) > 0.9
    np.testing.assert_array_equal(picked[:, 0], 0)
    np.testing.assert_array_equal(picked[clear, 1], EASY[clear])
    # Where it is not clear which of the cheap ones is right, the dear one is worth its price.
    np.testing.assert_array_equal(picked[clear, 2], EASY[clear])
    assert set(picked[np.abs(LEVEL[:, 0]) < 0.1, 2]) == {2}


def test_prices_decide_between_dear_and_cheap_moves() -> None:
    dear = replace(ROUTING, options=((2, 1),), value=ROUTING.value[:, [5, 3]], cost=ROUTING.cost[:, [5, 3]])
    picked = [dear.pick(LEVEL, references=LEVEL, prices=np.array([price])) for price in (1e-6, 1.0)]
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
    nobody = replace(ROUTING, value=np.full_like(value, np.nan))
    np.testing.assert_array_equal(
        nobody.pick(LEVEL, references=LEVEL, prices=PRICES), np.tile([0, 0, 1], (40, 1))
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": ((0,), (), (1, 0, 2))},
        {"value": ROUTING.value[:, :4], "cost": ROUTING.cost[:, :4]},
        {"cost": ROUTING.cost[:5]},
    ],
)
def test_parts_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        replace(ROUTING, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [((1,), (0, 1), (1, 0, 2)), ((0,), (0, 1), (1, 0, 3)), ((0,), (0, 1, 1, 0, 1))]
)
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
