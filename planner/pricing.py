"""What each allocation is expected to cost each prompt: beliefs about tokens, priced in one unit.

Output tokens come from the belief (weighted over reference prompts); prompt tokens are the prompt's own where known, else fitted
from its length. The prices themselves are those of `policies.cost`, so that plans and ledgers share one formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief import Belief
from difficulty.errors import UnknownUnitError
from difficulty.prompt import Prompt
from policies.allocation import Allocation
from policies.cost import CostModel
from policies.cost_latency import DecodeModel
from policies.curves import CurveTable

__all__ = ["Pricing", "columns_by_generator"]

FloatArray: TypeAlias = NDArray[np.float64]


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
        Unit and prices.
    prompt_token_fit : mapping
        Per generator, intercept and slope of prompt tokens against characters; for prompts of unknown length.
    decode : DecodeModel, optional
        Predicts seconds; needed for the unit ``seconds``.
    """

    cost_model: CostModel
    prompt_token_fit: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    decode: DecodeModel | None = None

    def recorded(self, curves: CurveTable) -> FloatArray:
        """Return what each allocation cost on the recorded prompts, shape (T, A).

        Raises
        ------
        UnknownUnitError
            When a quantity that the unit needs was not recorded.
        """
        return self._price(curves.allocations, curves.samples, curves.prompt_tokens, curves.output_tokens)

    def expected(self, prompts: Sequence[Prompt], belief: Belief, curves: CurveTable) -> FloatArray:
        """Return what each allocation is expected to cost each prompt, shape (P, A).

        Raises
        ------
        UnknownUnitError
            When a quantity that the unit needs was not recorded.
        """
        if self.cost_model.unit == "samples":
            return np.broadcast_to(curves.samples[:1], (len(prompts), len(curves.allocations)))
        output_tokens = belief.expect(curves.output_tokens)
        if self.cost_model.unit == "output_tokens":
            prompt_tokens = np.zeros_like(output_tokens)
        else:
            prompt_tokens = belief.expect(curves.prompt_tokens) * self._relative_length(prompts, belief, curves)
        samples = np.broadcast_to(curves.samples[:1], output_tokens.shape)
        return self._price(curves.allocations, samples, prompt_tokens, output_tokens)

    def _relative_length(self, prompts: Sequence[Prompt], belief: Belief, curves: CurveTable) -> FloatArray:
        """Return each prompt's length relative to what the belief expects, shape (P, A); 1 where unknown."""
        known = np.array([np.nan if p.prompt_tokens is None else p.prompt_tokens for p in prompts])
        characters = np.array([np.nan if p.content is None else len(p.content) for p in prompts])
        relative = np.ones((len(prompts), len(curves.allocations)))
        for generator, columns in columns_by_generator(curves.allocations).items():
            intercept, slope = self.prompt_token_fit.get(generator, (np.nan, np.nan))
            length = np.where(np.isnan(known), intercept + slope * characters, known)
            once = columns[np.argmin(curves.samples[0, columns])]
            expected = belief.expect(curves.prompt_tokens[:, [once]])[:, 0]
            ratio = np.divide(length, expected, out=np.ones(len(prompts)), where=expected > 0)
            relative[:, columns] = np.where(np.isnan(ratio), 1.0, ratio)[:, None]
        return relative

    def _price(
        self,
        allocations: Sequence[Allocation],
        samples: FloatArray,
        prompt_tokens: FloatArray,
        output_tokens: FloatArray,
    ) -> FloatArray:
        cost = np.empty(output_tokens.shape)
        for generator, columns in columns_by_generator(allocations).items():
            cost[:, columns] = self.cost_model.price_arrays(
                generator,
                samples=samples[:, columns],
                prompt_tokens=prompt_tokens[:, columns],
                output_tokens=output_tokens[:, columns],
                seconds=self._seconds(allocations, columns, samples, prompt_tokens, output_tokens),
            )
        return cost

    def _seconds(
        self,
        allocations: Sequence[Allocation],
        columns: NDArray[np.intp],
        samples: FloatArray,
        prompt_tokens: FloatArray,
        output_tokens: FloatArray,
    ) -> FloatArray:
        """Return expected seconds, shape (P, len(columns)); zeros where the unit does not ask for them."""
        if self.cost_model.unit != "seconds":
            return np.zeros((len(output_tokens), len(columns)))
        if self.decode is None:
            raise UnknownUnitError(
                "seconds need a decode model: fit one with DecodeModel.fit on timed runs and give it to Planner"
            )
        return np.stack(
            [
                self.decode.seconds(
                    width=allocations[column].width,
                    depth=allocations[column].depth,
                    output_tokens=output_tokens[:, column] / samples[:, column],
                    prompt_tokens=np.nan_to_num(prompt_tokens[:, column]) / samples[:, column],
                )
                for column in columns
            ],
            axis=1,
        )
