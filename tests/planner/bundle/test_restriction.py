"""What a routing keeps where a user lacks some of its generators."""

from __future__ import annotations

import numpy as np
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.routing import Routing
from policies.adaptive.table import AdaptiveTable
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rules import Always

from planner.bundle.restriction import restricted_table

# Two prompts; the first does best with a, the second with b at the first price and with c at the second.
TAKEN = np.array([[0, 0], [1, 1]])
COLUMNS = np.array([[0.9, 0.1, 0.9, 0.2], [0.2, 0.8, 0.3, 1.0]])
COSTS = np.array([[1.0, 2.0, 1.0, 3.0], [1.0, 2.0, 1.0, 3.0]])


def table() -> AdaptiveTable:
    names = ("a", "b", "c")
    policy = AdaptivePolicy(
        moves=tuple(Move(ladder=Ladder(waves=(Wave(generator=name),)), rule=Always()) for name in names),
        prices=np.array([0.1, 0.01]),
        choice=np.array([0, 0]),
        scales={name: SampleScale() for name in names},
        routing=Routing(options=((0, 1), (0, 2)), value=COLUMNS, cost=COSTS, taken=TAKEN),
    )
    return AdaptiveTable(
        policy=policy,
        value=np.array([[0.9, 0.9], [0.8, 1.0]]),
        cost=np.array([[1.0, 1.0], [2.0, 3.0]]),
        cost_deviation=np.zeros((2, 2)),
    )


def test_levels_keep_the_options_that_are_left() -> None:
    left = restricted_table(table(), {"a", "b"})
    assert left is not None and left.policy.routing is not None
    assert left.policy.routing.options == ((0, 1), (0,))
    np.testing.assert_array_equal(left.policy.routing.value, COLUMNS[:, :3])
    np.testing.assert_array_equal(left.policy.routing.taken, [[0, 0], [1, 0]])
    # At the second price the second prompt takes the first option that is left.
    np.testing.assert_array_equal(left.value, [[0.9, 0.9], [0.8, 0.3]])
    np.testing.assert_array_equal(left.cost, [[1.0, 1.0], [2.0, 1.0]])


def test_the_usual_option_may_be_the_one_that_is_gone() -> None:
    left = restricted_table(table(), {"b"})
    assert left is not None and left.policy.routing is not None
    assert left.policy.routing.options[0] == (1,)
    assert left.policy.choice[0] == 1
    np.testing.assert_array_equal(left.value[:, 0], [0.1, 0.8])
    assert np.isnan(left.value[:, 1]).all(), "no option of the second price is left"


def test_all_or_nothing_left() -> None:
    whole = restricted_table(table(), {"a", "b", "c"})
    assert whole is not None and whole.policy.routing is not None
    np.testing.assert_array_equal(whole.policy.routing.taken, TAKEN)
    np.testing.assert_array_equal(whole.value, table().value)
    assert restricted_table(table(), {"d"}) is None
    assert restricted_table(None, {"a"}) is None
