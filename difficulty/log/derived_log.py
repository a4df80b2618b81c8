"""A log seen in another way: parts of it, other labels, other values of its samples.

Every verb returns a new log and leaves the old one as it is. What a log holds is said in
`difficulty.log.recorded_log`, how one is made and written in `difficulty.log.sample_log`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.columns import LogColumns
from difficulty.log.graded import without_ungraded
from difficulty.log.label_signals import Labels, LabelSignals, label_signals
from difficulty.log.recorded_log import RecordedLog
from difficulty.log.rewards import with_rewards
from difficulty.log.select import lines_of_prompts
from difficulty.log.split import held_out_groups
from difficulty.scale import check_ends


class DerivedLog(RecordedLog):
    """What other logs a log makes of itself; `difficulty.log.sample_log.SampleLog` is the one to use."""

    def split(
        self,
        test_fraction: float = 0.4,
        seed: int = 0,
        *,
        near_duplicates: bool = True,
        by: str | None = None,
    ) -> tuple[Self, Self]:
        """Split into a training and a test log, by group of near-duplicates or by family.

        The same groups and seed give the same split, whatever the order of the prompts; it is recorded in
        ``about["split"]``.

        Parameters
        ----------
        test_fraction : float
            Share of the prompts that goes to the test side, in (0, 1), as nearly as whole groups allow.
        seed : int
        near_duplicates : bool
            Keep together what `near_duplicates` finds, beyond the recorded groups.
        by : str, optional
            Key of `meta` that names families, which then go to one side whole: the test side asks what is
            known of kinds of prompts that training never saw.

        Raises
        ------
        InvalidInputError
            When `test_fraction` is out of range, the log has fewer than two groups, or it names no families
            by that key.
        """
        groups: Sequence[str] = [prompt.group for prompt in self.prompts]
        if near_duplicates:
            groups = self.near_duplicates().groups
        families = None if by is None else self.families(by)
        if families is not None:
            groups = families.joined(groups)
        held_out = held_out_groups(groups, test_fraction=test_fraction, seed=seed)
        in_test = np.array([group in held_out for group in groups])
        sides = []
        for side, chosen in (("train", ~in_test), ("test", in_test)):
            record: dict[str, object] = {
                "side": side,
                "test_fraction": test_fraction,
                "seed": seed,
                "digest": self.digest,
                "near_duplicates": near_duplicates,
            }
            if by is not None:
                record["by"] = by
            if "split" in self._about:
                record["of"] = self._about["split"]
            columns = self._columns.take(np.flatnonzero(chosen[self._columns.lines.prompt]))
            sides.append(self._with(columns, about={**self._about, "split": record}))
        return sides[0], sides[1]

    def select(self, prompt_ids: Iterable[str]) -> Self:
        """Return the log of some prompts, in the order of `prompt_ids`.

        Raises
        ------
        InvalidInputError
            When an id is not in the log or is given twice, or none is given.
        """
        return self._with(self._columns.take(lines_of_prompts(self._columns, prompt_ids)))

    def select_generators(self, names: Iterable[str]) -> Self:
        """Return the log of some generators, in the order of `names`, without prompts that they never saw.

        Raises
        ------
        UnknownGeneratorError
            When a name is not in the log.
        InvalidInputError
            When none of them has a line.
        """
        wanted = list(dict.fromkeys(names))
        codes = [self._generator_index(name) for name in wanted]
        lines = np.flatnonzero(np.isin(self._columns.lines.generator, codes))
        if lines.size == 0:
            raise InvalidInputError(f"none of the generators {wanted} has a line in the log")
        columns = self._columns.take(lines, generators=wanted)
        return self._with(columns, generators={name: self._generators[name] for name in wanted})

    def with_rewards(self, source: str, *, threshold: float | None = None) -> Self:
        """Return the log with rewards taken from elsewhere in it.

        Parameters
        ----------
        source : str
            ``"meta.KEY"``: a list in the `meta` of each line, in the order of its samples (lines without it
            take their verdicts, 1 or 0); ``"score"``; ``"correct"``; ``"reward"``, what is recorded.
        threshold : float, optional
            The least reward that counts as correct; ``about["correct_from_reward"]`` then says so. Without
            it verdicts stay as they are.

        Raises
        ------
        InvalidInputError
            When there is no such source, no sample has it, or its scale is not that of the verdicts.
        InvalidLogError
            When a list in `meta` does not fit the samples of its line.

        Examples
        --------
        >>> from difficulty import Generator, SampleLog
        >>> line = {"prompt_id": "a", "generator": "tiny", "meta": {"rubric": [0.25, 1.0]},
        ...         "samples": [{"output_tokens": 9}, {"output_tokens": 7}]}
        >>> log = SampleLog.from_records([line], {"tiny": Generator(name="tiny")})
        >>> graded = log.with_rewards("meta.rubric", threshold=0.5)
        >>> [(sample.reward, sample.correct) for sample in graded.samples("a", "tiny")]
        [(0.25, False), (1.0, True)]
        """
        columns = with_rewards(self._columns, source, threshold=threshold)
        about = {**self._about, "rewards_from": source}
        if threshold is not None:
            about["correct_from_reward"] = threshold
        return self._with(columns, about=about)

    def valued_by(self, what: Literal["correct", "reward"]) -> Self:
        """Return the log in whose pools a sample is worth its reward, or 1 and 0 for right and wrong.

        Samples that nobody graded are left out beside graded ones of the same prompt and generator.

        Raises
        ------
        InvalidInputError
            When it is another word, no sample has a reward, or rewards lie beyond all reckoning.
        """
        if what not in ("correct", "reward"):
            raise InvalidInputError(f"samples are valued by 'correct' or 'reward', got {what!r}")
        samples = self._columns.samples
        value = samples.correct if what == "correct" else samples.reward
        if value is None:
            raise InvalidInputError(
                "no sample of this log has a reward: record it in the samples, or say where it stands, as in "
                "with_rewards('meta.rubric') or with_rewards('score') (--reward on the command line)"
            )
        known = value >= 0 if what == "correct" else ~np.isnan(value)
        if what == "reward" and known.any():
            check_ends(float(value[known].min()), float(value[known].max()))
        return self._with(without_ungraded(self._columns, self._independent(), known), valued_by=what)

    def counted_from(self, origin: float, *, per: float = 1.0) -> Self:
        """Return the log with each reward less an origin, as a multiple of `per`."""
        reward = self._columns.samples.reward
        if reward is None or (origin, per) == (0.0, 1.0):
            return self
        samples = replace(self._columns.samples, reward=(reward - origin) / per)
        return self._with(replace(self._columns, samples=samples))

    def label_signals(self, by: Labels) -> LabelSignals:
        """Return what labels may rest on where verdicts are missing (`difficulty.log.label_signals`).

        Parameters
        ----------
        by : {"agreement", "verifier", "judge"}
            Agreement with the other samples of the prompt, the scores, or the rewards.

        Raises
        ------
        InvalidInputError
            When it is another word, or the log does not record what it needs.
        """
        return label_signals(self._columns, self._independent(), by)

    def with_labels(self, value: NDArray[np.float64]) -> Self:
        """Return the log in which each of the S samples is worth a label and nobody knows verdicts.

        Parameters
        ----------
        value : ndarray of float64, shape (S,)
            In the order of `label_signals`; NaN where nothing is known.
        """
        unknown = np.full(len(value), -1, dtype=np.int8)
        samples = replace(self._columns.samples, reward=value.copy(), correct=unknown)
        return self._with(replace(self._columns, samples=samples)).valued_by("reward")

    def without_verdicts(self, keep: Iterable[str] = ()) -> Self:
        """Return the log as if nobody had graded it, but for the prompts to `keep`.

        Lines that record counts only stay as they are: they are nothing but verdicts.
        """
        kept = set(keep)
        known = np.array([prompt.id in kept for prompt in self.prompts])
        owner = np.repeat(self._columns.lines.prompt, np.diff(self._columns.lines.offsets))
        correct = np.where(known[owner], self._columns.samples.correct, -1).astype(np.int8)
        return self._with(replace(self._columns, samples=replace(self._columns.samples, correct=correct)))

    def _with(self, columns: LogColumns, **changes: Any) -> Self:
        """Return a log of other columns that is like this one otherwise, but for `changes`."""
        same = {"generators": self._generators, "about": self._about, "valued_by": self._valued_by}
        return type(self)(columns, **{**same, **changes})
