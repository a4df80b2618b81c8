"""The one table: value and usage of every course on every recorded prompt.

Rows are P prompts, columns C courses. What the log cannot tell is NaN. Usage is kept by course and generator,
in slots, so that any unit can be priced afterwards; what a usage costs is left to `policies.cost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.errors import InvalidInputError
from policies.cost.cost_model import CostModel
from policies.course.course import Course

# Slots that are priced at a time: 2 MB for each field of their usage stay in the processor's cache.
_PRICED: Final = 1 << 18


@dataclass(frozen=True, kw_only=True, eq=False)
class Slots:
    """One slot for each course and each generator that it draws from.

    Parameters
    ----------
    course : ndarray of intp, shape (S,)
        Column of each slot, rising; every column has at least one.
    generator : tuple of str
        The S generators.
    """

    course: NDArray[np.intp]
    generator: tuple[str, ...]

    @classmethod
    def for_courses(cls, courses: Sequence[Course]) -> Self:
        """Return the slots of courses, generators in their order of first use."""
        pairs = [(at, name) for at, course in enumerate(courses) for name in course.generators]
        return cls(
            course=np.array([at for at, _ in pairs], dtype=np.intp),
            generator=tuple(name for _, name in pairs),
        )

    def of(self, column: int) -> NDArray[np.intp]:
        """Return the slots of one course."""
        ends = np.searchsorted(self.course, [column, column + 1])
        return np.arange(ends[0], ends[1])

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add slots up by course: shape (..., S) to (..., C)."""
        if not len(self.course):
            return np.zeros((*values.shape[:-1], 0))
        return np.asarray(np.add.reduceat(values, self._first, axis=-1))

    @cached_property
    def _first(self) -> NDArray[np.intp]:
        """First slot of each course, (C,)."""
        return np.searchsorted(self.course, np.arange(self.course[-1] + 1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CourseTable:
    """Value and usage of C courses on P prompts.

    Parameters
    ----------
    courses : tuple of Course
        The C columns.
    slots : Slots
        The S pairs of course and generator.
    value : ndarray of float32, shape (P, C)
        Expected value over the randomness of drawing; NaN where the log cannot tell.
    rounds : ndarray of float32, shape (P, C)
        Expected steps that are drawn one after another.
    samples, requests, output_tokens : ndarray of float32, shape (P, S)
        Expected usage; tokens are NaN where not recorded.
    resent_tokens : ndarray of float32, shape (P, S)
        Prompt tokens beyond one prompt per request: what chains and searches re-send, and all of what samples
        send that are requests of their own.
    cached_tokens : ndarray of float32, shape (P, S)
        The part of `resent_tokens` that a cache spared, as recorded; 0 where nobody recorded any.
    verifier_tokens : ndarray of float32, shape (P, S)
        What the model that gives the recorded scores reads; NaN where not recorded.
    """

    courses: tuple[Course, ...]
    slots: Slots
    value: Float32Array
    rounds: Float32Array
    samples: Float32Array
    requests: Float32Array
    output_tokens: Float32Array
    resent_tokens: Float32Array
    cached_tokens: Float32Array
    verifier_tokens: Float32Array

    @classmethod
    def empty(cls, courses: Sequence[Course], n_prompts: int) -> Self:
        """Return a table in which nothing is known yet."""
        slots = Slots.for_courses(courses)
        by_course, by_slot = (n_prompts, len(courses)), (n_prompts, len(slots.generator))
        return cls(
            courses=tuple(courses),
            slots=slots,
            **{
                name: np.full(by_course if name in _BY_COURSE else by_slot, np.nan, dtype=np.float32)
                for name in _ARRAYS
            },
        )

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """Put tables of the same prompts side by side.

        Raises
        ------
        InvalidInputError
            When their prompts are not as many.
        """
        if len({len(table.value) for table in tables}) != 1:
            raise InvalidInputError("tables that are joined must have the same prompts")
        courses = [course for table in tables for course in table.courses]
        arrays = {
            name: np.concatenate([getattr(table, name) for table in tables], axis=1) for name in _ARRAYS
        }
        return cls(courses=tuple(courses), slots=Slots.for_courses(courses), **arrays)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the table of the prompts at `rows`."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def columns(self, columns: NDArray[np.intp]) -> Self:
        """Return the table of the courses at `columns`, in that order."""
        slots = np.concatenate([self.slots.of(int(column)) for column in columns] or [columns[:0]])
        courses = [self.courses[column] for column in columns]
        arrays = {name: getattr(self, name)[:, columns if name in _BY_COURSE else slots] for name in _ARRAYS}
        return replace(self, courses=tuple(courses), slots=Slots.for_courses(courses), **arrays)

    def cost(self, model: CostModel, prompt_tokens: Mapping[str, NDArray[np.float64]]) -> Float32Array:
        """Return the expected cost of every course on every prompt, shape (P, C).

        Parameters
        ----------
        model : CostModel
            Prices a usage in its unit.
        prompt_tokens : mapping of str to ndarray, shape (P,)
            Length of each prompt by generator; NaN where not known.

        Returns
        -------
        ndarray of float32
            NaN where the unit needs what was not recorded. What a reward model reads is free where the model
            declares no figure for it (`CostModel.charges_verifier`).
        """
        charged, width = model.charges_verifier(), len(self.slots.generator)
        owners = {
            name: np.flatnonzero([slot == name for slot in self.slots.generator])
            for name in dict.fromkeys(self.slots.generator)
        }
        cost = np.empty(self.value.shape, dtype=np.float32)
        step = max(_PRICED // max(width, 1), 1)
        for start in range(0, len(cost), step):
            rows = slice(start, start + step)
            priced = np.full(self.samples[rows].shape, np.nan)
            for name, mine in owners.items():
                requests = self.requests[rows, mine]
                length = prompt_tokens[name][rows, None]
                drawn = {
                    "samples": self.samples[rows, mine],
                    "requests": requests,
                    "output_tokens": self.output_tokens[rows, mine],
                    "prompt_tokens": length * requests + self.resent_tokens[rows, mine],
                    "cached_prompt_tokens": self.cached_tokens[rows, mine],
                    "verifier_tokens": self.verifier_tokens[rows, mine] if charged else 0 * requests,
                }
                usage = {field: np.asarray(values, dtype=np.float64) for field, values in drawn.items()}
                reads = [field for field in model.reads(name) if field in usage]
                known = ~np.isnan(np.stack([usage[field] for field in (*reads, "samples")])).any(axis=0)
                filled = {field: np.where(known, values, 0.0) for field, values in usage.items()}
                priced[:, mine] = np.where(known, model.price_arrays(name, **filled), np.nan)
            cost[rows] = self.slots.total(priced)
        return cost


_BY_COURSE = ("value", "rounds")
_ARRAYS = tuple(item.name for item in fields(CourseTable) if item.name not in ("courses", "slots"))
BY_SLOT = tuple(name for name in _ARRAYS if name not in _BY_COURSE)
"""Arrays of usage: one column per slot."""
