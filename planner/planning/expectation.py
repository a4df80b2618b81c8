"""What each course is expected to bring and to cost each prompt: means of the table by beliefs.

Usage comes from the reference prompts that a prompt is believed to be like; prompt tokens are its own. Costs
are those of `policies.cost.cost_model`, so that plans and ledgers share one formula. Choosing is left to
`policies.choice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.weighing import ReferenceColumns, Weighing
from difficulty.errors import UnknownUnitError
from difficulty.prompt import Prompt
from planner.planning.growth import Growth
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.course import Course
from policies.table.table import CourseTable, Slots

# Costs of all references that differ by less than this share are the same.
_ALIKE: Final = 1e-6
# Of the usual question: an empty one has a length, too.
_SHORTEST: Final = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lengths:
    """Prompt tokens of T reference prompts, and of new prompts from their text.

    Parameters
    ----------
    reference : mapping of str to ndarray, shape (T,)
        By generator; NaN where not recorded, 0 where each sample sends a prompt of its own, which its course
        is charged for.
    fit : mapping
        Per generator, intercept and slope of prompt tokens against characters.
    """

    reference: Mapping[str, FloatArray]
    fit: Mapping[str, tuple[float, float]]
    _facts: dict[tuple[str, ...], FloatArray] = field(init=False, repr=False, default_factory=dict)

    def one(self, prompt: Prompt, generator: str) -> float | None:
        """Return the tokens of a prompt for one generator, as in `of`; None where nothing is known."""
        if generator not in self.reference:
            return None
        return float(self.of([prompt], [generator])[0, 0]) or None

    def of(self, prompts: Sequence[Prompt], generators: Sequence[str]) -> FloatArray:
        """Return the tokens of prompts by generator, shape (N, G).

        Their own, else by their characters, else the usual number; 0 if unknown.
        """
        own = np.array([np.nan if p.prompt_tokens is None else p.prompt_tokens for p in prompts])
        content = [p.content for p in prompts]
        characters = np.array([np.nan if text is None else len(text) for text in content])
        intercept, slope, usual, shared = self._known(generators)
        fitted = np.maximum(intercept + slope * characters[:, None], 1.0)
        guess = np.where(np.isnan(fitted), usual, fitted)
        return np.asarray(np.where(np.isnan(own)[:, None], guess, own[:, None]) * shared)

    def relative(self, tokens: FloatArray, generators: Sequence[str]) -> FloatArray:
        """Return how long prompts are against the usual one, above 0, shape (N,); 1 where nobody knows.

        `tokens` are theirs by generator, shape (N, G).
        """
        usual = self._known(generators)[2]
        known = usual > 0
        if not known.any():
            return np.ones(len(tokens))
        ratio = tokens[:, known] / usual[known]
        return np.asarray(np.maximum(np.where(np.isnan(ratio), 1.0, ratio).mean(axis=1), _SHORTEST))

    def _known(self, generators: Sequence[str]) -> FloatArray:
        """Return intercept, slope, mean over the references (0 if unknown) and 1 where it is sent, (4, G)."""
        key = tuple(generators)
        if key not in self._facts:
            columns = [self.reference[name] for name in key]
            usual = [0.0 if np.isnan(one).all() else float(np.nanmean(one)) for one in columns]
            fits = [self.fit.get(name, (np.nan, np.nan)) for name in key]
            sent = [float(np.any(one)) for one in columns]
            self._facts[key] = np.array([*zip(*fits, strict=True), usual, sent])
        return self._facts[key]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Expectation:
    """C courses on T reference prompts in one unit, ready for beliefs.

    Parameters
    ----------
    measured : ReferenceColumns
        Value of each of C courses; its cost without prompts; requests of each of S slots.
    courses : sequence of Course
        The C columns.
    slots : Slots
        The S pairs of course and generator.
    exact : ndarray of bool, shape (C,)
        Courses whose cost is certain before anything is drawn.
    least : ndarray of float64, shape (C,)
        What each costs for sure: the samples of its first step where samples are counted, else 0.
    per_request : mapping of str to float
        Cost of one prompt token, by generator.
    lengths : Lengths
        Of prompts.
    growth : Growth
        How costs without prompts grow with their length.
    """

    measured: ReferenceColumns
    courses: Sequence[Course]
    slots: Slots
    exact: NDArray[np.bool_]
    least: FloatArray
    per_request: Mapping[str, float]
    lengths: Lengths
    growth: Growth
    _sent: tuple[NDArray[np.intp], FloatArray] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names, price = list(self.per_request), np.array(list(self.per_request.values()))
        slot = np.array([names.index(name) for name in self.slots.generator], dtype=np.intp)
        object.__setattr__(self, "_sent", (slot, price[slot]) if price.any() else None)

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
            if model.unit == "flops" and model.attention_widths:
                # What attention costs beyond so much per token of a prompt, the references' lengths tell.
                known = {name: np.nan_to_num(lengths.reference[name]) for name in names}
                linear = np.stack([per_request[name] * known[name] for name in table.slots.generator], axis=1)
                cost = table.cost(model, known) - table.slots.total(linear * table.requests)
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
        drawn = list(dict.fromkeys(table.slots.generator))
        length = lengths.relative(np.stack([lengths.reference[name] for name in drawn], axis=1), drawn)
        measured = np.concatenate([table.value, cost, table.requests], axis=1, dtype=np.float64)
        return cls(
            measured=ReferenceColumns(measured),
            courses=table.courses,
            slots=table.slots,
            exact=np.array([course.one_shot for course in table.courses])
            & ((model.unit == "samples") | (np.ptp(cost, axis=0) <= _ALIKE * cost.max(axis=0))),
            least=np.array(
                [least_samples(course) if model.unit == "samples" else 0.0 for course in table.courses]
            ),
            per_request=per_request,
            lengths=lengths,
            growth=Growth.of(cost, length),
        )

    def tokens(self, prompts: Sequence[Prompt]) -> FloatArray:
        """Return the tokens of N prompts for each of the G generators that are drawn from, shape (N, G)."""
        return self.lengths.of(prompts, tuple(self.per_request))

    def expect(self, weights: Weighing, tokens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return value and cost of every course for N prompts, shape (N, C) each.

        Parameters
        ----------
        weights : Weighing
            Of the prompts over the T references.
        tokens : ndarray of float64, shape (N, G)
            From `tokens`.
        """
        return self._split(weights.mean(self.measured), tokens)

    def expect_value(self, weights: Weighing, course: NDArray[np.intp]) -> FloatArray:
        """Return the values alone of the courses that N prompts take, shape (N, L)."""
        taken = np.zeros(len(self.courses), dtype=bool)
        taken[course] = True
        mean = weights.mean(self.measured, taken.nonzero()[0])
        return np.asarray(mean[np.arange(len(course))[:, None], taken.cumsum()[course] - 1])

    def expect_alike(self, tokens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same for N prompts that are like all reference prompts alike, but for their length."""
        usual, c = self.measured.usual, len(self.courses)
        mean = usual[None].repeat(len(tokens), axis=0)
        length = self.lengths.relative(tokens, tuple(self.per_request))
        mean[:, c : 2 * c] = self.growth.at(usual[None, c : 2 * c], length)
        return self._split(mean, tokens)

    def _split(self, mean: FloatArray, tokens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return value and cost, with what sending prompts of so many tokens costs in each slot."""
        c = len(self.courses)
        value, cost = mean[:, :c], mean[:, c : 2 * c]
        if self._sent is not None:
            slot, price = self._sent
            cost = cost + self.slots.total(tokens[:, slot] * price * mean[:, 2 * c :])
        return value, cost


def least_samples(course: Course) -> float:
    """Return how many samples a course draws for sure."""
    first = course.steps[0]
    return 0.0 if first.kind == "search" else float(first.n)


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
    return table.slots.total(seconds)
