"""What counts as success: a right selected answer, a right one among the samples, or a group that teaches.

Coverage is for settings where a checker is available at run time. It is never used in place of accuracy.
Contrast and variance are for groups of rollouts of reinforcement learning, of which nothing is selected.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from difficulty.errors import InvalidInputError

__all__ = ["GROUP_OBJECTIVES", "OBJECTIVES", "Objective", "check_objective"]

Objective: TypeAlias = Literal["accuracy", "coverage", "contrast", "variance"]
OBJECTIVES: Final[tuple[str, ...]] = get_args(Objective)
GROUP_OBJECTIVES: Final = ("contrast", "variance")
"""Objectives that value a whole group of rollouts; answers and scores play no part."""


def check_objective(objective: str) -> Objective:
    """Return `objective`, or raise `InvalidInputError` with the allowed ones.

    Examples
    --------
    >>> check_objective("coverage")
    'coverage'
    """
    if objective not in OBJECTIVES:
        raise InvalidInputError(f"objective must be one of {', '.join(OBJECTIVES)}; got {objective!r}")
    return objective  # type: ignore[return-value]
