"""Measure reacting courses on recorded samples: paths are replayed once, and courses are read off them.

A prompt that lacks samples for a course is NaN in its column. Courses decided before the first sample have
exact estimators and are left to `policies.table.static`; what they say corrects replays of the same samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from policies.course.course import Course, Selection
from policies.course.stop import Never, StopRule
from policies.table.path import Path, follow
from policies.table.recorded import Recorded
from policies.table.table import CourseTable

__all__ = ["replay"]

FloatArray: TypeAlias = NDArray[np.float32]
Draws: TypeAlias = tuple[str, ...]

# Draws that are replayed at a time: bounds memory to some hundred MB.
_CHUNK: Final = 1 << 21


class _Read(NamedTuple):
    """Means over orders: value and rounds (P,), usage of G generators (P, G)."""

    value: FloatArray
    rounds: FloatArray
    samples: FloatArray
    requests: FloatArray
    output_tokens: FloatArray


def replay(recorded: Recorded, courses: Sequence[Course]) -> CourseTable:
    """Replay courses of samples on every prompt.

    Parameters
    ----------
    recorded : Recorded
        Samples of P prompts.
    courses : sequence of Course
        The C columns; steps that draw samples only.

    Raises
    ------
    InvalidInputError
        When a course has a step that is not samples, or names a generator that was not recorded.
    """
    for course in courses:
        if any(step.kind != "sample" for step in course.steps):
            raise InvalidInputError(f"only samples can be replayed in any order; got {course}")
        missing = [name for name in course.generators if name not in recorded.samples]
        if missing:
            raise InvalidInputError(
                f"a course draws from {', '.join(missing)}, and samples were recorded for "
                f"{', '.join(recorded.samples)}"
            )
    table = CourseTable.empty(courses, recorded.n_prompts)
    for (draws, selection), members in _by_path(courses).items():
        for length, rows in _reach(recorded, draws, [courses[m].n for m in members]):
            within = [m for m in members if courses[m].n <= length]
            size = max(1, _CHUNK // (length * length * recorded.n_orders))
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                path = follow(recorded, draws[:length], selection, part)
                reader = _Reader(path)
                for member in within:
                    read = reader.read(courses[member])
                    table.value[part, member] = read.value
                    table.rounds[part, member] = read.rounds
                    at = np.ix_(part, table.slots.of(member))
                    table.samples[at] = read.samples
                    table.requests[at] = read.requests
                    table.output_tokens[at] = read.output_tokens
                    table.resent_tokens[at] = 0.0
                    table.verifier_tokens[at] = 0.0
    return table


def _by_path(courses: Sequence[Course]) -> dict[tuple[Draws, Selection], list[int]]:
    """Group courses by the longest path that begins with theirs, under the same selection."""
    by_selection: dict[Selection, list[tuple[Draws, int]]] = defaultdict(list)
    for index, course in enumerate(courses):
        draws = tuple(step.generator for step in course.steps for _ in range(step.n))
        by_selection[course.selection].append((draws, index))
    groups: dict[tuple[Draws, Selection], list[int]] = defaultdict(list)
    for selection, members in by_selection.items():
        longest: dict[Draws, Draws] = {}
        for draws, _ in sorted(members, key=lambda member: -len(member[0])):
            if draws not in longest:
                for end in range(len(draws), 0, -1):
                    longest.setdefault(draws[:end], draws)
        for draws, index in members:
            groups[longest[draws], selection].append(index)
    return groups


def _reach(
    recorded: Recorded, draws: Draws, lengths: Iterable[int]
) -> Iterable[tuple[int, NDArray[np.intp]]]:
    """Tell which prompts have samples for how much of a path: the longest of some lengths, and its rows."""
    ends = sorted(set(lengths))
    reach = np.zeros(recorded.n_prompts, dtype=np.int64)
    for end in ends:
        needs = {name: draws[:end].count(name) for name in dict.fromkeys(draws[:end])}
        whole = np.all([recorded.samples[name].n >= n for name, n in needs.items()], axis=0)
        reach[whole] = end
    return [(end, np.flatnonzero(reach == end)) for end in ends if bool((reach == end).any())]


@dataclass(slots=True)
class _Reader:
    """Reads courses off a path; what a rule says along the whole path is kept for all that ask it."""

    path: Path
    _fires: dict[StopRule, NDArray[np.bool_]] = field(default_factory=dict)

    def read(self, course: Course) -> _Read:
        """Return the means of one course, its usage in the order of its own generators."""
        path, names = self.path, course.generators
        ends = np.cumsum([step.n for step in course.steps]) - 1
        columns = [path.generators.index(name) for name in names]
        n_prompts = len(path.prompts)
        drawn = np.zeros((len(ends), len(names)), dtype=np.float32)
        sent = np.zeros_like(drawn)
        for at, step in enumerate(course.steps):
            drawn[at:, names.index(step.generator)] += step.n
            sent[at:, names.index(step.generator)] += 1
        if isinstance(course.stop, Never):
            last = ends[-1]
            each = np.ones((n_prompts, 1), dtype=np.float32)
            tokens = path.output_tokens[columns, last].mean(axis=2).T
            return _Read(
                path.value[last].mean(axis=1),
                each[:, 0] * course.rounds,
                each * drawn[-1],
                each * sent[-1],
                tokens,
            )
        if course.stop not in self._fires:
            self._fires[course.stop] = course.stop.enough(path.evidence)
        fires = self._fires[course.stop][ends]
        fires[-1] = True
        stop = fires.argmax(axis=0)
        place, rows, orders = ends[stop], *np.ogrid[: stop.shape[0], : stop.shape[1]]
        shares = (stop[:, :, None] == np.arange(len(ends))).mean(axis=1, dtype=np.float32)
        return _Read(
            path.value[place, rows, orders].mean(axis=1),
            shares @ np.arange(1, len(ends) + 1, dtype=np.float32),
            shares @ drawn,
            shares @ sent,
            np.stack([path.output_tokens[g][place, rows, orders].mean(axis=1) for g in columns], axis=1),
        )
