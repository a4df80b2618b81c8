"""Measure reacting courses on recorded samples: paths are replayed once, and courses are read off them.

A prompt that lacks samples for a course is NaN in its column. A search that follows samples is an atom: where
a rule is not content with them, the course is worth what the recorded runs were. Courses decided before the
first sample have exact estimators and are left to `policies.table.static`; what they say corrects replays of
the same samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.arithmetic.row_product import row_product
from difficulty.errors import InvalidInputError
from policies.course.course import Course, Step
from policies.course.selection import Selection
from policies.course.stop import Never, StopRule
from policies.replay.recorded_answers import spared
from policies.table.deeper import RecordedSearch
from policies.table.ordered import TOKENS
from policies.table.path import Path, follow
from policies.table.reading import is_scored, reads_samples
from policies.table.recorded import Recorded, Source
from policies.table.table import CourseTable

Draws: TypeAlias = tuple[Source, ...]

# Draws that are replayed at a time: bounds memory to some hundred MB.
_CHUNK: Final = 1 << 24


class _Read(NamedTuple):
    """Means over orders: value and rounds (P,), usage of G generators (P, G) by the names of a table."""

    value: Float32Array
    rounds: Float32Array
    usage: dict[str, Float32Array]


def replay(recorded: Recorded, courses: Sequence[Course]) -> CourseTable:
    """Replay courses on every prompt.

    Parameters
    ----------
    recorded : Recorded
        Samples, chains and searches of P prompts.
    courses : sequence of Course
        The C columns.

    Raises
    ------
    InvalidInputError
        When a course needs what was not recorded (`Recorded.lacks`).
    """
    for course in courses:
        missing = recorded.lacks(course)
        if missing is not None:
            raise InvalidInputError(missing)
    table = CourseTable.empty(courses, recorded.n_prompts)
    lengths = [sum(step.n for step in _followed(course)) for course in courses]
    for (draws, selection), members in _by_path(courses).items():
        for length, rows in _reach(recorded, draws, [lengths[m] for m in members]):
            within = [m for m in members if lengths[m] <= length]
            size = max(1, _CHUNK // (length * length * recorded.n_orders))
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                reader = _Reader(follow(recorded, draws[:length], selection, part), recorded)
                for member in within:
                    _write(table, member, part, reader.read(courses[member]))
    return table


def _write(table: CourseTable, column: int, rows: NDArray[np.intp], read: _Read) -> None:
    """Put what was read of a course into its column; where a search was not recorded, nothing is known."""
    known = ~np.isnan(read.value)
    if not known.all():
        rows = rows[known]
        usage = {name: used[known] for name, used in read.usage.items()}
        read = _Read(read.value[known], read.rounds[known], usage)
    table.value[rows, column] = read.value
    table.rounds[rows, column] = read.rounds
    at = np.ix_(rows, table.slots.of(column))
    for name, used in read.usage.items():
        getattr(table, name)[at] = used


def _followed(course: Course) -> tuple[Step, ...]:
    """Return the steps of a course that are drawn one by one: all but a search at its end."""
    return course.steps[:-1] if course.steps[-1].kind == "search" else course.steps


def _source(step: Step) -> Source:
    return Source(step.generator, step.n if step.kind == "revise" else 0)


def _by_path(courses: Sequence[Course]) -> dict[tuple[Draws, Selection], list[int]]:
    """Group courses by the longest path that begins with theirs, under the same selection."""
    by_selection: dict[Selection, list[tuple[Draws, int]]] = defaultdict(list)
    for index, course in enumerate(courses):
        draws = tuple(_source(step) for step in _followed(course) for _ in range(step.n))
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
        needs = {source: draws[:end].count(source) for source in dict.fromkeys(draws[:end])}
        whole = np.all([recorded.of_source(source).n >= n for source, n in needs.items()], axis=0)
        reach[whole] = end
    return [(end, np.flatnonzero(reach == end)) for end in ends if bool((reach == end).any())]


class _Reader:
    """Reads courses off a path; what a rule says along the whole path is kept for all that ask it."""

    def __init__(self, path: Path, recorded: Recorded) -> None:
        self._path, self._recorded = path, recorded
        self._owners = path.generators
        self._fires: dict[StopRule, NDArray[np.bool_]] = {}
        n_draws, self._n_prompts, self._n_orders = path.value.shape
        # Where each replay of a prompt is after each draw, in arrays laid out flat.
        self._place = np.arange(path.value.size).reshape(n_draws, -1)
        self._even = np.full((self._n_orders, 1), 1 / self._n_orders)

    def _mean(self, replays: Float32Array) -> Float32Array:
        """Return the mean over orders, shape (P,)."""
        return row_product(replays.reshape(self._n_prompts, self._n_orders), self._even)[:, 0]

    def read(self, course: Course) -> _Read:
        """Return the means of one course, its usage in the order of its own generators."""
        path, names, steps, owners = self._path, course.generators, _followed(course), self._owners
        ends = (np.cumsum([step.n for step in steps]) - 1).tolist()
        columns = [owners.index(name) if name in owners else None for name in names]
        drawn = np.zeros((len(ends), len(names)), dtype=np.float32)
        sent = np.zeros_like(drawn)
        for at, step in enumerate(steps):
            drawn[at:, names.index(step.generator)] += step.n
            sent[at:, names.index(step.generator)] += 1
        each = np.ones((self._n_prompts, 1), dtype=np.float32)
        if isinstance(course.stop, Never) and len(steps) == len(course.steps):
            rounds, place = each[:, 0] * course.rounds, self._place[ends[-1]]
            samples, requests = each * drawn[-1], each * sent[-1]
            going = None
        else:
            place, stop, going = self._stopped(course, ends)
            rounds = self._mean((stop + 1).astype(np.float32))
            samples = np.stack([self._mean(drawn[:, g].take(stop)) for g in range(len(names))], axis=1)
            requests = rounds[:, None] if len(names) == 1 else self._sent(sent, stop)
        none = np.zeros(samples.shape, dtype=np.float32)
        usage = {"samples": samples, "requests": requests} | dict.fromkeys(TOKENS, none)
        for name in TOKENS:
            if name == "verifier_tokens" and not reads_samples(course):
                continue
            if name in path.tokens:
                usage[name] = self._tokens(path.tokens[name], columns, place)
            elif name == "verifier_tokens":
                usage[name] = none + np.float32(np.nan)
        read = _Read(self._mean(path.value.reshape(-1).take(place)), rounds, usage)
        if going is None:
            return read
        return self._searched(read, course, self._recorded.searches[course.steps[-1]], place, going)

    def _stopped(
        self, course: Course, ends: list[int]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_] | None]:
        """Return where each replay ends on the path, at which step, and where a search follows."""
        if course.stop not in self._fires:
            fires = course.stop.enough(self._path.evidence)
            self._fires[course.stop] = np.ascontiguousarray(fires).reshape(len(fires), -1)
        fires = self._fires[course.stop]
        place = self._place[ends[-1]].copy()
        stop = np.full(len(place), len(ends) - 1, dtype=np.intp)
        going = ~fires[ends[-1]] if len(ends) < len(course.steps) else None
        # The first step that fires is written last.
        for at in range(len(ends) - 2, -1, -1):
            fired = fires[ends[at]]
            np.copyto(place, self._place[ends[at]], where=fired)
            np.copyto(stop, at, where=fired)
            if going is not None:
                going &= ~fired
        return place, stop, going

    def _searched(
        self,
        read: _Read,
        course: Course,
        search: RecordedSearch,
        place: NDArray[np.intp],
        going: NDArray[np.bool_],
    ) -> _Read:
        """Add the search that follows where a rule is not content; where it is silent, what stood stands."""
        prompts, step = self._path.prompts, course.steps[-1]
        share = self._mean(going.astype(np.float32))
        before = self._path.value.reshape(-1).take(place) * going
        value = read.value + share * search.value[prompts]
        value -= (1 - search.silent[prompts]) * self._mean(before.astype(np.float32))
        mine = course.generators.index(step.generator)
        probed = self._recorded.samples[step.generator]
        length = probed.prompt_tokens[prompts].astype(np.float32)
        shared = length if probed.resent_tokens is None else 0.0
        output, sent = search.output_tokens[prompts], search.prompt_tokens[prompts]
        heard = search.verifier_tokens[prompts]
        if is_scored(course):
            # As `policies.table.reading` estimates what nobody recorded.
            heard = np.where(np.isnan(heard), length * step.n + output, heard)
        else:
            heard = np.zeros_like(heard)
        usage = {name: used.copy() for name, used in read.usage.items()}
        for at, name in enumerate(course.generators):
            own = self._recorded.samples[name].prompt_tokens[prompts].astype(np.float32)
            read_of = usage["verifier_tokens"][:, at]
            estimate = own * usage["samples"][:, at] + usage["output_tokens"][:, at]
            np.copyto(read_of, estimate, where=np.isnan(read_of))
        more: dict[str, float | NDArray[np.floating]] = {
            "samples": step.n,
            "requests": 1,
            "output_tokens": output,
            "resent_tokens": sent - shared,
            "cached_tokens": spared(search.cached_tokens[prompts], sent - shared),
            "verifier_tokens": heard,
        }
        for name, added in more.items():
            usage[name][:, mine] += share * added
        return read._replace(value=value, rounds=read.rounds + share, usage=usage)

    def _tokens(
        self, tokens: Float32Array, columns: list[int | None], place: NDArray[np.intp]
    ) -> Float32Array:
        """Return the mean tokens of each generator, shape (P, G); 0 of one that the path does not draw."""
        none = np.zeros(self._n_prompts, dtype=np.float32)
        each = [none if g is None else self._mean(tokens[g].reshape(-1).take(place)) for g in columns]
        return np.stack(each, axis=1)

    def _sent(self, sent: Float32Array, stop: NDArray[np.intp]) -> Float32Array:
        """Return the mean requests of each generator, shape (P, G)."""
        return np.stack([self._mean(column.take(stop)) for column in sent.T], axis=1)
