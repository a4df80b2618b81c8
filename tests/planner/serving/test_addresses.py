"""An address that fails rests for a while, however many calls were in flight when it failed."""

from __future__ import annotations

from planner.serving.address import Address


def test_one_outage_counts_once() -> None:
    now = [0.0]
    address = Address("http://127.0.0.1:8000/v1", clock=lambda: now[0])
    for _ in range(500):
        address.failed()
    assert address.seconds_left == 1.0
    now[0] = 1.0
    assert not address.rests
    for _ in range(500):
        address.failed()
    assert address.seconds_left == 2.0
    now[0] = 3.0
    address.answered()
    address.failed()
    assert not address.rests
