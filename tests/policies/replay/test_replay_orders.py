"""Orders of recorded samples: random one by one, balanced together."""

from __future__ import annotations

import itertools

import numpy as np

from policies.replay.orders import balanced_orders


def test_every_sample_has_every_place_equally_often() -> None:
    usable = np.array([[True] * 6, [True, True, False, True, False, False]])
    orders = balanced_orders(usable, n_orders=12, seed=0)
    for row, n in enumerate((6, 3)):
        kept = np.flatnonzero(usable[row])
        for order in orders[row]:
            assert sorted(order.tolist()) == list(range(6))
            assert sorted(order[:n].tolist()) == kept.tolist()
        for place in range(n):
            counts = np.bincount(orders[row, :, place], minlength=6)
            assert set(counts[kept].tolist()) == {12 // n}


def test_orders_of_a_block_follow_one_random_cycle_each() -> None:
    orders = balanced_orders(np.ones((1, 6), dtype=bool), n_orders=12, seed=0)[0]
    cycles = []
    for block in (orders[:6], orders[6:]):
        successor = np.empty(6, dtype=np.intp)
        successor[block[0]] = block[1]
        assert all(np.array_equal(successor[one], other) for one, other in itertools.pairwise(block))
        assert not np.array_equal(np.roll(block[0], -1), block[1]), "beginnings would overlap"
        cycles.append(successor.tolist())
    assert cycles[0] != cycles[1]


def test_beginnings_of_orders_overlap_no_more_than_by_chance() -> None:
    """24 of 100 samples share 5.76 with 24 others, standard deviation 1.8; windows share up to 23."""
    orders = balanced_orders(np.ones((50, 100), dtype=bool), n_orders=100, seed=0)
    drawn = np.zeros(orders.shape, dtype=bool)
    np.put_along_axis(drawn, orders[:, :, :24], True, axis=2)
    shared = (drawn[:, 1:] & drawn[:, :-1]).sum(axis=2).mean(axis=1)
    assert np.abs(shared - 5.76).max() < 6 * 1.8


def test_each_order_is_uniformly_random() -> None:
    """720 orders of 6 samples over 20,000 prompts; 6 standard errors of a count of 27.8."""
    orders = balanced_orders(np.ones((20_000, 6), dtype=bool), n_orders=3, seed=1)
    for place in range(3):
        codes = orders[:, place] @ (6 ** np.arange(6))
        counts = np.unique(codes, return_counts=True)[1]
        assert len(counts) == 720
        assert np.abs(counts - 20_000 / 720).max() < 6 * np.sqrt(20_000 / 720)


def test_prompts_with_fewer_samples_get_orders_of_their_own() -> None:
    usable = np.zeros((20, 16), dtype=bool)
    usable[:, ::2] = True
    orders = balanced_orders(usable, n_orders=64, seed=0)[:, :, :8]
    assert min(len({tuple(order) for order in rows}) for rows in orders.tolist()) > 60
    assert np.all(
        np.apply_along_axis(lambda first: np.bincount(first, minlength=16)[::2] == 8, 1, orders[:, :, 0])
    )


def test_few_orders_put_different_samples_in_every_place() -> None:
    orders = balanced_orders(np.ones((1, 100), dtype=bool), n_orders=4, seed=0)[0]
    assert all(len(set(column)) == 4 for column in orders.T.tolist())
