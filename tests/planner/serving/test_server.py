"""The socket: what it bounds, and what a process that only serves sets for itself."""

from __future__ import annotations

import gc

import pytest

from planner.serving.server import collect_seldom

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")


def test_garbage_is_looked_for_seldom() -> None:
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.get_threshold()[0] > 10 * before[0]
    finally:
        gc.set_threshold(*before)
