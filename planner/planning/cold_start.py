"""What a planner without a log starts from, and what it learns from the answers of a batch while it runs.

Levels are the stop rules that people ship, in order of what they cost on made-up prompts; as answers come in,
made-up prompts that agree as often as these weigh more, so that costs and values are those of such prompts.
It never learns which answers are right; which rules there are is left to `planner.planning.untrained`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidBundleError
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.made_up import MadeUp, Votes
from planner.ports.outcome import Outcome
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.plan.plan import AllocationPlan
from policies.solver.hull import hull_of_one
from policies.table.table import CourseTable

# What the dearest level is told to be worth more than made-up prompts say, so that no level is left out.
_BENT: Final = 0.002
# More prompts hardly change the weights.
_MOST_SEEN: Final = 400


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColdStart:
    """How a bundle of made-up prompts is told anew.

    Parameters
    ----------
    bundle : PolicyBundle
        Its reference prompts are the made-up ones.
    made_up : MadeUp
        T prompts.
    generators : tuple of str
        The G generators that plans draw from, as in `made_up`.
    """

    bundle: PolicyBundle
    made_up: MadeUp
    generators: tuple[str, ...]

    @classmethod
    def of(cls, bundle: PolicyBundle) -> Self | None:
        """Return how a bundle learns in a run; None where it is of a log.

        Raises
        ------
        InvalidBundleError
            When its table is not of made-up prompts.
        """
        if not bundle.made_up_levels:
            return None
        generators = drawn_from(bundle.references.generators)
        made_up, table = MadeUp.of(len(generators)), bundle.table
        cost = table.slots.total(table.output_tokens.astype(float))
        if (
            len(cost) != len(made_up.repeated)
            or bundle.made_up_levels > len(table.courses)
            or not ((cost > 0) & np.isfinite(cost)).all()
        ):
            raise InvalidBundleError(
                "the bundle's table is not that of a planner without a log; make it anew by Planner.untrained"
            )
        return cls(bundle=bundle, made_up=made_up, generators=generators)

    def weights(self, plans: Sequence[AllocationPlan], outcomes: Sequence[Outcome]) -> FloatArray:
        """Return how much each made-up prompt counts after some prompts were answered, shape (T,).

        Parameters
        ----------
        plans, outcomes : sequence
            Of the same prompts, in the same order.
        """
        seen = []
        for plan, outcome in zip(plans[:_MOST_SEEN], outcomes, strict=False):
            course = plan.course
            steps = () if course is None else course.steps
            names = [step.generator for step in steps for _ in range(step.n)]
            answers: dict[str, list[str | None]] = {name: [] for name in self.generators}
            for name, sample in zip(names, outcome.candidates, strict=False):
                if sample.status in ("ok", "truncated"):
                    answers[name].append(sample.answer)
            seen.append(tuple(Votes.of(given) for given in answers.values()))
        return self.made_up.weights(seen)

    def policy(self, weights: FloatArray) -> CoursePolicy:
        """Return the levels as they are told when made-up prompts count so much; their sum is 1."""
        return levels_of(self.bundle.table, self.bundle.made_up_levels, weights)


def drawn_from(generators: Sequence[str]) -> tuple[str, ...]:
    """Return the generators that plans without a log draw from: the first and the last."""
    return tuple(dict.fromkeys((generators[0], generators[-1])))


def levels_of(table: CourseTable, n_levels: int, weights: FloatArray) -> CoursePolicy:
    """Return the policy whose levels are the first columns of a table, from the cheapest to the dearest.

    Parameters
    ----------
    table : CourseTable
        On T made-up prompts, in output tokens.
    n_levels : int
        Columns that may be levels.
    weights : ndarray of float64, shape (T,)
        What each prompt counts; they sum to 1.
    """
    value = weights @ table.value.astype(float)
    cost = table.slots.total(weights[None] @ table.output_tokens.astype(float))[0]
    kept, told = _concave(value[:n_levels], cost[:n_levels])
    return CoursePolicy(
        prices=_prices(told, cost[kept]),
        offered=kept[:, None] == np.arange(len(table.courses)),
        telling=replace(Telling.plain(len(kept)), offset=told - value[kept]),
    )


def _concave(value: FloatArray, cost: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the levels in order of cost, and what they are told to be worth: on their hull, slightly bent.

    Made-up prompts cannot tell which rule is best at which cost, so that none of them is left out but those
    that cost no less than another and are worth less than the cheapest.
    """
    order = np.argsort(cost, kind="stable")
    kept = order[np.concatenate([[True], np.diff(cost[order]) > 1e-9 * cost[order][:-1]])]
    hull = kept[hull_of_one(value[kept], cost[kept])]
    first = int(np.flatnonzero(kept == hull[0])[0])
    kept = kept[first:]
    whole = np.interp(cost[kept], cost[hull], value[hull])
    share = np.log(cost[kept] / cost[kept[0]]) / max(float(np.log(cost[kept[-1]] / cost[kept[0]])), 1e-12)
    return np.asarray(kept), (whole + _BENT * share).clip(0.0, 1.0)


def _prices(told: FloatArray, cost: FloatArray) -> FloatArray:
    """Return falling prices at each of which one level is best."""
    slopes = np.diff(told) / np.diff(cost)
    if not len(slopes):
        return np.array([1 / max(float(cost[0]), 1e-12)])
    between = np.sqrt(slopes[:-1] * slopes[1:])
    return np.concatenate([[2 * slopes[0]], between, [slopes[-1] / 2]])
