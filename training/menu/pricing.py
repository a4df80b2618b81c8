"""What each allocation cost on recorded prompts, in one unit: curves priced by the cost model.

A reward model is charged for what it was recorded to read, else for the prompt and one completion per sample
that it scores. Prices are those of `policies.cost.cost_model`; what a course is expected to cost new prompts
is left to `planner.planning.expectation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.menu.curves import CurveTable

__all__ = ["Pricing", "columns_by_generator"]

FloatArray: TypeAlias = NDArray[np.float64]

# A recorded score stands for a reward model; checkers and log-probabilities read nothing.
_REWARD_MODEL: Final = "score"
_SELECTED_BY_SCORE: Final = ("hierarchical", "best")


def columns_by_generator(allocations: Sequence[Allocation]) -> dict[str, NDArray[np.intp]]:
    """Return the columns of each generator, in the order of first appearance."""
    columns: dict[str, list[int]] = {}
    for column, allocation in enumerate(allocations):
        columns.setdefault(allocation.generator, []).append(column)
    return {name: np.array(indices) for name, indices in columns.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pricing:
    """Prices a menu for prompts.

    Parameters
    ----------
    cost_model : CostModel
        Unit and prices; not ``seconds``, which a log does not tell.

    Notes
    -----
    Selection by a recorded ``score`` is charged for the reward model that gives it, where the cost model
    declares what its tokens cost in the unit (`CostModel.charges_verifier`); without such a figure scores are
    free. ``output_tokens``, ``samples`` and ``seconds`` never hold the verifier.

    What it reads is what was recorded (``CurveTable.verifier_tokens``), in its own tokens and without what it
    may keep in a cache. Where nothing is recorded, it is an estimate: prompt and completion of every sample;
    of a search, the prompt N times and each generated token once, as a reward model that keeps its cache
    reads them. One that keeps none reads every path anew with each step: 1.7 times as much for a search of
    two steps, 5 times for one of seven (lab model, beam search).

    Examples
    --------
    >>> one = Allocation(generator="small", strategy="majority_vote", width=1)
    >>> table = CurveTable(
    ...     prompt_ids=("a",), allocations=(one,), value=np.array([[0.5]]), samples=np.array([[1.0]]),
    ...     prompt_tokens=np.array([[90.0]]), output_tokens=np.array([[200.0]]))
    >>> Pricing(cost_model=CostModel(unit="total_tokens")).recorded(table)
    array([[290.]])
    """

    cost_model: CostModel

    def recorded(self, curves: CurveTable) -> FloatArray:
        """Return what each allocation cost on the recorded prompts, shape (T, A).

        Raises
        ------
        UnknownUnitError
            When a quantity that the unit needs was not recorded.
        """
        return self._price(
            curves.allocations,
            curves.samples,
            curves.prompt_tokens,
            curves.output_tokens,
            self.reading(curves),
        )

    def reading(self, curves: CurveTable) -> FloatArray | None:
        """Return the tokens that a reward model reads on the recorded prompts: recorded, else estimated.

        Returns
        -------
        ndarray of float64, shape (T, A), or None
            None where the unit of cost has no figure for them, so that scores are free.
        """
        if not self.cost_model.charges_verifier():
            return None
        estimate = _estimated_reading(
            curves.allocations, curves.samples, curves.prompt_tokens, curves.output_tokens
        )
        recorded = curves.verifier_tokens
        return estimate if recorded is None else np.where(np.isnan(recorded), estimate, recorded)

    def _price(
        self,
        allocations: Sequence[Allocation],
        samples: FloatArray,
        prompt_tokens: FloatArray,
        output_tokens: FloatArray,
        verifier_tokens: FloatArray | None,
    ) -> FloatArray:
        cost = np.empty(output_tokens.shape)
        for generator, columns in columns_by_generator(allocations).items():
            usage = _Usage(
                allocations=[allocations[column] for column in columns],
                samples=samples[:, columns],
                prompt_tokens=prompt_tokens[:, columns],
                output_tokens=output_tokens[:, columns],
            )
            cost[:, columns] = self.cost_model.price_arrays(
                generator,
                samples=usage.samples,
                prompt_tokens=usage.prompt_tokens,
                output_tokens=usage.output_tokens,
                verifier_tokens=0.0 if verifier_tokens is None else verifier_tokens[:, columns],
            )
        return cost


class _Usage(NamedTuple):
    """Expected usage of A allocations of one generator for P prompts; arrays of shape (P, A)."""

    allocations: Sequence[Allocation]
    samples: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray

    def question_tokens(self) -> FloatArray:
        """Return the length of the question, shape (P,): what the smallest allocation reads of it."""
        first = min(
            range(len(self.allocations)),
            key=lambda column: (
                self.allocations[column].traits.kind == "search",
                self.allocations[column].depth,
                self.allocations[column].n,
            ),
        )
        # Parallel samples share one reading of the prompt, each later step of a chain pays for its own.
        smallest = self.allocations[first]
        return self.prompt_tokens[:, first] / (1 + smallest.width * (smallest.depth - 1))

    def scored_tokens(self) -> FloatArray:
        """Return the estimate of what a reward model reads, shape (P, A): question and completion of each
        sample.
        """
        scored = np.array([_is_scored(allocation) for allocation in self.allocations])
        if not scored.any():
            return np.zeros(self.samples.shape)
        return np.where(scored, self.samples * self.question_tokens()[:, None] + self.output_tokens, 0.0)


def _estimated_reading(
    allocations: Sequence[Allocation],
    samples: FloatArray,
    prompt_tokens: FloatArray,
    output_tokens: FloatArray,
) -> FloatArray:
    """Return the estimate of what a reward model reads for allocations of all generators, shape (P, A)."""
    read = np.empty(output_tokens.shape)
    for columns in columns_by_generator(allocations).values():
        usage = _Usage(
            allocations=[allocations[column] for column in columns],
            samples=samples[:, columns],
            prompt_tokens=prompt_tokens[:, columns],
            output_tokens=output_tokens[:, columns],
        )
        read[:, columns] = usage.scored_tokens()
    return read


def _is_scored(allocation: Allocation) -> bool:
    """Tell whether a reward model reads what the allocation draws; searches have one unless they name
    another verifier.
    """
    kind = allocation.traits.kind
    by_default = kind == "search" or (
        kind == "revision" and allocation.parameters.get("selection") in _SELECTED_BY_SCORE
    )
    return allocation.parameters.get("verifier", _REWARD_MODEL if by_default else "") == _REWARD_MODEL
