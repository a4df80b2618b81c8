"""What each price level of an adaptive policy is expected to be worth and to cost, prompt by prompt.

The belief spreads a prompt's weight over reference prompts on which the policy was replayed out of fold, so
that a level is priced before anything is drawn; where a level offers several moves, each prompt takes the one
that looks best for it. Choosing levels under a budget is left to `planner.planning.spend`, writing plans to
`planner.planning.adaptive`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.row_product import row_product
from difficulty.belief.reference_prompts import Belief
from difficulty.belief.standardised import standardised
from difficulty.errors import InvalidInputError, UnknownUnitError
from planner.bundle.policy_bundle import PolicyBundle
from policies.adaptive.table import AdaptiveTable
from policies.cost.cost_model import CostModel

__all__ = ["Levels", "Menu", "table_of"]

FloatArray: TypeAlias = NDArray[np.float64]

_ROUNDING: Final = 1 + 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Menu:
    """L price levels for P prompts; every array has shape (P, L).

    Parameters
    ----------
    value, cost : ndarray of float64
        Expected value in [0, 1] and cost of a level as a whole, whatever its options: levels are chosen by
        them. NaN where a level is not to be had.
    told, told_error : ndarray of float64
        Expected value of the option that the prompt takes, and the standard error of that expectation: what
        plans say. The same array as `value` where nobody is routed.
    charge, charge_deviation : ndarray of float64
        Expected cost under the belief that tells costs apart best, and the standard deviation of the cost of
        one run: what plans say and budgets count. The same array as `cost` where there is one belief.
    option, move : ndarray of intp
        Which of a level's options a prompt takes, and the index of that move.
    width : ndarray of int64
        The most samples that a level may draw; fewer than its ladder has where a cap cuts it short.
    """

    value: FloatArray
    cost: FloatArray
    told: FloatArray
    told_error: FloatArray
    charge: FloatArray
    charge_deviation: FloatArray
    option: NDArray[np.intp]
    move: NDArray[np.intp]
    width: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Levels:
    """Prices the levels of a bundle's adaptive policy for prompts.

    Parameters
    ----------
    bundle : PolicyBundle
        With an adaptive policy.
    table : AdaptiveTable
        The policy in the unit of `cost_model`, from `table_of`.
    cost_model : CostModel
        Prices single samples, to know how much of a ladder fits under a cap.
    """

    bundle: PolicyBundle
    table: AdaptiveTable
    cost_model: CostModel

    def menu(self, beliefs: Iterable[Belief], *, coordinates: FloatArray, cap: float | None = None) -> Menu:
        """Return the menu of the prompts of all `beliefs`, in order.

        Parameters
        ----------
        beliefs : iterable of Belief
            A chunk of prompts each.
        coordinates : ndarray of float64, shape (P, 1 + D)
            Predicted coordinates of all prompts.
        cap : float, optional
            The most that one prompt may cost: a ladder is cut where drawing all of it is expected to cost
            more, and a level of which not even one sample fits is not to be had.

        Notes
        -----
        A cut ladder was not replayed. Its cost is that of the whole one, cut off at the cap (a Gamma law with
        the same mean and deviation); its value is interpolated between one sample and the whole ladder by the
        share of the cost that is left, which errs on the low side where the first samples help most.
        """
        references, routing = self.bundle.references, self.table.policy.routing
        sharp = self.table.cost_belief
        weigh = None if sharp is None else sharp.weigher(references.coordinates)
        difficulty, known = (
            standardised(part, references.coordinates) for part in (coordinates, references.coordinates)
        )
        resemble = None if routing is None or not known.shape[1] else routing.belief.weigher(known)
        options, moves = (
            part(difficulty, known) for part in (self.table.policy.pick, self.table.policy.route)
        )
        parts, start = [], 0
        for belief in beliefs:
            rows = slice(start, start + len(belief))
            told = belief if resemble is None else replace(belief, weights=resemble(difficulty[rows]))
            charged = told if weigh is None else replace(belief, weights=weigh(coordinates[rows]))
            parts.append(self._menu(belief, told, charged, options[rows], moves[rows], cap))
            start += len(belief)
        joined = {
            item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Menu)
        }
        if weigh is None and resemble is None:
            joined["charge"] = joined["cost"]
        return Menu(**joined)

    def _menu(
        self,
        belief: Belief,
        told: Belief,
        charged: Belief,
        options: NDArray[np.intp],
        moves: NDArray[np.intp],
        cap: float | None,
    ) -> Menu:
        value, error = _expect(belief, self.table.value)
        known = ~np.isnan(value)
        cost, deviation = (np.where(known, part, 0.0) for part in self._spend(belief, None))
        widths = np.array([move.ladder.n for move in self.table.policy.moves])
        routed = told is not belief
        if routed:
            says, error = self._among(told, self.table.value, options)
        menu = Menu(
            value=value.clip(0.0, 1.0),
            cost=cost,
            told=(says if routed else value).clip(0.0, 1.0),
            told_error=np.nan_to_num(error),
            charge=cost,
            charge_deviation=deviation,
            option=options,
            move=moves,
            width=widths[moves],
        )
        cut = menu if cap is None else self._cut(menu, belief, cap)
        if charged is belief:
            return cut
        cost, deviation = (
            np.where(known, part, 0.0) for part in self._spend(charged, options if routed else None)
        )
        whole = replace(menu, cost=cost, charge=cost, charge_deviation=deviation)
        if cap is None:
            return replace(whole, cost=menu.cost)
        there = self._cut(whole, belief, cap)
        # What does not fit at all stays above the cap, and the solver refuses it. Where prompts are routed,
        # what fits is known of the option alone.
        fits = (there.cost if routed else cut.cost) <= cap * _ROUNDING
        most = np.maximum(there.charge, cut.cost)
        return replace(
            cut,
            cost=np.where(fits, np.minimum(cut.cost, cap), most),
            charge=np.where(fits, np.minimum(there.charge, cap), most),
            charge_deviation=there.charge_deviation,
        )

    def _among(
        self, belief: Belief, values: FloatArray, options: NDArray[np.intp]
    ) -> tuple[FloatArray, FloatArray]:
        """Return expectation and standard error of what was measured at each level, (P, L) each.

        Only reference prompts count that take the same option as a prompt does.
        """
        routing = self.table.policy.routing
        whole = _expect(belief, values)
        if routing is None:
            return whole
        columns = routing.starts + options
        found = [np.take_along_axis(part, columns, axis=1) for part in _expect(belief, routing.among(values))]
        # Where no reference prompt takes it, the level as a whole says most.
        unseen = np.isnan(found[0])
        mean, error = (np.where(unseen, part, own) for part, own in zip(whole, found, strict=True))
        return mean, error

    def _spend(self, belief: Belief, options: NDArray[np.intp] | None) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of what one run costs, (P, L) each; of the options if given."""
        table = self.table
        # Squares of large units overflow single precision: they are taken relative to the usual cost.
        usual = max(float(np.nanmax(table.cost, initial=0.0)), 1e-300)
        squares = (table.cost / usual) ** 2 + (table.cost_deviation / usual) ** 2
        cost, square = (
            (_expect(belief, part) if options is None else self._among(belief, part, options))[0]
            for part in (table.cost, squares)
        )
        return cost, usual * np.sqrt(np.maximum(square - (cost / usual) ** 2, 0.0))

    def _cut(self, menu: Menu, belief: Belief, cap: float) -> Menu:
        """Cut every ladder short where all of it is expected to cost more than the cap."""
        moves = self.table.policy.moves
        names = self._generators()
        at_name = {name: index for index, name in enumerate(names)}
        each = np.stack([self._each(name, belief) for name in names], axis=1)
        success = np.stack([np.nan_to_num(belief.mean(name)) for name in names], axis=1)
        # Of each move: samples that fit, what one and what all of them cost, and what one is worth.
        fitting = np.empty((len(belief), len(moves)), dtype=np.int64)
        firsts, mosts, ones = (np.empty(fitting.shape) for _ in range(3))
        rows = np.arange(len(belief))
        for index, move in enumerate(moves):
            drawn = [at_name[wave.generator] for wave in move.ladder.waves for _ in range(wave.n)]
            total = each[:, drawn].cumsum(axis=1)
            fitting[:, index] = (total <= cap * _ROUNDING).sum(axis=1)
            firsts[:, index] = total[:, 0]
            mosts[:, index] = total[rows, np.maximum(fitting[:, index] - 1, 0)]
            ones[:, index] = success[:, drawn[0]]
        too_long = (np.take_along_axis(fitting, menu.move, axis=1) < menu.width) & ~np.isnan(menu.value)
        if not too_long.any():
            return menu
        at, _ = np.nonzero(too_long)
        move_at = menu.move[too_long]
        first, most = firsts[at, move_at], mosts[at, move_at]
        value, told = menu.value.copy(), menu.told.copy()
        cost, deviation = menu.cost.copy(), menu.charge_deviation.copy()
        width = menu.width.copy()
        width[too_long] = np.maximum(fitting[at, move_at], 1)
        whole = cost[too_long]
        left = _mean_below(whole, deviation[too_long], most)
        share = np.divide(left - first, whole - first, out=np.ones(len(at)), where=whole > first).clip(
            0.0, 1.0
        )
        # Where not even one sample fits, its cost stays above the cap, and the solver refuses it.
        for part in (value, told):
            one = np.minimum(ones[at, move_at], part[too_long])
            part[too_long] = one + share * (part[too_long] - one)
        cost[too_long] = np.maximum(left, np.minimum(first, most))
        deviation[too_long] = np.minimum(deviation[too_long], most)
        return replace(
            menu, value=value, told=told, cost=cost, charge=cost, charge_deviation=deviation, width=width
        )

    def _generators(self) -> tuple[str, ...]:
        names = [name for move in self.table.policy.moves for name in move.ladder.generators]
        return tuple(dict.fromkeys(names))

    def _each(self, generator: str, belief: Belief) -> FloatArray:
        """Return what one sample is expected to cost each prompt, its own request included, shape (P,)."""
        curves = self.bundle.curves
        columns = [column for column, item in enumerate(curves.allocations) if item.generator == generator]
        prompt_tokens = np.zeros(len(belief))
        if columns:
            once = min(columns, key=lambda column: float(curves.samples[0, column]))
            prompt_tokens = np.nan_to_num(belief.expect(curves.prompt_tokens[:, [once]])[:, 0])
        return self.cost_model.price_arrays(
            generator,
            samples=1.0,
            prompt_tokens=prompt_tokens,
            output_tokens=belief.expected_output_tokens(generator),
        )


def table_of(bundle: PolicyBundle, cost_model: CostModel) -> AdaptiveTable:
    """Return the bundle's adaptive policy in the unit of the cost model.

    Raises
    ------
    InvalidInputError
        When the bundle has no adaptive policy.
    UnknownUnitError
        When its policy was fitted in another unit.
    """
    table = bundle.adaptive
    if table is None:
        raise InvalidInputError(
            "this bundle has no adaptive policy: its log held counts only, fewer than 4 samples per prompt, "
            "no answers to vote on, or a unit that is no sum over samples; plan with adaptive=False, or "
            "train with adaptive=True on a log of single samples"
        )
    if cost_model.unit == bundle.unit:
        return table
    if bundle.training:
        raise UnknownUnitError(
            f"the adaptive policy of this bundle was fitted in {bundle.unit} and cannot be priced in "
            f"{cost_model.unit}; budget in {bundle.unit}, or train with unit={cost_model.unit!r}"
        )
    return _converted(table, bundle, cost_model)


def _expect(belief: Belief, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return expectation and its standard error, (P, L); the overall mean where a belief knows none."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = belief.expect(values)
    missing = np.isnan(mean)
    if missing.any():
        total = np.where(known, values, 0.0).sum(axis=0)
        overall = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        mean = np.where(missing, overall, mean)
    filled, ones = np.where(known, values, 0.0), known.astype(np.float64)
    squared = belief.weights**2
    mass = np.maximum(row_product(belief.weights, ones), 1e-30)
    zeroth, first, second = (row_product(squared, part) for part in (ones, filled, filled**2))
    spread = second - 2 * mean * first + mean**2 * zeroth
    return mean, np.sqrt(np.maximum(spread, 0.0)) / mass


def _mean_below(mean: FloatArray, deviation: FloatArray, most: FloatArray) -> FloatArray:
    """Return the mean of a Gamma variable that is cut off at `most`, each of shape (R,)."""
    from scipy.special import gammainc

    result = np.minimum(mean, most)
    at = np.flatnonzero((deviation > 1e-9 * np.maximum(mean, 1e-300)) & (mean > 0))
    shape = (mean[at] / deviation[at]) ** 2
    scaled = most[at] * shape / mean[at]
    below, above = gammainc(shape + 1, scaled), 1 - gammainc(shape, scaled)
    result[at] = np.minimum(result[at], mean[at] * below + most[at] * above)
    return result


def _converted(table: AdaptiveTable, bundle: PolicyBundle, cost_model: CostModel) -> AdaptiveTable:
    """Price the cold start's samples, all alike, in another unit."""
    name = next(iter(bundle.generators))
    tokens = float(bundle.references.output_tokens[0, 0])
    one = float(cost_model.price_arrays(name, samples=1.0, output_tokens=tokens))
    factor = one / tokens
    return AdaptiveTable(
        policy=replace(table.policy, prices=table.policy.prices / factor),
        value=table.value,
        cost=table.cost * factor,
        cost_deviation=table.cost_deviation * factor,
    )
