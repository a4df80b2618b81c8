"""From adaptive plans to climbs: what each prompt needs to follow its ladder at run time.

The plan names a level and a width; the bundle has the ladder, the rule and what is usual for its generators;
the cost model prices each sample, as it did in training. Drawing is left to the drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.standardised import standardised
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.adaptive import move_of
from planner.ports.outcome import Candidate
from planner.strategies.climb import Climb
from policies.adaptive.table import AdaptiveTable
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

__all__ = ["climbs"]

FloatArray: TypeAlias = NDArray[np.float64]

# The name that first_success asks for, too: a checker where the objective is coverage.
_CHECKER = "score"


def climbs(
    plans: Sequence[AllocationPlan],
    coordinates: FloatArray,
    *,
    bundle: PolicyBundle,
    table: AdaptiveTable,
    cost_model: CostModel,
    as_batch: bool = False,
) -> list[Climb]:
    """Return one climb per plan.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        P adaptive plans that this bundle has made.
    coordinates : ndarray of float64, shape (P, 1 + D)
        Predicted coordinates of their prompts.
    bundle, table : PolicyBundle, AdaptiveTable
        The bundle, and its policy in the unit of the plans.
    cost_model : CostModel
        Prices one sample.
    as_batch : bool
        One budget is spent over all of them: the lock-step driver decides about waves
        (`planner.drivers.batch`).

    Raises
    ------
    InvalidInputError
        When a plan was made by another bundle.
    """
    difficulty = standardised(coordinates, bundle.references.coordinates)

    def sample_cost(candidate: Candidate, generator: str) -> float:
        return cost_model.price(Usage(samples=1, output_tokens=candidate.output_tokens), generator)

    return [
        Climb(
            move=move_of(plan.allocation, table),
            price=0.0 if plan.price is None else plan.price,
            generators=bundle.generators,
            scales=table.policy.scales,
            difficulty=row,
            sample_cost=sample_cost,
            verifier=_CHECKER if bundle.objective == "coverage" else None,
            batch_prices=table.policy.prices if as_batch else None,
        )
        for plan, row in zip(plans, difficulty, strict=True)
    ]
