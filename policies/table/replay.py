"""Measure reacting courses on recorded samples: paths are replayed once, and courses are read off them.

A prompt that lacks samples for a course is NaN in its column. Courses decided before the first sample have
exact estimators and are left to `policies.table.static`; what they say corrects replays of the same samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


class _Reader:
    """Reads courses off a path; what a rule says along the whole path is kept for all that ask it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fires: dict[StopRule, NDArray[np.bool_]] = {}
        n_draws, self._n_prompts, self._n_orders = path.value.shape
        # Where each replay of a prompt is after each draw, in arrays laid out flat.
        self._place = np.arange(path.value.size).reshape(n_draws, -1)
        self._ones = np.ones(self._n_orders, dtype=np.float32)

    def _mean(self, replays: FloatArray) -> FloatArray:
        """Return the mean over orders, shape (P,)."""
        total = replays.reshape(self._n_prompts, self._n_orders) @ self._ones
        return np.asarray(total / np.float32(self._n_orders))

    def read(self, course: Course) -> _Read:
        """Return the means of one course, its usage in the order of its own generators."""
        path, names = self._path, course.generators
        ends = (np.cumsum([step.n for step in course.steps]) - 1).tolist()
        columns = [path.generators.index(name) for name in names]
        drawn = np.zeros((len(ends), len(names)), dtype=np.float32)
        sent = np.zeros_like(drawn)
        for at, step in enumerate(course.steps):
            drawn[at:, names.index(step.generator)] += step.n
            sent[at:, names.index(step.generator)] += 1
        if isinstance(course.stop, Never):
            each = np.ones((self._n_prompts, 1), dtype=np.float32)
            return _Read(
                self._mean(path.value[ends[-1]]),
                each[:, 0] * course.rounds,
                each * drawn[-1],
                each * sent[-1],
                np.stack([self._mean(path.output_tokens[g, ends[-1]]) for g in columns], axis=1),
            )
        if course.stop not in self._fires:
            fires = course.stop.enough(path.evidence)
            self._fires[course.stop] = np.ascontiguousarray(fires).reshape(len(fires), -1)
        fires = self._fires[course.stop]
        place = self._place[ends[-1]].copy()
        stop = np.full(len(place), len(ends) - 1, dtype=np.intp)
        # The first step that fires is written last.
        for at in range(len(ends) - 2, -1, -1):
            fired = fires[ends[at]]
            np.copyto(place, self._place[ends[at]], where=fired)
            np.copyto(stop, at, where=fired)
        tokens = [path.output_tokens[g].reshape(-1).take(place) for g in columns]
        rounds = self._mean((stop + 1).astype(np.float32))
        alone = len(names) == 1
        return _Read(
            self._mean(path.value.reshape(-1).take(place)),
            rounds,
            np.stack([self._mean(drawn[:, g].take(stop)) for g in range(len(names))], axis=1),
            rounds[:, None] if alone else self._sent(sent, stop),
            np.stack([self._mean(each) for each in tokens], axis=1),
        )

    def _sent(self, sent: FloatArray, stop: NDArray[np.intp]) -> FloatArray:
        """Return the mean requests of each generator, shape (P, G)."""
        return np.stack([self._mean(column.take(stop)) for column in sent.T], axis=1)
