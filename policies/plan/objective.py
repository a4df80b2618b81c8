"""What counts as good: a right selected answer, one among the samples, reward, or a group that teaches.

Coverage is for settings where a checker is available at run time. It is never used in place of accuracy.
Rewards are graded truths on any scale; where they stand in a log is said by its fields, or by the user.
Contrast and variance are for groups of rollouts of reinforcement learning, of which nothing is selected.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast, get_args

from difficulty.arguments import check_choice
from difficulty.log.sample_log import SampleLog

Objective: TypeAlias = Literal["accuracy", "coverage", "reward", "contrast", "variance"]
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
    check_choice("objective", objective, OBJECTIVES)
    return cast(Objective, objective)


def valued(log: SampleLog, objective: Objective, *, reward: str = "reward") -> SampleLog:
    """Return a log in whose pools a sample is worth what an objective says.

    Parameters
    ----------
    log : SampleLog
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
    reward : str
        Where the rewards of ``"reward"`` are taken from (`SampleLog.with_rewards`).

    Raises
    ------
    InvalidInputError
        When the objective needs rewards and the log has none there.
    """
    if objective != "reward":
        return log.valued_by("correct")
    return (log if reward == "reward" else log.with_rewards(reward)).valued_by("reward")
