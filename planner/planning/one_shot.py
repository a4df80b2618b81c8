"""Plans that decide everything before the first sample: each allocation of the menu with its value and cost.

Beliefs are formed a chunk of prompts at a time, since weights over reference prompts take much memory.
Choosing under a budget is left to `policies.solver.solver`, plans that react to `planner.planning.adaptive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import Belief, ReferencePrompts
from difficulty.belief.weights import Weigher
from difficulty.prompt import Prompt
from planner.planning.pricing import Pricing
from planner.planning.reason import Reasons
from policies.menu.curves import CurveTable
from policies.plan.objective import Objective
from policies.plan.plan import AllocationPlan
from policies.solver.solution import Solution

__all__ = ["CHUNK", "Assessment", "OneShot"]

FloatArray: TypeAlias = NDArray[np.float64]

# Prompts whose P × T weights are held at a time.
CHUNK: Final = 4096
# Weights that are kept from assessing to writing plans: 128 MiB.
_KEPT_WEIGHTS: Final = 1 << 25
_Z: Final = 1.96


class Assessment(NamedTuple):
    """Value and cost of A allocations for P prompts, shape (P, A), and the prompts' coordinates.

    Beliefs are kept, a chunk of prompts each, where they take little memory; else there are none.
    """

    value: FloatArray
    cost: FloatArray
    coordinates: FloatArray
    beliefs: tuple[Belief, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OneShot:
    """Assesses a menu for prompts and writes what was chosen from it.

    Parameters
    ----------
    references : ReferencePrompts
        What beliefs spread their weight over.
    weigh : Weigher
        Forms the weights of prompts from their coordinates.
    curves : CurveTable
        The A allocations of the menu, measured on the reference prompts.
    pricing : Pricing
        Prices them in the unit that is planned in.
    objective : {"accuracy", "coverage"}
        What the selector delivers.
    reasons : Reasons
        Says why an allocation was chosen.
    """

    references: ReferencePrompts
    weigh: Weigher
    curves: CurveTable
    pricing: Pricing
    objective: Objective
    reasons: Reasons

    @on_one_thread
    def assess(self, prompts: Sequence[Prompt], coordinates: FloatArray) -> Assessment:
        """Return value and cost of every allocation for every prompt.

        Parameters
        ----------
        prompts : sequence of Prompt
            The P prompts.
        coordinates : ndarray of float64, shape (P, 1 + D)
            Their predicted coordinates.

        Raises
        ------
        UnknownUnitError
            When the unit cannot be priced.
        """
        small = len(prompts) * len(self.references) <= _KEPT_WEIGHTS
        values, costs, beliefs = [], [], []
        for start in range(0, len(prompts), CHUNK):
            chunk = slice(start, start + CHUNK)
            belief = self._belief(coordinates[chunk])
            values.append(belief.expect(self.curves.value))
            costs.append(self.pricing.expected(prompts[chunk], belief, self.curves))
            if small:
                beliefs.append(belief)
        return Assessment(np.concatenate(values), np.concatenate(costs), coordinates, tuple(beliefs))

    def write(self, prompts: Sequence[Prompt], found: Assessment, solution: Solution) -> list[AllocationPlan]:
        """Return one plan per prompt, in order.

        Parameters
        ----------
        prompts : sequence of Prompt
            The P prompts.
        found : Assessment
            From `assess`.
        solution : Solution
            Its choice is an allocation for each prompt.
        """
        rows, unit = np.arange(len(prompts)), self.pricing.cost_model.unit
        value = found.value[rows, solution.choice].clip(0, 1)
        cost = found.cost[rows, solution.choice]
        errors = []
        for number, start in enumerate(range(0, len(prompts), CHUNK)):
            chunk = slice(start, start + CHUNK)
            belief = found.beliefs[number] if found.beliefs else self._belief(found.coordinates[chunk])
            errors.append(belief.standard_error(self.curves.value, solution.choice[chunk]))
        error = _Z * np.concatenate(errors)
        low, high = (value - error).clip(0, 1), (value + error).clip(0, 1)
        return [
            AllocationPlan(
                prompt_id=prompt.id,
                allocation=self.curves.allocations[choice],
                expected_accuracy=accuracy,
                accuracy_interval=(lower, upper),
                expected_cost=price,
                unit=unit,
                objective=self.objective,
                price=solution.price,
                reason=self.reasons.write(level, choice, worth, price=solution.price, unit=unit),
            )
            for prompt, choice, accuracy, lower, upper, price, level, worth in zip(
                prompts,
                solution.choice.tolist(),
                value.tolist(),
                low.tolist(),
                high.tolist(),
                cost.tolist(),
                found.coordinates[:, 0].tolist(),
                found.value,
                strict=True,
            )
        ]

    def _belief(self, coordinates: FloatArray) -> Belief:
        return Belief(weights=self.weigh(coordinates), references=self.references)
