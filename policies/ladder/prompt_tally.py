"""What has been drawn for one prompt: `policies.ladder.tally` in plain numbers.

A server tallies prompt by prompt, where arrays of one row cost ten times what the sums do. It keeps the same
counts and gives the same evidence, as one packed row each, so that a batch of rows becomes one `Evidence` at
once. It assumes the codes of answers that `Tally` assumes; many prompts in lock-step are left to that.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import repeat, zip_longest
from typing import Final

from policies.ladder.evidence import MAX_LENGTH, Evidence
from policies.ladder.ladder import Ladder, SampleScale

__all__ = ["PromptTally"]

_NO_SCALE: Final = SampleScale()
# The exponential of more than this has no double.
_MOST: Final = 700.0


class PromptTally:
    """Votes and sums of one prompt that follows a ladder.

    Parameters
    ----------
    ladder : Ladder
        Gives the weights of votes, and whether generators pool.
    scales : mapping of str to SampleScale
        What is usual for each generator; one that is missing has no usual values.
    difficulty : sequence of float
        D coordinates of the prompt.

    Examples
    --------
    >>> from policies.ladder.ladder import Wave
    >>> tally = PromptTally(Ladder(waves=(Wave(generator="tiny", n=3),)), {}, ())
    >>> tally.add("tiny", answer=(0, 1, 0))
    >>> tally.evidence().leader, tally.tied()
    (array([2.]), [0])
    """

    __slots__ = (
        "_best_score", "_chances", "_counts", "_difficulty", "_judged", "_ladder", "_last", "_length",
        "_length_stage", "_logprob", "_logprobs", "_n_correct", "_n_drawn", "_n_length", "_n_logprob",
        "_n_scores", "_scales", "_score", "_score_square", "_spent", "_streak", "_vote_stage", "_votes",
        "_wave",
    )  # fmt: skip

    def __init__(
        self, ladder: Ladder, scales: Mapping[str, SampleScale], difficulty: Sequence[float]
    ) -> None:
        self._ladder, self._scales, self._difficulty = ladder, scales, tuple(map(float, difficulty))
        # By code of the answer: weighted votes, votes, and sums of surprises.
        self._votes: list[float] = []
        self._counts: list[int] = []
        self._logprobs: list[float] = []
        # Sums of P(correct) by code, and by generator what its samples gave to votes and sums.
        self._chances: list[float] = []
        self._judged: dict[str, tuple[list[float], list[float]]] = {}
        self._wave = self._n_drawn = self._streak = self._n_correct = 0
        self._last = -1
        self._vote_stage: str | None = None
        self._length_stage: str | None = None
        self._logprob, self._n_logprob = 0.0, 0
        self._length, self._n_length = 0.0, 0
        self._spent = 0.0
        self._score, self._score_square, self._n_scores = 0.0, 0.0, 0
        self._best_score = math.nan

    def add(
        self,
        generator: str,
        *,
        answer: Sequence[int],
        mean_logprob: Sequence[float | None] = (),
        cost: Sequence[float] = (),
        score: Sequence[float | None] = (),
    ) -> None:
        """Add one wave of m samples of a generator.

        Parameters
        ----------
        generator : str
            Name of the generator.
        answer : sequence of int
            m codes of answers; below 0 for samples that abstain or failed.
        mean_logprob, score : sequence of float or None
            m values, None or NaN where not known; empty where none is.
        cost : sequence of float
            m costs, at least 0, NaN where not known; empty where none is.
        """
        scale = self._scales.get(generator, _NO_SCALE)
        if any(code >= 0 for code in answer):
            if not self._ladder.pooled and self._vote_stage != generator:
                self._restart()
            self._vote_stage = generator
        if self._length_stage != generator:
            self._length, self._n_length, self._length_stage = 0.0, 0, generator
        usual = self._ladder.weight(generator)
        steep = self._ladder.steepness(generator) * scale.logprob_sd
        for code, logprob in zip(answer, mean_logprob or repeat(None), strict=False):
            surprise = 0.0
            if logprob is not None and scale.logprob_sd > 0 and not math.isnan(logprob):
                surprise = (logprob - scale.logprob_mean) / scale.logprob_sd
                self._logprob += surprise
                self._n_logprob += 1
            weight = 0.0 if self._ladder.judged else usual * math.exp(min(steep * surprise, _MOST))
            self._vote(code, weight, surprise)
        self._wave += 1
        self._n_drawn += len(answer)
        for one in cost:
            self._spent += 0.0 if math.isnan(one) else one
            if scale.log_cost_sd > 0 and one > 0:
                self._length += (math.log(one) - scale.log_cost_mean) / scale.log_cost_sd
                self._n_length += 1
        for value in score:
            if value is not None and not math.isnan(value):
                self._score += value
                self._score_square += value**2
                self._n_scores += 1
                self._best_score = value if self._n_scores == 1 else max(self._best_score, value)

    def judge(self, generator: str, *, answer: Sequence[int], chance: Sequence[float | None]) -> None:
        """Let all samples of a generator vote anew, weighed by what its learned verifier now thinks of them.

        Parameters
        ----------
        generator : str
            Whose samples; their wave has been added.
        answer : sequence of int
            Codes of all its answers so far; below 0 abstains.
        chance : sequence of float or None
            P(correct) of each, in [0, 1]; None or NaN where it could not be judged and does not vote.
        """
        self._grow(max(answer, default=-1))
        votes, chances = [0.0] * len(self._votes), [0.0] * len(self._votes)
        usual, power = self._ladder.weight(generator), self._ladder.chance_weight
        for code, value in zip(answer, chance, strict=True):
            if code >= 0 and value is not None and not math.isnan(value):
                votes[code] += usual * value**power
                chances[code] += value
        if self._ladder.pooled:
            self._judged[generator] = votes, chances
            # Tables that were made before an answer was first seen are shorter.
            tables = [
                zip_longest(*parts, fillvalue=0.0) for parts in zip(*self._judged.values(), strict=True)
            ]
            self._votes, self._chances = ([sum(row) for row in table] for table in tables)
        elif self._vote_stage == generator:
            self._votes, self._chances = votes, chances

    def row(self) -> array[float]:
        """Return the evidence as one packed row, for `Evidence.unpacked`."""
        votes, counts = self._votes, self._counts
        first = second = -1
        for code, weight in enumerate(votes):
            if first < 0 or weight > votes[first]:
                first, second = code, first
            elif second < 0 or weight > votes[second]:
                second = code
        leader_count = counts[first] if first >= 0 else 0
        n_scores = self._n_scores
        mean_score = self._score / n_scores if n_scores else math.nan
        spread = max(self._score_square / n_scores - mean_score**2, 0.0) if n_scores else math.nan
        values = (
            self._wave,
            self._n_drawn,
            votes[first] if first >= 0 else 0.0,
            votes[second] if second >= 0 else 0.0,
            sum(votes),
            leader_count,
            counts[second] if second >= 0 else 0,
            sum(counts),
            len(counts) - counts.count(0),
            self._streak,
            self._n_correct,
            self._logprobs[first] / leader_count if leader_count else 0.0,
            self._logprob / self._n_logprob if self._n_logprob else 0.0,
            self._chances[first] / max(leader_count, 1) if first >= 0 else 0.0,
            min(self._length / self._n_length, MAX_LENGTH) if self._n_length else 0.0,
            self._best_score,
            mean_score,
            math.sqrt(spread),
            self._spent,
            *self._difficulty,
        )
        return array("d", values)

    def evidence(self) -> Evidence:
        """Return what is known about the prompt, one row."""
        return Evidence.unpacked([self.row()])

    def tied(self) -> list[int]:
        """Return the codes that share the lead, in order; none where nobody voted."""
        top = max(self._votes, default=0.0)
        return [code for code, weight in enumerate(self._votes) if weight > 0 and weight >= top * (1 - 1e-12)]

    def _vote(self, code: int, weight: float, surprise: float) -> None:
        if code < 0:
            self._streak, self._last = 0, -1
            return
        self._grow(code)
        self._votes[code] += weight
        self._counts[code] += 1
        self._logprobs[code] += surprise
        self._streak = self._streak + 1 if code == self._last else 1
        self._last = code

    def _grow(self, code: int) -> None:
        """Make room for an answer."""
        while code >= len(self._votes):
            self._votes.append(0.0)
            self._counts.append(0)
            self._logprobs.append(0.0)
            self._chances.append(0.0)

    def _restart(self) -> None:
        """Forget the votes of an earlier generator whose answers do not compare."""
        self._votes, self._counts, self._logprobs, self._chances = [], [], [], []
        self._logprob, self._n_logprob = 0.0, 0
        self._streak, self._last = 0, -1
