"""What a stop rule is: it decides after each wave whether the next one is drawn.

The rules themselves are in `policies.ladder.stop_rules` and `policies.ladder.value_rule`. A rule sees the
evidence alone and keeps no state, so that replays and live runs ask the same object.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policies.ladder.evidence import Evidence

__all__ = ["StopRule"]


class StopRule(Protocol):
    """Decides after each wave whether the next one is drawn."""

    def go_on(self, evidence: Evidence, *, price: float) -> NDArray[np.bool_]:
        """Return whether to draw the next wave, shape (N,), at a price λ (value per unit of cost)."""
        ...
