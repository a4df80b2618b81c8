"""All that the control of a stream remembers, and how it is read again after a restart.

What the numbers mean for prices is left to `policies.control.stream`, where they are kept to
`planner.running.till_state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from difficulty.errors import InvalidInputError

# What states of earlier versions do not have.
_NEW_FIELDS: Final = frozenset({"in_flight", "squares", "settled"})


@dataclass(kw_only=True, slots=True)
class StreamState:
    """All that a stream control remembers; plain numbers, for JSON.

    Parameters
    ----------
    window_start : float
        Reading of the clock at which the current window began.
    opened : int
        Prompts opened in this window.
    spent, pending : float
        Spent in this window, and what its open prompts are expected to cost.
    actual, predicted : float
        Fading sums of what settled prompts cost and were predicted to cost.
    arrivals, elapsed : float
        Fading sums of prompts and of seconds between them.
    last_seen : float
        Clock at the latest prompt; below `window_start` when there was none yet.
    in_flight : int
        Open prompts of this window.
    squares, settled : float
        Fading sums of squared differences between actual and expected costs, and of prompts.
    """

    window_start: float = 0.0
    opened: int = 0
    spent: float = 0.0
    pending: float = 0.0
    actual: float = 0.0
    predicted: float = 0.0
    arrivals: float = 0.0
    elapsed: float = 0.0
    last_seen: float = -1.0
    in_flight: int = 0
    squares: float = 0.0
    settled: float = 0.0

    @classmethod
    def resumed(cls, saved: Mapping[str, float]) -> StreamState:
        """Return what goes on from a saved state; prompts in flight count as expected.

        Raises
        ------
        InvalidInputError
            When the saved state has other fields.
        """
        names = {item.name for item in fields(cls)}
        saved = {name: value for name, value in saved.items() if name != "reserved"}
        if set(saved) | _NEW_FIELDS != names:
            raise InvalidInputError(f"a saved state has the fields {sorted(names)}; got {sorted(saved)}")
        state = cls(**{**saved, "opened": int(saved["opened"])})  # type: ignore[arg-type]  # it is whole
        state.spent, state.pending, state.in_flight = state.spent + state.pending, 0.0, 0
        return state

    def begin(self, start: float) -> None:
        """Begin a window."""
        self.window_start, self.opened, self.spent = start, 0, 0.0
        self.pending, self.in_flight = 0.0, 0
