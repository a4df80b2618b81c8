"""Plans that were made before, or elsewhere, set beside the prompts that they are for.

Carrying them out is left to `planner.running.run_plans`.
"""

from __future__ import annotations

from collections.abc import Sequence

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from policies.plan.plan import AllocationPlan


def plans_of(
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt],
    *,
    unit: str | None = None,
    source: str = "what is given",
) -> list[AllocationPlan]:
    """Return the plan of each prompt, in the order of the prompts; further plans are left out.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        In any order.
    prompts : sequence of Prompt
        The P prompts.
    unit : str, optional
        Unit of the budget that they are held to, which must be theirs.
    source : str
        Where they come from, as errors name it.

    Raises
    ------
    InvalidInputError
        When a prompt has no plan or two, or units differ.
    """
    by_id: dict[str, AllocationPlan] = {}
    for plan in plans:
        if by_id.setdefault(plan.prompt_id, plan) is not plan:
            raise InvalidInputError(f"{source} has two plans for {plan.prompt_id!r}; keep one of them")
    missing = [prompt.id for prompt in prompts if prompt.id not in by_id]
    if missing:
        raise InvalidInputError(
            f"{source} has no plan for {len(missing)} of {len(prompts)} prompts, such as "
            f"{missing[0]!r}; plan the same prompts, with the same ids (`planner plan`, `Planner.plan`)"
        )
    found = [by_id[prompt.id] for prompt in prompts]
    units = dict.fromkeys([*([] if unit is None else [unit]), *(plan.unit for plan in found)])
    if len(units) > 1:
        raise InvalidInputError(
            f"plans and budget must have one unit, got {', '.join(units)} with {source}; plan in one"
        )
    return found
