"""Made-up prompts, for whoever has no log: what samples answer, and which agree as often as what was seen.

Each prompt is a chance of success, wrong answers that come again or never do, and a share of samples without
an answer; prompts of all kinds come first, and those whose answers agree as often as the ones that were seen
weigh more. It assumes that right answers agree; whether an answer is right, agreement alone cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from policies.table.ordered import OrderedSamples
from policies.table.recorded import Recorded

_SEED: Final = 20
_N_PROMPTS: Final = 400
_N_ORDERS: Final = 12
# Log-odds of a right answer are spread evenly up to here, either way.
_LOG_ODDS: Final = 4.0
# Log-odds by which the strongest generator is better than the cheapest.
_STRONGER: Final = 1.0
# Wrong answers break a stick: from one that nearly always comes again to ones that hardly ever do. Scatter
# is so many powers of ten either way; what is left of the stick after so many answers never comes again.
_SCATTER: Final = 2.0
_WRONG_ANSWERS: Final = 12
# Of a beta distribution of the share of samples without an answer, a twentieth on average.
_SILENT: Final = (0.1, 1.9)
# Prompts that the made-up ones count like, beside those that were seen.
_PRIOR: Final = 8.0
_ROUNDS: Final = 60
# Samples of a prompt that are read: the ways in which answers agree multiply with them (128 took 39 seconds).
_READ: Final = 32
# Likelihoods that are kept, some megabytes.
_KEPT: Final = 4096


class Votes(NamedTuple):
    """What some samples of one prompt answered.

    Attributes
    ----------
    counts : tuple of int
        Samples of each answer, falling.
    silent : int
        Samples that gave none.
    """

    counts: tuple[int, ...]
    silent: int

    @classmethod
    def of(cls, answers: Sequence[str | None]) -> Self:
        """Count the answers of samples, the first 32 where there are more."""
        read = answers[:_READ]
        given = Counter(answer for answer in read if answer is not None)
        return cls(tuple(sorted(given.values(), reverse=True)), len(read) - given.total())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MadeUp:
    """T made-up prompts of G generators.

    Parameters
    ----------
    repeated : ndarray of float64, shape (T, G, K)
        Chance of each answer that may come again; the first is right.
    unique : ndarray of float64, shape (T, G)
        Chance of a wrong answer that never comes again.
    """

    repeated: FloatArray
    unique: FloatArray
    _known: dict[tuple[int, Votes], FloatArray] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def of(cls, n_generators: int) -> Self:
        """Make prompts up, the last generator stronger than the first."""
        rng = np.random.default_rng(_SEED)
        log_odds = rng.uniform(-_LOG_ODDS, _LOG_ODDS, _N_PROMPTS)
        silent = rng.beta(*_SILENT, _N_PROMPTS)[:, None]
        scatter = 10 ** rng.uniform(-_SCATTER, _SCATTER, _N_PROMPTS)[:, None]
        sticks = rng.beta(1.0, scatter, (_N_PROMPTS, _WRONG_ANSWERS))
        left = np.cumprod(1 - sticks, axis=1)
        spread = sticks * np.concatenate([np.ones((_N_PROMPTS, 1)), left[:, :-1]], axis=1)
        gained = _STRONGER * (np.arange(n_generators) - (n_generators - 1) / 2)
        right = (1 - silent) / (1 + np.exp(-log_odds[:, None] - gained))
        wrong = 1 - silent - right
        repeated = np.concatenate([right[:, :, None], wrong[:, :, None] * spread[:, None]], axis=2)
        return cls(repeated=repeated, unique=wrong * left[:, -1:])

    def recorded(self, n_samples: int) -> Recorded:
        """Return samples of all prompts in R orders, each of them drawn anew, by generators "0" and so on."""
        rng = np.random.default_rng(_SEED)
        n_prompts, n_generators, n_answers = self.repeated.shape
        shape = (n_prompts, _N_ORDERS, n_samples)
        samples = {}
        for g in range(n_generators):
            ends = np.cumsum(np.concatenate([self.repeated[:, g], self.unique[:, g, None]], axis=1), axis=1)
            drawn = (rng.random(shape)[..., None] > ends[:, None, None]).sum(axis=-1)
            place = n_answers + g * n_samples + np.arange(n_samples)
            answer = np.where(drawn == n_answers, place, np.where(drawn > n_answers, -1, drawn))
            right = (drawn == 0).astype(np.float32)
            samples[str(g)] = OrderedSamples(
                n=np.full(n_prompts, n_samples),
                correct=right,
                worth=right,
                answer=answer.astype(np.int32),
                answered=True,
                right=right,
                nothing=np.zeros(n_prompts, dtype=np.float32),
                output_tokens=np.ones(shape, dtype=np.float32),
                signals={},
                prompt_tokens=np.full(n_prompts, np.nan),
            )
        return Recorded(samples=samples, n_orders=_N_ORDERS, pooled=True)

    def weights(self, seen: Sequence[Sequence[Votes]]) -> FloatArray:
        """Return how much each made-up prompt counts after N prompts were seen, shape (T,); sums to 1.

        Weights are those under which what was seen is likely, and no further from equal ones than so many
        prompts warrant.

        Parameters
        ----------
        seen : sequence of sequence of Votes
            Of each of the N prompts what each of the G generators answered.
        """
        n_prompts = len(self.repeated)
        equal = np.full(n_prompts, 1 / n_prompts)
        kinds = Counter(tuple(votes) for votes in seen)
        if not kinds:
            return equal
        if len(self._known) > _KEPT:
            self._known.clear()
        times = np.array(list(kinds.values()), dtype=float)
        likelihood = np.array([self._likelihood(votes) for votes in kinds])
        likelihood /= np.maximum(likelihood.max(axis=1, keepdims=True), 1e-300)
        weights = equal
        for _ in range(_ROUNDS):
            share = likelihood * weights
            share *= (times / np.maximum(share.sum(axis=1), 1e-300))[:, None]
            weights = (_PRIOR * equal + share.sum(axis=0)) / (_PRIOR + times.sum())
        return np.asarray(weights / weights.sum())

    def _likelihood(self, seen: Sequence[Votes]) -> FloatArray:
        """Return how likely the votes of one prompt are, up to a factor that all made-up prompts share."""
        found = np.ones(len(self.repeated))
        for generator, votes in enumerate(seen):
            if (generator, votes) not in self._known:
                self._known[generator, votes] = self._agree(generator, votes)
            found = found * self._known[generator, votes]
        return found

    def _agree(self, generator: int, votes: Votes) -> FloatArray:
        """Return how likely samples of one generator agree just so, shape (T,).

        Which answer is which is not known: it is the coefficient of x1^m1 x2^m2 … in the product over
        answers of 1 + sum of x_i q^s_i, for m_i answers of s_i samples each; answers that never come again
        take their part of those of one sample.
        """
        q, alone = self.repeated[:, generator], self.unique[:, generator]
        sizes = Counter(votes.counts)
        ways = np.zeros((*(m + 1 for m in sizes.values()), len(q)))
        ways[(0,) * len(sizes)] = 1.0
        for answer in q.T:
            before = ways.copy()
            for axis, size in enumerate(sizes):
                lead = (slice(None),) * axis
                ways[(*lead, slice(1, None))] += before[(*lead, slice(None, -1))] * answer**size
        if sizes[1]:
            axis, power = list(sizes).index(1), np.ones(len(q))
            total = np.zeros(())
            for r in range(sizes[1] + 1):
                total = total + ways.take(sizes[1] - r, axis=axis) * power
                power = power * alone / (r + 1)
            ways = np.expand_dims(total, axis)
        silent = np.maximum(1 - q.sum(axis=1) - alone, 0.0)
        return np.asarray(ways[(-1,) * len(sizes)] * silent**votes.silent)
