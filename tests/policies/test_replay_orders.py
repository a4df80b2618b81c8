"""Orders of recorded samples: random one by one, balanced together."""

from __future__ import annotations

import numpy as np

from policies.replay_orders import balanced_orders


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


def test_blocks_are_rotations_of_different_permutations() -> None:
    orders = balanced_orders(np.ones((1, 6), dtype=bool), n_orders=12, seed=0)[0]
    rotations = [
        {tuple(np.roll(block[0], shift).tolist()) for shift in range(6)} for block in (orders[:6], orders[6:])
    ]
    assert {tuple(order) for order in orders[:6].tolist()} == rotations[0]
    assert {tuple(order) for order in orders[6:].tolist()} == rotations[1]
    assert rotations[0] != rotations[1]


def test_each_order_is_uniformly_random() -> None:
    """720 orders of 6 samples over 20,000 prompts; 6 standard errors of a count of 27.8."""
    orders = balanced_orders(np.ones((20_000, 6), dtype=bool), n_orders=3, seed=1)
    for place in range(3):
        codes = orders[:, place] @ (6 ** np.arange(6))
        counts = np.unique(codes, return_counts=True)[1]
        assert len(counts) == 720
        assert np.abs(counts - 20_000 / 720).max() < 6 * np.sqrt(20_000 / 720)


def test_few_orders_are_spread_over_the_samples() -> None:
    orders = balanced_orders(np.ones((1, 100), dtype=bool), n_orders=4, seed=0)[0]
    place = np.argsort(orders[0])
    assert np.sort(place[orders[:, 0]]).tolist() == [0, 25, 50, 75]
