"""What counts as success: a right selected answer, or a right one among the samples.

Coverage is for settings where a checker is available at run time. It is never used in place of accuracy.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from difficulty.errors import InvalidInputError

__all__ = ["OBJECTIVES", "Objective", "check_objective"]

Objective: TypeAlias = Literal["accuracy", "coverage"]
OBJECTIVES: Final[tuple[str, ...]] = get_args(Objective)


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
