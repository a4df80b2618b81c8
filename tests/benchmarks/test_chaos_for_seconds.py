"""The proxy over sockets in front of an upstream that behaves badly, for some seconds."""

from __future__ import annotations

import pytest

from benchmarks.chaos import chaos


@pytest.mark.slow
def test_nothing_is_lost_mixed_up_or_unpaid() -> None:
    found = chaos(10.0, n_clients=200)
    assert found.faults() == []
    assert found.answered > 100
