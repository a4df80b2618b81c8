"""Votes and sums of many prompts that follow one ladder, and the evidence that they make.

One tally serves replay (all prompts × orders in lock-step) and simulated prompts. Answers arrive as codes
that are equal within a prompt where the answers are equal; comparing answers is left to
`planner.answers.rules`, one live prompt to `policies.ladder.prompt_tally`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.ladder.evidence import MAX_LENGTH, Evidence
from policies.ladder.ladder import Ladder, SampleScale

__all__ = ["Tally"]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


class Tally:
    """Votes and sums of N prompts that follow one ladder.

    Parameters
    ----------
    ladder : Ladder
        Gives the weights of votes, and whether generators pool.
    scales : mapping of str to SampleScale
        What is usual for each generator; a generator that is missing has no usual values, and its
        log-probabilities and costs are then no evidence.
    difficulty : ndarray of float64, shape (N, D)
        Coordinates of the prompts.

    Examples
    --------
    >>> from policies.ladder.ladder import Wave
    >>> tally = Tally(Ladder(waves=(Wave(generator="tiny", n=3),)), {}, np.zeros((1, 0)))
    >>> tally.add("tiny", answer=np.array([[0, 1, 0]]))
    >>> evidence = tally.evidence()
    >>> evidence.leader, evidence.runner_up, tally.leaders()
    (array([2.]), array([1.]), array([0]))
    """

    def __init__(self, ladder: Ladder, scales: dict[str, SampleScale], difficulty: FloatArray) -> None:
        n = len(difficulty)
        self.ladder, self.scales = ladder, scales
        self._difficulty = difficulty
        self._stages = {name: index for index, name in enumerate(ladder.generators)}
        self._votes = np.zeros((n, 4))
        self._counts = np.zeros((n, 4))
        self._logprobs = np.zeros((n, 4))
        self._chances = np.zeros((n, 4))
        self._judged: dict[str, FloatArray] = {}
        for name in ("wave", "n_drawn", "streak", "n_correct", "_last"):
            setattr(self, name, np.zeros(n, dtype=np.int64))
        self._last -= 1
        self._vote_stage = np.full(n, -1)
        self._length_stage = np.full(n, -1)
        self._sums = {name: np.zeros(n) for name in ("logprob", "n_logprob", "length", "n_length", "spent")}
        self._scores = {name: np.zeros(n) for name in ("sum", "square", "n")}
        self._best = np.full(n, np.nan)

    wave: IntArray
    n_drawn: IntArray
    streak: IntArray
    n_correct: IntArray
    _last: IntArray

    def add(
        self,
        generator: str,
        *,
        answer: NDArray[np.integer],
        rows: NDArray[np.intp] | None = None,
        correct: NDArray[np.integer] | None = None,
        mean_logprob: FloatArray | None = None,
        cost: FloatArray | None = None,
        score: FloatArray | None = None,
        request_cost: FloatArray | float = 0.0,
    ) -> None:
        """Add one wave of m samples of a generator to the prompts at `rows`.

        Parameters
        ----------
        generator : str
            Name of the generator; a generator outside the ladder is refused with KeyError.
        answer : ndarray of int, shape (N, m)
            Codes of answers; below 0 for samples that abstain or failed.
        rows : ndarray of intp, shape (N,), optional
            Prompts that the samples belong to, each once; all prompts in order by default.
        correct : ndarray of int, shape (N, m), optional
            1 where a checker accepted the sample.
        mean_logprob, cost, score : ndarray of float64, shape (N, m), optional
            NaN where not known.
        request_cost : float or ndarray of shape (N,)
            Cost of sending the request itself (the prompt's tokens).
        """
        at = np.arange(len(self._difficulty)) if rows is None else rows
        stage = self._stages[generator]
        scale = self.scales.get(generator, SampleScale())
        codes = np.asarray(answer, dtype=np.int64)
        self._grow(int(codes.max(initial=-1)) + 1)
        voted = codes >= 0
        if not self.ladder.pooled:
            self._restart(at[voted.any(axis=1) & (self._vote_stage[at] != stage)])
        self._vote_stage[at] = np.where(voted.any(axis=1), stage, self._vote_stage[at])
        self._length_restart(at[self._length_stage[at] != stage], stage)
        surprise = np.zeros(codes.shape)
        if mean_logprob is not None and scale.logprob_sd > 0:
            known = ~np.isnan(mean_logprob)
            surprise = np.where(known, (mean_logprob - scale.logprob_mean) / scale.logprob_sd, 0.0)
            self._sums["logprob"][at] += surprise.sum(axis=1)
            self._sums["n_logprob"][at] += known.sum(axis=1)
        weight = self.ladder.weight(generator) * np.exp(
            self.ladder.steepness(generator) * scale.logprob_sd * surprise
        )
        if self.ladder.judged:
            weight = np.zeros(codes.shape)
        for column in range(codes.shape[1]):
            some = voted[:, column]
            cells = (at[some], codes[some, column])
            self._votes[cells] += weight[some, column]
            self._counts[cells] += 1
            self._logprobs[cells] += surprise[some, column]
            same = some & (codes[:, column] == self._last[at])
            self.streak[at] = np.where(same, self.streak[at] + 1, some)
            self._last[at] = codes[:, column]
        self.wave[at] += 1
        self.n_drawn[at] += codes.shape[1]
        self._sums["spent"][at] += request_cost
        if correct is not None:
            self.n_correct[at] += (np.asarray(correct) == 1).sum(axis=1)
        if cost is not None:
            self._sums["spent"][at] += np.nan_to_num(cost).sum(axis=1)
            if scale.log_cost_sd > 0:
                known = cost > 0
                logs = (np.log(np.where(known, cost, 1.0)) - scale.log_cost_mean) / scale.log_cost_sd
                self._sums["length"][at] += np.where(known, logs, 0.0).sum(axis=1)
                self._sums["n_length"][at] += known.sum(axis=1)
        if score is not None:
            self._add_scores(at, score)

    def judge(
        self,
        generator: str,
        *,
        answer: NDArray[np.integer],
        chance: FloatArray,
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        """Let all samples of a generator vote anew, weighed by what its learned verifier now thinks of them.

        Parameters
        ----------
        generator : str
            Whose samples; their wave has been added.
        answer : ndarray of int, shape (N, m)
            Codes of all its answers so far; below 0 abstains.
        chance : ndarray of float64, shape (N, m)
            P(correct) of each, in [0, 1]; NaN where it could not be judged and does not vote.
        rows : ndarray of intp, shape (N,), optional
            Prompts that the samples belong to, each once; all prompts in order by default.
        """
        at: slice | NDArray[np.intp] = slice(None) if rows is None else rows
        width = self._votes.shape[1]
        chance = np.nan_to_num(chance)
        weight = chance**self.ladder.chance_weight * self.ladder.weight(generator)
        # Weighted votes, and sums of P(correct), by code.
        lines, columns = np.nonzero(answer >= 0)
        cells = lines * width + answer[lines, columns]
        fresh = np.stack(
            [
                np.bincount(cells, weights=values[lines, columns], minlength=len(answer) * width)
                for values in (weight, chance)
            ]
        ).reshape(2, len(answer), width)
        if not self.ladder.pooled:
            # The latest generator that answered decides; where it did not, its elder's votes stand.
            mine = self._vote_stage[at] == self._stages[generator]
            at = np.arange(len(self._difficulty))[at][mine]
            self._votes[at], self._chances[at] = fresh[:, mine]
            return
        if len(self._stages) > 1:
            if generator not in self._judged:
                self._judged[generator] = np.zeros((2, *self._votes.shape))
            self._judged[generator][:, at] = fresh
            fresh = np.sum([table[:, at] for table in self._judged.values()], axis=0)
        self._votes[at], self._chances[at] = fresh

    def evidence(self, rows: NDArray[np.intp] | None = None) -> Evidence:
        """Return what is known about the prompts at `rows` (all by default)."""
        at = slice(None) if rows is None else rows
        votes, counts = self._votes[at], self._counts[at]
        lines = np.arange(len(votes))
        first = votes.argmax(axis=1)
        leader = votes[lines, first]
        others = votes.copy()
        others[lines, first] = -1.0
        second = others.argmax(axis=1)
        leader_count = counts[lines, first]
        sums = {name: values[at] for name, values in self._sums.items()}
        n_scores = np.maximum(self._scores["n"][at], 1)
        mean_score = np.where(self._scores["n"][at] > 0, self._scores["sum"][at] / n_scores, np.nan)
        spread = np.maximum(self._scores["square"][at] / n_scores - mean_score**2, 0.0)
        return Evidence(
            wave=self.wave[at].copy(),
            n_drawn=self.n_drawn[at].copy(),
            leader=leader,
            runner_up=np.maximum(others[lines, second], 0.0),
            votes=votes.sum(axis=1),
            leader_count=leader_count.astype(np.int64),
            runner_up_count=counts[lines, second].astype(np.int64),
            n_votes=counts.sum(axis=1).astype(np.int64),
            n_answers=(counts > 0).sum(axis=1),
            streak=self.streak[at].copy(),
            n_correct=self.n_correct[at].copy(),
            leader_logprob=self._logprobs[at][lines, first] / np.maximum(leader_count, 1),
            mean_logprob=sums["logprob"] / np.maximum(sums["n_logprob"], 1),
            leader_chance=self._chances[at][lines, first] / np.maximum(leader_count, 1),
            length=np.minimum(sums["length"] / np.maximum(sums["n_length"], 1), MAX_LENGTH),
            best_score=self._best[at].copy(),
            mean_score=mean_score,
            score_sd=np.sqrt(spread),
            spent=sums["spent"].copy(),
            difficulty=self._difficulty[at],
        )

    def leaders(self, rows: NDArray[np.intp] | None = None) -> IntArray:
        """Return the leading answer's code for each prompt; -1 = nobody voted, ties go to the lowest code."""
        votes = self._votes if rows is None else self._votes[rows]
        return np.where(votes.max(axis=1) > 0, votes.argmax(axis=1), -1)

    def stages(self) -> NDArray[np.int64]:
        """Return the place in the ladder of the generator that voted last, shape (N,); -1 where none did."""
        return self._vote_stage.astype(np.int64)

    def tied(self) -> NDArray[np.bool_]:
        """Return which answer codes share the lead, shape (N, K); a row without votes has none."""
        top = self._votes.max(axis=1, keepdims=True)
        return np.asarray((self._votes >= top * (1 - 1e-12)) & (self._votes > 0))

    def _grow(self, n_codes: int) -> None:
        have = self._votes.shape[1]
        if n_codes > have:
            pad = ((0, 0), (0, max(n_codes - have, have)))
            self._votes, self._counts = np.pad(self._votes, pad), np.pad(self._counts, pad)
            self._logprobs, self._chances = np.pad(self._logprobs, pad), np.pad(self._chances, pad)
            self._judged = {name: np.pad(table, ((0, 0), *pad)) for name, table in self._judged.items()}

    def _restart(self, at: NDArray[np.intp]) -> None:
        """Forget the votes of an earlier generator whose answers do not compare."""
        for table in (self._votes, self._counts, self._logprobs, self._chances):
            table[at] = 0.0
        for name in ("logprob", "n_logprob"):
            self._sums[name][at] = 0.0
        self.streak[at], self._last[at] = 0, -1

    def _length_restart(self, at: NDArray[np.intp], stage: int) -> None:
        self._sums["length"][at] = self._sums["n_length"][at] = 0.0
        self._length_stage[at] = stage

    def _add_scores(self, at: NDArray[np.intp], score: FloatArray) -> None:
        known = ~np.isnan(score)
        filled = np.where(known, score, 0.0)
        self._scores["sum"][at] += filled.sum(axis=1)
        self._scores["square"][at] += (filled**2).sum(axis=1)
        self._scores["n"][at] += known.sum(axis=1)
        best = np.where(known, score, -np.inf).max(axis=1, initial=-np.inf)
        self._best[at] = np.where(np.isfinite(best), np.fmax(self._best[at], best), self._best[at])
