"""What a sample log holds, to look at: prompts, generators, counts, pools, chains, runs and families.

It is columnar inside, so that a million samples take a few arrays; prompts keep the order in which they
first appear. Making a log, and making another from it, is left to `difficulty.log.sample_log`, the one class
that is made of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.log.columns import LogColumns, freeze
from difficulty.log.families import Families, find_families
from difficulty.log.line_counts import (
    CHAIN,
    INDEPENDENT,
    Values,
    line_counts,
    line_kinds,
    line_values,
    local_answers,
)
from difficulty.log.lines import generator_record, samples_of
from difficulty.log.near_duplicates import NearDuplicates, find_near_duplicates
from difficulty.log.notebook import log_html
from difficulty.log.pooling import Source, chain_pool, recorded_runs, sample_pool
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool
from difficulty.log.wire import SampleWire
from difficulty.prompt import Prompt
from difficulty.scale import UNIT, Scale


class Counts(NamedTuple):
    """Counts of independent samples, for P prompts and G generators.

    Parameters
    ----------
    n : ndarray of int64, shape (P, G)
        Samples whose correctness is known; 0 where there are none, or no line at all.
    n_correct : ndarray of int64, shape (P, G)
        Correct ones among them.
    """

    n: NDArray[np.int64]
    n_correct: NDArray[np.int64]


class RecordedLog:
    """What was recorded of P prompts and G generators; see `difficulty.log.sample_log.SampleLog`."""

    def __init__(
        self,
        columns: LogColumns,
        *,
        generators: Mapping[str, Generator],
        about: Mapping[str, object],
        valued_by: Literal["correct", "reward"] = "correct",
    ) -> None:
        self._valued_by: Literal["correct", "reward"] = valued_by
        self._columns = columns
        self._generators = MappingProxyType(dict(generators))
        self._about = MappingProxyType(dict(about))
        self._kinds = line_kinds(columns)
        self._local: NDArray[np.int32] | None = None
        self._digest: str | None = None
        self._near: NearDuplicates | None = None
        self._pools: dict[str, SamplePool] = {}
        self._lines: dict[tuple[str, int], int] | None = None

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The P prompts, in order of first appearance."""
        return self._columns.prompts

    @property
    def generators(self) -> Mapping[str, Generator]:
        """The G generators by name, in the order of the header; read-only."""
        return self._generators

    @property
    def about(self) -> Mapping[str, object]:
        """What the header says about the log; free, read-only."""
        return self._about

    @property
    def digest(self) -> str:
        """SHA-256 of the content (all but `about`), the same for every file form; 64 hexadecimal digits."""
        if self._digest is None:
            header = [[name, generator_record(generator)] for name, generator in self._generators.items()]
            self._digest = self._columns.digest(header)
        return self._digest

    @property
    def n_samples(self) -> int:
        """Samples recorded: independent ones (counted ones too), steps of chains, and runs."""
        counted = self._columns.lines.n
        return len(self._columns.samples) + int(counted[counted > 0].sum())

    @property
    def has_text(self) -> bool:
        """Whether every prompt has a text or messages."""
        return all(prompt.content is not None for prompt in self.prompts)

    @property
    def has_answers(self) -> bool:
        """Whether any independent sample has an answer."""
        return bool((self._columns.samples.answer[self._independent()] >= 0).any())

    @property
    def has_tokens(self) -> bool:
        """Whether every independent sample has output tokens; counts-only lines have none."""
        return self._complete(self._columns.samples.output_tokens)

    @property
    def has_scores(self) -> bool:
        """Whether every independent sample has a score."""
        return self._complete(self._columns.samples.score)

    @property
    def has_rewards(self) -> bool:
        """Whether every independent sample has a reward, its graded truth."""
        reward = self._columns.samples.reward
        return reward is not None and self._complete(reward)

    @property
    def has_logprobs(self) -> bool:
        """Whether every independent sample has a mean log-probability."""
        return self._complete(self._columns.samples.mean_logprob)

    @property
    def has_chains(self) -> bool:
        """Whether any generator has revision chains."""
        return bool((self._kinds == CHAIN).any())

    def __len__(self) -> int:
        return len(self._columns.prompts)

    def _repr_html_(self) -> str:
        counts = self.counts()
        return log_html(repr(self), tuple(self._generators), self.n_recorded(), counts.n, counts.n_correct)

    def near_duplicates(self) -> NearDuplicates:
        """Return the groups of near-duplicates: the recorded ones, joined where texts say so."""
        if self._near is None:
            self._near = find_near_duplicates(self.prompts)
        return self._near

    @property
    def meta_keys(self) -> frozenset[str]:
        """Keys that the `meta` of any line has."""
        return frozenset(key for meta in self._columns.lines.meta if meta for key in meta)

    def families(self, key: str | None = None) -> Families | None:
        """Return the families of prompts that the log names in `meta`; None where it names none.

        Parameters
        ----------
        key : str, optional
            Key of `meta` that names them; by default ``family`` or ``task``, whichever the log has.

        Raises
        ------
        InvalidInputError
            When no line has `key`, or a prompt has two families.
        """
        lines = self._columns.lines
        ids = [prompt.id for prompt in self.prompts]
        return find_families(ids, list(zip(lines.prompt.tolist(), lines.meta, strict=True)), key)

    def values(self) -> Values:
        """Return what independent samples are worth; columns in the order of `generators`."""
        return line_values(self._columns, self._kinds, self._worth())

    @property
    def scale(self) -> Scale:
        """The scale of what samples are worth: 0 to 1, unless rewards reach further.

        Raises
        ------
        InvalidInputError
            When samples are valued by rewards and all of these are one number outside [0, 1].
        """
        worth = self._worth()
        return UNIT if worth is None else Scale.of(worth)

    def pool(self, generator: str) -> SamplePool:
        """Return the independent samples of a generator; rows in the order of `prompts`.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        """
        index = self._generator_index(generator)
        if generator not in self._pools:
            self._pools[generator] = freeze(sample_pool(self._source(), index))
        return self._pools[generator]

    def samples(self, prompt_id: str, generator: str) -> list[SampleWire]:
        """Return the independent samples of one prompt as recorded; none where there are counts only.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        """
        index = self._generator_index(generator)
        if self._lines is None:
            lines = self._columns.lines
            independent = np.flatnonzero(self._kinds == INDEPENDENT).tolist()
            self._lines = {
                (self.prompts[lines.prompt[line]].id, int(lines.generator[line])): line
                for line in independent
            }
        line = self._lines.get((prompt_id, index))
        return [] if line is None else samples_of(self._columns, line)

    def answers(self, prompt_id: str) -> tuple[str, ...]:
        """Return the distinct answers of one prompt; the codes of pools, chains and runs are places in it.

        Raises
        ------
        InvalidInputError
            When the prompt is not in the log.
        """
        row = next((row for row, prompt in enumerate(self.prompts) if prompt.id == prompt_id), None)
        if row is None:
            raise InvalidInputError(f"prompt {prompt_id!r} is not in the log, which has {len(self)} prompts")
        samples, offsets = self._columns.samples, self._columns.lines.offsets
        lines = np.flatnonzero(self._columns.lines.prompt == row).tolist()
        codes = np.concatenate([samples.answer[offsets[line] : offsets[line + 1]] for line in lines])
        return tuple(samples.answers[code] for code in dict.fromkeys(codes.tolist()) if code >= 0)

    def chains(self, generator: str) -> ChainPool | None:
        """Return the revision chains of a generator, or None where it has none.

        Raises
        ------
        UnknownGeneratorError
            When the log does not have that generator.
        InvalidLogError
            When it has chains under parameters that differ in more than ``depth``.
        """
        pool = chain_pool(self._source(), self._generator_index(generator))
        return None if pool is None else freeze(pool)

    def runs(self) -> tuple[RecordedRuns, ...]:
        """Return the recorded runs of search strategies, by generator, strategy and parameter set."""
        return tuple(map(freeze, recorded_runs(self._source())))

    def counts(self) -> Counts:
        """Return the counts of independent samples; columns in the order of `generators`."""
        counts = line_counts(self._columns, self._kinds)
        return Counts(n=counts.n_known, n_correct=counts.n_correct)

    def n_recorded(self) -> NDArray[np.int64]:
        """Return how many independent samples each prompt has of each generator, of known correctness or not.

        Returns
        -------
        ndarray of int64, shape (P, G)
            0 where a generator has no line for a prompt.
        """
        return line_counts(self._columns, self._kinds).n_recorded

    def _worth(self) -> NDArray[np.float64] | None:
        """Return the rewards where samples are valued by them."""
        return None if self._valued_by == "correct" else self._columns.samples.reward

    def _generator_index(self, name: str) -> int:
        check_choice("generator", name, self._generators, error=UnknownGeneratorError)
        return self._columns.generators.index(name)

    def _source(self) -> Source:
        """Return what pools are built from."""
        if self._local is None:
            self._local = local_answers(self._columns)
        return Source(self._columns, self._local, self._kinds, self._worth())

    def _independent(self) -> NDArray[np.bool_]:
        """Say of each sample whether it is independent."""
        return np.repeat(self._kinds == INDEPENDENT, np.diff(self._columns.lines.offsets))

    def _complete(self, column: NDArray[np.float64]) -> bool:
        lines = self._columns.lines
        if ((self._kinds == INDEPENDENT) & (lines.n >= 0)).any():
            return False
        values = column[self._independent()]
        return bool(values.size) and not bool(np.isnan(values).any())
