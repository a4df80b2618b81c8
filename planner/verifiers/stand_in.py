"""Let the learned verifier stand in for a reward model that nobody has, and say early where it cannot.

It assumes plans whose strategies pick one of several independent samples by a score: best-of-N and its
weighted form. Scoring is left to `planner.verifiers.learned`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from difficulty.errors import InvalidInputError
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel
from policies.verifier.selection import PICKS

__all__ = ["check_learned", "picked_by_learned"]


def picked_by_learned(allocation: Allocation) -> Allocation:
    """Return the allocation with the learned verifier in the place of another one; others unchanged.

    Examples
    --------
    >>> print(picked_by_learned(Allocation(generator="tiny", strategy="best_of_n", width=8)))
    tiny best_of_n N=8 verifier=learned
    """
    if allocation.strategy not in PICKS:
        return allocation
    return replace(allocation, params={**allocation.parameters, "verifier": LEARNED})


def check_learned(
    plans: Sequence[AllocationPlan], models: Mapping[str, CorrectnessModel], *, wanted: bool
) -> None:
    """Refuse plans that need a learned verifier that is not there, before anything is drawn.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        What is to be run.
    models : mapping of str to CorrectnessModel
        Learned verifiers by generator.
    wanted : bool
        The caller asks for it by name, in the place of other verifiers.

    Raises
    ------
    InvalidInputError
        When there is none at all though it was asked for, none of a generator whose samples it has to pick
        from, or when a strategy asks for a verifier that it cannot stand in for.
    """
    if wanted and not models:
        raise InvalidInputError(
            "no learned verifier here: the bundle was trained on a log without marked answers, for coverage, "
            "or before there were any; train again, or name another verifier"
        )
    for plan in plans:
        allocation = plan.allocation
        if wanted and (allocation.traits.steered or plan.objective == "coverage"):
            raise InvalidInputError(
                f"prompt {plan.prompt_id!r}: {allocation.strategy} needs a checker or a model that scores "
                "steps; the learned verifier only picks among complete samples"
            )
        asked = wanted or allocation.parameters.get("verifier") == LEARNED
        if asked and allocation.strategy in PICKS and allocation.generator not in models:
            raise InvalidInputError(
                f"prompt {plan.prompt_id!r}: no learned verifier of generator {allocation.generator!r}; "
                f"there are those of {', '.join(models) or 'none'}; run plans with the bundle that made them"
            )
