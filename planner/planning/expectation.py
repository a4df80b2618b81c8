"""What each course is expected to bring and to cost each prompt: beliefs times the table.

Usage comes from the reference prompts that a prompt is believed to be like; prompt tokens are its own. Costs
are those of `policies.cost.cost_model`, so that plans and ledgers share one formula. Choosing is left to
`policies.choice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.row_product import row_product
from difficulty.errors import UnknownUnitError
from difficulty.prompt import Prompt
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.course import Course
from policies.table.table import CourseTable, Slots

__all__ = ["Expectation", "Lengths"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lengths:
    """Prompt tokens of T reference prompts, and of new prompts from their text.

    Parameters
    ----------
    reference : mapping of str to ndarray, shape (T,)
        By generator; NaN where not recorded.
    fit : mapping
        Per generator, intercept and slope of prompt tokens against characters.
    """

    reference: Mapping[str, FloatArray]
    fit: Mapping[str, tuple[float, float]]

    def of(self, prompts: Sequence[Prompt], generator: str) -> FloatArray:
        """Return the tokens of prompts, shape (N,): own, else by length, else the usual; 0 if unknown."""
        own = np.array([np.nan if p.prompt_tokens is None else p.prompt_tokens for p in prompts])
        characters = np.array([np.nan if p.content is None else len(p.content) for p in prompts])
        intercept, slope = self.fit.get(generator, (np.nan, np.nan))
        fitted = np.maximum(intercept + slope * characters, 1.0)
        known = self.reference[generator]
        usual = float(np.nanmean(known)) if not np.isnan(known).all() else 0.0
        return np.where(np.isnan(own), np.where(np.isnan(fitted), usual, fitted), own)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Expectation:
    """C courses on T reference prompts in one unit, ready for beliefs.

    Parameters
    ----------
    measured : ndarray of float64, shape (T, 2 C + S)
        Value of each course; its cost without prompts; requests of each slot.
    usual : ndarray of float64, shape (2 C + S,)
        Its mean over the reference prompts.
    courses : sequence of Course
        The C columns.
    slots : Slots
        The S pairs of course and generator.
    exact : ndarray of bool, shape (C,)
        Courses whose cost is certain before anything is drawn.
    per_request : mapping of str to float
        Cost of one prompt token, by generator.
    lengths : Lengths
        Of prompts.
    """

    measured: FloatArray
    usual: FloatArray
    courses: Sequence[Course]
    slots: Slots
    exact: NDArray[np.bool_]
    per_request: Mapping[str, float]
    lengths: Lengths

    @classmethod
    def of(
        cls, table: CourseTable, model: CostModel, lengths: Lengths, *, decode: DecodeModel | None = None
    ) -> Self:
        """Price a table in the unit of a cost model.

        Raises
        ------
        UnknownUnitError
            When the unit needs what was not recorded, or seconds and there is no decode model.
        """
        n_prompts = len(table.value)
        if model.unit == "seconds":
            cost = _seconds(table, lengths, decode)
            per_request = dict.fromkeys(table.slots.generator, 0.0)
        else:
            names = dict.fromkeys(table.slots.generator)
            per_request = {name: _token_price(model, name) for name in names}
            cost = table.cost(model, {name: np.zeros(n_prompts) for name in names}).astype(np.float64)
            reads = {name for name in names if per_request[name] > 0}
            unknown = [n for n in reads if np.isnan(lengths.reference[n]).all() and n not in lengths.fit]
            if unknown:
                raise UnknownUnitError(
                    f"{model.unit} cannot be priced for generator {unknown[0]!r}: its prompt_tokens were not "
                    "recorded; record them in the log, or use the unit 'samples'"
                )
        if np.isnan(cost).any():
            raise UnknownUnitError(
                f"{model.unit} cannot be priced: the log did not record what it needs of every generator; "
                "record output_tokens in the samples, or use the unit 'samples'"
            )
        measured = np.concatenate([table.value, cost, table.requests], axis=1, dtype=np.float64)
        return cls(
            measured=measured,
            usual=measured.mean(axis=0),
            courses=table.courses,
            slots=table.slots,
            exact=np.array([model.unit == "samples" and course.one_shot for course in table.courses]),
            per_request=per_request,
            lengths=lengths,
        )

    def expect(
        self, weights: NDArray[np.float32], prompts: Sequence[Prompt]
    ) -> tuple[FloatArray, FloatArray]:
        """Return value and cost of every course for N prompts with weights (N, T), shape (N, C) each."""
        mean = row_product(weights, self.measured, weight=np.ones((len(self.measured), 1)))
        return self._split(np.asarray(mean, dtype=np.float64), prompts)

    def expect_value(self, weights: NDArray[np.float32], course: NDArray[np.intp]) -> FloatArray:
        """Return the values alone of the courses that N prompts with weights (N, T) take, shape (N, L)."""
        columns, place = np.unique(course, return_inverse=True)
        mean = row_product(weights, self.measured[:, columns], weight=np.ones((len(self.measured), 1)))
        return mean[np.arange(len(course))[:, None], place.reshape(course.shape)].astype(np.float64)

    def expect_alike(self, prompts: Sequence[Prompt]) -> tuple[FloatArray, FloatArray]:
        """Return the same for prompts that are like all reference prompts alike."""
        mean = np.broadcast_to(self.usual, (len(prompts), len(self.usual)))
        return self._split(mean, prompts)

    def _split(self, mean: FloatArray, prompts: Sequence[Prompt]) -> tuple[FloatArray, FloatArray]:
        c = len(self.courses)
        value, cost, requests = mean[:, :c], mean[:, c : 2 * c], mean[:, 2 * c :]
        if any(self.per_request.values()):
            sent = np.empty_like(requests)
            for name, price in self.per_request.items():
                mine = np.array([slot == name for slot in self.slots.generator])
                sent[:, mine] = price * self.lengths.of(prompts, name)[:, None] * requests[:, mine]
            cost = cost + self.slots.total(sent, c)
        return value, cost


def _token_price(model: CostModel, generator: str) -> float:
    """Return what one prompt token costs; 0 in units that do not count them."""
    if "prompt_tokens" not in model.reads(generator):
        return 0.0
    return float(model.price_arrays(generator, prompt_tokens=1.0, requests=0.0))


def _seconds(table: CourseTable, lengths: Lengths, decode: DecodeModel | None) -> FloatArray:
    """Return the seconds of every course on every reference prompt, step after step, shape (T, C)."""
    if decode is None:
        raise UnknownUnitError(
            "seconds need a decode model: fit one with DecodeModel.fit on timed runs and give it to Planner"
        )
    seconds = np.empty(table.samples.shape)
    for slot, name in enumerate(table.slots.generator):
        requests = np.maximum(table.requests[:, slot].astype(np.float64), 1e-9)
        samples = table.samples[:, slot].astype(np.float64)
        width = np.maximum(np.rint(samples / requests), 1).astype(int)
        each = table.output_tokens[:, slot] / np.maximum(samples, 1e-9)
        prompt = np.nan_to_num(lengths.reference[name])
        for n in np.unique(width):
            rows = np.flatnonzero(width == n)
            seconds[rows, slot] = requests[rows] * decode.seconds(
                width=int(n), depth=1, output_tokens=each[rows], prompt_tokens=prompt[rows]
            )
    return table.slots.total(seconds, len(table.courses))
