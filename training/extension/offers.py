"""At which prices plans may use the courses of a new generator.

Offered is what reference prompts are foretold to gain by, unless labelled prompts show that this loses. What
is foretold is left to `training.extension.foretold`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from planner.bundle.policy_bundle import PolicyBundle
from policies.cost.cost_model import CostModel
from policies.table.table import CourseTable
from training.extension.factors import Fit
from training.policy.columns import Columns

_MOST_OFFERS: Final = 6
# Value per prompt that offers must be foretold to gain: less is not worth a change.
_LEAST_GAIN: Final = 0.001
# Standard errors over labelled prompts by which offers must not have lost.
_LOST: Final = 1.0


def offers(
    bundle: PolicyBundle, columns: Columns, table: CourseTable, fit: Fit, model: CostModel
) -> NDArray[np.bool_]:
    """Return the new courses on offer at each price, shape (L, C).

    Offered is what reference prompts are foretold to gain most by, unless labelled prompts, foretold without
    themselves, show that choosing so loses.
    """
    known = _Known.of(bundle, columns, table, fit, model)
    offered = np.zeros((len(bundle.policy.prices), len(columns.table.courses)), dtype=bool)
    if not known.came.any():  # perhaps the cheapest way to be wrong, and nobody's choice
        return offered
    for level, price in enumerate(bundle.policy.prices):
        before = np.flatnonzero(bundle.policy.offered[level])
        usual = (known.old_value[:, before] - price * known.old_cost[:, before]).max(axis=1)
        more = known.value - price * known.cost - usual[:, None]
        taken, size = more.argmax(axis=1), more.shape[1]
        total = np.bincount(taken, weights=np.maximum(more.max(axis=1), 0.0), minlength=size)
        kept = np.argsort(-total, kind="stable")[:_MOST_OFFERS]
        kept = kept[total[kept] > 0]
        if total.sum() <= _LEAST_GAIN * len(more):
            continue
        gain = known.labelled_gain(price, before, kept)
        if gain.mean() >= -_LOST * gain.std() / np.sqrt(len(gain)):
            offered[level, kept] = True
    return offered


class _Known(NamedTuple):
    """Old and new courses on reference prompts (T, ·), as foretold, and on labelled ones (L, ·).

    Attributes
    ----------
    old_value, old_cost, value, cost : ndarray of float64
        Expected for each reference prompt by those that resemble it.
    at_value, at_cost : ndarray of float64
        Of the old courses for labelled prompts, likewise.
    told, paid : ndarray of float64
        Of the new courses for labelled prompts, each foretold without itself.
    came, spent : ndarray of float64
        What they came to.
    """

    old_value: FloatArray
    old_cost: FloatArray
    value: FloatArray
    cost: FloatArray
    at_value: FloatArray
    at_cost: FloatArray
    told: FloatArray
    paid: FloatArray
    came: FloatArray
    spent: FloatArray

    @classmethod
    def of(
        cls, bundle: PolicyBundle, columns: Columns, table: CourseTable, fit: Fit, model: CostModel
    ) -> _Known:
        lengths = {name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)}
        old = bundle.table.value.astype(np.float64), bundle.table.cost(model, lengths).astype(np.float64)
        came, spent = columns.value.astype(np.float64), columns.cost.astype(np.float64)
        places = fit.factors.references
        alike, near = np.square(places.leaves), np.square(fit.places.leaves)
        cost = fit.spread(spent)
        return cls(
            alike @ old[0],
            alike @ old[1],
            alike @ table.value.astype(np.float64),
            alike @ cost,
            near @ old[0],
            near @ old[1],
            fit.left_out(came),
            fit.left_out(spent).clip(spent.min(axis=0), spent.max(axis=0)),
            came,
            spent,
        )

    def labelled_gain(self, price: float, before: NDArray[np.intp], kept: NDArray[np.intp]) -> FloatArray:
        """Return what labelled prompts gained by the new courses that they would have taken, shape (L,)."""
        rows = np.arange(len(self.came))
        usual = (self.at_value[:, before] - price * self.at_cost[:, before]).max(axis=1)
        expected = self.told[:, kept] - price * self.paid[:, kept]
        taken = kept[expected.argmax(axis=1)]
        came = self.came[rows, taken] - price * self.spent[rows, taken]
        return np.asarray(np.where(expected.max(axis=1) > usual, came - usual, 0.0))
