"""From an allocation to the strategy that spends it: allocations are courses that ask nothing."""

from __future__ import annotations

from planner.strategies.follow import Follow
from policies.course.allocate import course_of
from policies.course.allocation import Allocation


def strategy_of(allocation: Allocation) -> Follow:
    """Return the strategy that `allocation` names, with its parameters.

    The parameter ``n`` of recorded search runs is accepted where it equals the width.

    Raises
    ------
    InvalidInputError
        When a parameter is unknown or of a wrong type or value, when width or depth do not suit the
        strategy, or when the allocation only sums up what a plan has in full.

    Examples
    --------
    >>> print(strategy_of(Allocation(generator="tiny", strategy="first_success", width=8)).course)
    tiny x8; first success
    """
    return Follow(course=course_of(allocation))
