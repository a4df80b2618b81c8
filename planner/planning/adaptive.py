"""Plans that react, written and read: a price level, the move taken there, and how far its ladder goes.

An allocation names its level, the option where a prompt was routed, and how many samples the ladder may draw,
which is all that is needed to climb it with the bundle that made it. What levels are worth is left to
`planner.planning.levels`, climbing to `planner.strategies.climb`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.levels import Menu
from planner.planning.reason import Reasons
from policies.adaptive.policy import Move
from policies.adaptive.table import AdaptiveTable
from policies.cost.budget import UNIT_TRAITS, check_unit
from policies.course.allocation import Allocation
from policies.ladder.ladder import Ladder
from policies.ladder.value_rule import ValueRule
from policies.plan.objective import check_objective
from policies.plan.plan import AllocationPlan
from policies.solver.solution import Solution

__all__ = ["ladder_in_words", "move_of", "write"]

FloatArray: TypeAlias = NDArray[np.float64]

_Z: Final = 1.96


def write(
    prompts: Sequence[Prompt],
    menu: Menu,
    solution: Solution,
    *,
    bundle: PolicyBundle,
    table: AdaptiveTable,
    unit: str,
    reasons: Reasons,
    standing: Sequence[float],
    cap: float | None = None,
) -> list[AllocationPlan]:
    """Return one plan per prompt.

    Parameters
    ----------
    prompts : sequence of Prompt
        The P prompts.
    menu : Menu
        What was chosen from.
    solution : Solution
        Its choice is a level for each prompt.
    bundle, table, unit
        The policy, in `unit`.
    reasons : Reasons
        Says where a prompt stands.
    standing : sequence of float
        Predicted level (log-odds) of each prompt.
    cap : float, optional
        The most that a prompt may cost.
    """
    objective = check_objective(bundle.objective)
    plans = []
    for row, (prompt, level) in enumerate(zip(prompts, solution.choice.tolist(), strict=True)):
        accuracy, error = float(menu.told[row, level]), _Z * float(menu.told_error[row, level])
        cost, spread = float(menu.charge[row, level]), _Z * float(menu.charge_deviation[row, level])
        high = cost + spread if cap is None else max(min(cost + spread, cap), cost)
        price = float(table.policy.prices[level])
        allocation = replace(
            table.allocation(level, objective, int(menu.option[row, level])),
            width=int(menu.width[row, level]),
        )
        move = move_of(allocation, table)
        routed = ", as prompts like it did better with this" if "option" in allocation.parameters else ""
        plans.append(
            AllocationPlan(
                prompt_id=prompt.id,
                allocation=allocation,
                expected_accuracy=accuracy,
                accuracy_interval=(max(accuracy - error, 0.0), min(accuracy + error, 1.0)),
                expected_cost=cost,
                cost_interval=(max(cost - spread, 0.0), high),
                unit=check_unit(unit),
                objective=objective,
                price=price,
                reason=f"{reasons.standing(standing[row])}; "
                f"{_in_words(move, price, unit, objective)}{routed}",
            )
        )
    return plans


def move_of(allocation: Allocation, table: AdaptiveTable) -> Move:
    """Return the ladder, as far as the allocation's width goes, and the stop rule of an adaptive allocation.

    Raises
    ------
    InvalidInputError
        When the allocation is not one of this policy's.
    """
    level = allocation.parameters.get("level")
    if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level < len(table.policy.prices):
        raise InvalidInputError(
            f"level of an adaptive allocation must lie in 0..{len(table.policy.prices) - 1}, got {level!r}"
        )
    options = table.policy.options(level)
    option = allocation.parameters.get("option", 0)
    if isinstance(option, bool) or not isinstance(option, int) or not 0 <= option < len(options):
        raise InvalidInputError(
            f"option of an adaptive allocation at level {level} must lie in 0..{len(options) - 1}, got "
            f"{option!r}; run plans with the bundle that made them"
        )
    move = options[option]
    ladder = move.ladder.within(allocation.width, dict.fromkeys(move.ladder.generators, 1.0))
    named = allocation.parameters.get("stop"), allocation.generator
    ours = type(move.rule).__name__, move.ladder.waves[0].generator
    if named != ours or ladder is None or allocation.width > move.ladder.n:
        raise InvalidInputError(
            f"the allocation {allocation} is not one of this bundle's (level {level} is {ours[0]} on "
            f"{move.ladder}); run plans with the bundle that made them"
        )
    return Move(ladder=ladder, rule=move.rule)


def _in_words(move: Move, price: float, unit: str, objective: str) -> str:
    """Name the ladder and the stop rule."""
    ladder, waves = move.ladder, len(move.ladder)
    climbs = ladder_in_words(ladder)
    if waves == 1:
        return f"draws {climbs} at once" + (", picks by the learned verifier" if ladder.judged else "")
    if isinstance(move.rule, ValueRule):
        stops = f"going on is expected to gain less than {price:.3g} per {UNIT_TRAITS[unit].one}"
    else:
        stops = f"{type(move.rule).__name__} is satisfied"
    first = "at the first success, or when" if objective == "coverage" else "when"
    picks = ", picking by the learned verifier" if ladder.judged else ""
    return f"draws up to {climbs} in {waves} waves{picks}, and stops {first} {stops}"


def ladder_in_words(ladder: Ladder) -> str:
    """Return the generators of a ladder in turn, with the samples of each."""
    runs = groupby(ladder.waves, key=lambda wave: wave.generator)
    return ", then ".join(f"{sum(wave.n for wave in waves)} of {name}" for name, waves in runs)
