"""Follow a fixed order of draws on every prompt, and tell what is known and selected after each of them.

A path is the longest a course may go; a stop rule only decides how far along it a prompt gets. So a path is
replayed once, and any number of waves, caps and rules are then read off it by `policies.table.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import BoolArray, Float32Array, IntArray
from policies.course.decide import MOST_SURPRISE, SAME
from policies.course.selection import LOGPROB, NO_SIGNAL, Selection
from policies.course.stop import Evidence
from policies.table.ordered import TOKENS, OrderedSamples
from policies.table.reading import REWARD_MODEL
from policies.table.recorded import Recorded, Source
from policies.verifier.learned_verifier import LEARNED


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Path:
    """What N draws in order told and were worth, for P prompts in R orders.

    Parameters
    ----------
    draws : tuple of Source
        Where each of the N draws comes from.
    prompts : ndarray of intp, shape (P,)
        Rows of the log.
    evidence : Evidence
        After 1, 2 ... N draws; arrays of shape (N, P, R).
    value : ndarray of float32, shape (N, P, R)
        Expected worth of the selection after so many draws, over ties: the probability that it is correct,
        or its reward.
    tokens : mapping of str to ndarray of float32, shape (G, N, P, R)
        Tokens so far of each of G generators, in the order of first use, by the names of
        `policies.table.ordered.TOKENS`; what no source records is not there.
    """

    draws: tuple[Source, ...]
    prompts: NDArray[np.intp]
    evidence: Evidence
    value: Float32Array
    tokens: Mapping[str, Float32Array]

    @property
    def generators(self) -> tuple[str, ...]:
        """Names in the order of first use."""
        return tuple(dict.fromkeys(source.generator for source in self.draws))


def follow(
    recorded: Recorded,
    draws: tuple[Source, ...],
    selection: Selection,
    prompts: NDArray[np.intp],
) -> Path:
    """Replay a path on prompts that have the samples for it.

    Parameters
    ----------
    recorded : Recorded
        Samples of the log.
    draws : tuple of Source
        Where each of the N draws comes from.
    selection : Selection
        How an answer is selected after each draw; by ``"first_success"`` the value is whether a correct
        sample has been drawn.
    prompts : ndarray of intp, shape (P,)
        Rows that have so many samples of known value of each source.
    """
    names = tuple(dict.fromkeys(source.generator for source in draws))
    given = {source: recorded.of_source(source) for source in dict.fromkeys(draws)}
    places = [(given[source], draws[:at].count(source)) for at, source in enumerate(draws)]
    shape = (len(draws), len(prompts), recorded.n_orders)

    def drawn(attribute: str) -> NDArray[Any]:
        return np.stack([getattr(samples, attribute)[prompts, :, at] for samples, at in places])

    def so_far(attribute: str, missing: float) -> Float32Array | None:
        each = [getattr(samples, attribute) for samples, _ in places]
        if all(values is None for values in each):
            return None
        none = np.full(shape[1:], missing, dtype=np.float32)
        pairs = zip(each, places, strict=True)
        tokens = np.stack([none if v is None else v[prompts, :, at] for v, (_, at) in pairs])
        total = np.empty((len(names), *shape), dtype=np.float32)
        for index, name in enumerate(names):
            mine = np.array([source.generator == name for source in draws])[:, None, None]
            np.cumsum(np.where(mine, tokens, 0.0), axis=0, out=total[index])
        return total

    # What nobody counted was not sent; what a reward model read is not known then.
    missing = {name: np.nan if name == "verifier_tokens" else 0.0 for name in TOKENS}
    if selection.signal != REWARD_MODEL:
        del missing["verifier_tokens"]
    counted = {name: so_far(name, value) for name, value in missing.items()}
    n_drawn = np.broadcast_to(np.arange(1, len(draws) + 1)[:, None, None], shape)
    n_correct = np.cumsum(drawn("correct"), axis=0).astype(np.int64)
    if selection.by == "first_success":
        none = np.zeros(shape, dtype=np.int64)
        evidence = Evidence(n_drawn, none, none, none, none, n_correct, np.full(shape, -np.inf))
        value = (n_correct > 0).astype(np.float32)
    else:
        owners = tuple(source.generator for source in draws)
        nothing = np.stack([given[source].nothing[prompts] for source in draws])
        answered = np.array([given[source].answered for source in draws])
        count = _Count(owners, drawn("answer"), drawn("right"), drawn("worth"), nothing, answered, selection)
        if selection.signal == LEARNED:
            value = count.judged(recorded, prompts)
        else:
            value = count.weighed(_signal(owners, places, prompts, selection))
        # A checker sees nothing here, so what is correct is not known to a rule.
        evidence = Evidence(
            n_drawn, count.n_votes, count.leader, count.runner_up, count.streak, 0 * n_correct, count.best
        )
    return Path(
        draws=draws,
        prompts=prompts,
        evidence=evidence,
        value=value,
        tokens={name: tokens for name, tokens in counted.items() if tokens is not None},
    )


def _signal(
    owners: tuple[str, ...],
    places: list[tuple[OrderedSamples, int]],
    prompts: NDArray[np.intp],
    selection: Selection,
) -> Float32Array | None:
    """Return the weight of each vote, or what ranks samples, shape (N, P, R); None for a plain vote."""
    if selection.signal == NO_SIGNAL:
        return None
    raw = np.stack([samples.signals[selection.signal][prompts, :, at] for samples, at in places])
    if selection.by == "best":
        return np.asarray(raw, dtype=np.float32)
    if selection.signal == LOGPROB:
        usual = np.array([selection.usual_of(name) for name in owners], dtype=np.float32)[:, None, None]
        return np.asarray(np.exp(np.clip(selection.power * (raw - usual), -MOST_SURPRISE, MOST_SURPRISE)))
    return np.asarray(np.maximum(raw, 0.0) ** np.float32(selection.power))


class _Count:
    """Votes draw by draw; answers are named by the draw that gave them first."""

    def __init__(
        self,
        draws: tuple[str, ...],
        answer: NDArray[np.int32],
        right: Float32Array,
        worth: Float32Array,
        nothing: Float32Array,
        answered: BoolArray,
        selection: Selection,
    ) -> None:
        self.draws, self.answer, self.selection = draws, answer, selection
        self.right, self.worth = right, worth
        # What no answer at all is worth after each draw, (N, P, 1).
        many = np.arange(1, len(draws) + 1, dtype=np.float32)[:, None]
        self.nothing = (np.cumsum(nothing, axis=0) / many)[:, :, None]
        self.shape = answer.shape
        self.voting = answer >= 0
        # Where answers were not recorded, samples can be ranked all the same.
        self.ranked = self.voting | ~answered[:, None, None]
        self.same = answer[:, None] == answer[None, :]
        # Where the votes that count begin: at 0, or at the latest generator's first draw.
        self.start = [0] * len(draws)
        if not selection.pooled:
            for at in range(1, len(draws)):
                self.start[at] = self.start[at - 1] if draws[at] == draws[at - 1] else at
        names = ("n_votes", "leader", "runner_up", "streak")
        self.n_votes, self.leader, self.runner_up, self.streak = (
            np.zeros(self.shape, dtype=np.int64) for _ in names
        )
        self.best = np.full(self.shape, -np.inf)
        self._tally()

    def first(self, at: int) -> IntArray:
        """Return the draw since the start of the count that first gave the answer of draw `at`, (P, R)."""
        start = self.start[at]
        return np.asarray(self.same[at, start : at + 1].argmax(axis=0) + start)

    def _tally(self) -> None:
        """Count votes, leaders and streaks."""
        n, p, r = self.shape
        rows, orders = np.ogrid[:p, :r]
        counts = np.zeros(self.shape, dtype=np.int16)
        run = np.zeros((p, r), dtype=np.int64)
        self.counts: list[NDArray[np.int16]] = []
        for at in range(n):
            start = self.start[at]
            if start == at:
                counts[:] = 0
            counts[self.first(at), rows, orders] += self.voting[at]
            part = counts[start : at + 1]
            lead = part.max(axis=0)
            at_lead = part == lead
            second = np.where(at_lead, 0, part).max(axis=0)
            self.leader[at] = lead
            self.runner_up[at] = np.where(at_lead.sum(axis=0) > 1, lead, second)
            self.n_votes[at] = part.sum(axis=0)
            again = self.same[at, at - 1] if at else np.zeros((p, r), dtype=bool)
            run = np.where(self.voting[at], np.where(again, run + 1, 1), 0)
            self.streak[at] = run
            self.counts.append(part.copy())

    def weighed(self, signal: Float32Array | None) -> Float32Array:
        """Return the value of the selection after each draw, by votes or by the best signal."""
        n, p, r = self.shape
        rows, orders = np.ogrid[:p, :r]
        value = np.zeros(self.shape, dtype=np.float32)
        if signal is not None:
            np.maximum.accumulate(np.where(self.ranked, signal, -np.inf), axis=0, out=self.best)
        if self.selection.by == "best":
            assert signal is not None
            held, top = np.zeros((p, r), dtype=np.float32), np.full((p, r), -np.inf)
            for at in range(n):
                better = self.ranked[at] & (signal[at] > top)
                top = np.where(better, signal[at], top)
                held = np.where(better, self.worth[at], held)
                value[at] = np.where(np.isneginf(top), self.nothing[at], held)
            return value
        plain = signal is None and not self.selection.weights
        weights = np.zeros(self.shape, dtype=np.float32)
        before: Float32Array | None = None
        for at, name in enumerate(self.draws):
            start = self.start[at]
            counts = self.counts[at]
            if plain:
                tied = (counts == self.leader[at]) & (counts > 0)
            else:
                if start == at:
                    weights[:] = 0
                weight = np.float32(self.selection.weight(name)) * (1.0 if signal is None else signal[at])
                weights[self.first(at), rows, orders] += np.where(self.voting[at], weight, 0.0)
                part = weights[start : at + 1]
                tied = (part >= part.max(axis=0) * (1 - SAME)) & (counts > 0)
            value[at] = self._share(tied, at, before)
            if at + 1 < n and self.start[at + 1] == at + 1:
                before = value[at]
        return value

    def _share(self, tied: BoolArray, at: int, before: Float32Array | None) -> Float32Array:
        """Return the mean worth of tied answers; that of what was selected before where none is given yet."""
        right = self.right[self.start[at] : at + 1]
        mean = (tied * right).sum(axis=0) / np.maximum(tied.sum(axis=0), 1)
        other = self.nothing[at] if before is None else before
        return np.asarray(np.where(tied.any(axis=0), mean, other), dtype=np.float32)

    def judged(self, recorded: Recorded, prompts: NDArray[np.intp]) -> Float32Array:
        """Return the value where a learned verifier judges a generator's samples anew after each draw."""
        n, p, r = self.shape
        value = np.zeros(self.shape, dtype=np.float32)
        chance = np.zeros(self.shape, dtype=np.float32)
        before: Float32Array | None = None
        for at, name in enumerate(self.draws):
            start = self.start[at]
            mine = [place for place in range(at + 1) if self.draws[place] == name]
            chance[mine] = np.moveaxis(recorded.judged(name, len(mine))[prompts], 2, 0)
            part = np.where(self.voting[start : at + 1], chance[start : at + 1], 0.0)
            self.best[at] = part.max(axis=0)
            if self.selection.by == "best":
                tied = (part >= part.max(axis=0) - SAME) & self.voting[start : at + 1]
            else:
                sums = np.zeros_like(part)
                rows, orders = np.ogrid[:p, :r]
                for place in range(start, at + 1):
                    first = self.same[place, start : place + 1].argmax(axis=0)
                    sums[first, rows, orders] += part[place - start] ** np.float32(self.selection.power)
                tied = (sums >= sums.max(axis=0) * (1 - SAME)) & (self.counts[at] > 0)
            value[at] = self._share(tied, at, before)
            if at + 1 < n and self.start[at + 1] == at + 1:
                before = value[at]
        return value
