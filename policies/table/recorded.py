"""Recorded samples of a log in random orders, ready to be replayed along any course.

Every generator's samples are put in the same R orders for all courses, so that courses are compared on the
same draws. A sample without a known value is never drawn; a prompt that lacks samples for a course is left to
the table, which says so. Chains and searches that follow samples are read by `policies.table.deeper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.arithmetic.rows import row_mean
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from policies.course.course import Course, Step
from policies.course.selection import NO_SIGNAL
from policies.menu.halves import Half, half_pool, half_slice
from policies.menu.signals import recorded_signals
from policies.replay.orders import balanced_orders
from policies.replay.recorded_answers import (
    answer_values,
    comparable,
    filled_by_prompt,
    filled_tokens,
    spared,
)
from policies.table.deeper import RecordedSearch, ordered_chains, recorded_searches
from policies.table.ordered import OrderedChains, OrderedSamples, complete
from policies.verifier.learned_verifier import LEARNED, LearnedScorer

# Replayed draws in all, and the orders of one prompt that they are dealt to.
_DRAWS: Final = 12_000
_LEAST_ORDERS: Final = 6
_MOST_ORDERS: Final = 48


class Source(NamedTuple):
    """Where a draw comes from.

    Attributes
    ----------
    generator : str
        Who draws.
    n_chains : int
        Chains that are extended side by side; 0 for independent samples.
    """

    generator: str
    n_chains: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recorded:
    """The ordered samples of every generator of a log.

    Parameters
    ----------
    samples : mapping of str to OrderedSamples
        By generator, rows in the order of the log's P prompts.
    n_orders : int
        R.
    pooled : bool
        Whether equal answers of different generators are equally correct, so that votes may be pooled, and
        what an answer is worth is read off all of them.
    chains : mapping of str to OrderedChains
        Revision chains by generator.
    searches : mapping of Step to RecordedSearch
        Runs of searches by the step that makes them.
    """

    samples: Mapping[str, OrderedSamples]
    n_orders: int
    pooled: bool
    chains: Mapping[str, OrderedChains] = field(default_factory=dict)
    searches: Mapping[Step, RecordedSearch] = field(default_factory=dict)
    _judged: dict[tuple[str, int], Float32Array] = field(init=False, repr=False, default_factory=dict)

    @property
    def n_prompts(self) -> int:
        """P."""
        return len(next(iter(self.samples.values())).n)

    def of_source(self, source: Source) -> OrderedSamples:
        """Return what a source gives, draw by draw."""
        if not source.n_chains:
            return self.samples[source.generator]
        return self.chains[source.generator].side_by_side(source.n_chains)

    def judged(self, generator: str, k: int) -> Float32Array:
        """Return how likely each of the first k samples is correct, by the judge, shape (P, R, k).

        The judge sees those k together. It is asked once and answers all selections; prompts with fewer
        samples are 0.
        """
        if (generator, k) not in self._judged:
            samples = self.samples[generator]
            assert samples.judge is not None
            rows = np.flatnonzero(samples.n >= k)
            read = {
                name: (samples.output_tokens if name == "output_tokens" else samples.signals[name])[
                    rows, :, :k
                ]
                for name in samples.judge.columns
            }
            chance = samples.judge.score(
                np.repeat(rows, self.n_orders),
                samples.answer[rows, :, :k].reshape(-1, k),
                **{name: values.reshape(-1, k).astype(np.float64) for name, values in read.items()},
            )
            found = np.zeros((self.n_prompts, self.n_orders, k), dtype=np.float32)
            found[rows] = chance.reshape(len(rows), self.n_orders, k)
            self._judged[generator, k] = found
        return self._judged[generator, k]

    def lacks(self, course: Course) -> str | None:
        """Return what a replay of a course would need and the log does not have; None where it has all."""
        chosen = course.selection
        for step in course.steps:
            name = step.generator
            if name not in self.samples:
                known = ", ".join(self.samples)
                return f"a course draws from {name}, and samples were recorded for {known}"
            if step.kind == "search":
                if step not in self.searches or len(course.steps) == 1:
                    return f"no run of {step} is recorded that could follow samples"
                continue
            given = self.samples[name].signals
            if step.kind == "revise":
                chains = self.chains.get(name)
                if chains is None or chains.params != step.params or chosen.of_chain != "all":
                    return f"no chains are recorded that {course} could extend"
                given = chains.signals
            elif dict(step.params):
                return f"no samples are recorded under the settings of {step}"
            if chosen.by == "first_success" or chosen.signal == NO_SIGNAL:
                continue
            judged = chosen.signal == LEARNED and step.kind == "sample"
            if not (judged and self.samples[name].judge is not None) and chosen.signal not in given:
                return f"{chosen.signal} is not recorded for {step}"
        return None

    @classmethod
    def of(
        cls,
        log: SampleLog,
        *,
        learned: Mapping[str, LearnedScorer] | None = None,
        n_orders: int | None = None,
        half: Half = "all",
        seed: int = 0,
        checked: bool = False,
    ) -> Recorded:
        """Order the samples of known value of every generator that has some.

        Parameters
        ----------
        log : SampleLog
            P prompts.
        learned : mapping of str to LearnedScorer, optional
            Learned verifiers by generator, cross-fitted for prompts that they were fitted on.
        n_orders : int, optional
            R; by default as many as make some twelve thousand draws in all, 6 to 48.
        half : {"all", "even", "odd"}
            All samples, or one of two disjoint halves of each pool.
        seed : int
            Seed of the orders.
        checked : bool
            A checker looks at every attempt, so that a chain which ends right is as long as any course asks.

        Raises
        ------
        InvalidInputError
            When nothing is known of any sample.
        """
        pools = {name: half_pool(log.pool(name), half, seed) for name in log.generators}
        pools = {name: pool for name, pool in pools.items() if bool(pool.n_valued.any())}
        if not pools:
            raise InvalidInputError(
                "no sample of this log is known to be right or wrong, so that nothing can be measured on it: "
                "grade them when they are imported (planner import --grade), or take the rewards that they "
                "have (--objective reward, or planner import --threshold)"
            )
        if n_orders is None:
            n_orders = int(np.clip(_DRAWS // max(len(log.prompts), 1), _LEAST_ORDERS, _MOST_ORDERS))
        pooled = comparable(list(pools.values()))
        together = answer_values(list(pools.values()))
        right = {name: together if pooled else answer_values([pool]) for name, pool in pools.items()}
        return cls(
            samples={
                name: _ordered(
                    pool, right[name], (learned or {}).get(name), n_orders=n_orders, half=half, seed=seed
                )
                for name, pool in pools.items()
            },
            n_orders=n_orders,
            pooled=pooled,
            chains=ordered_chains(
                log, right, n_orders=n_orders, columns=half_slice(half), seed=seed, checked=checked
            ),
            searches=recorded_searches(log, columns=half_slice(half)),
        )


def _ordered(
    pool: SamplePool,
    right: NDArray[np.float64],
    learned: LearnedScorer | None,
    *,
    n_orders: int,
    half: Half,
    seed: int,
) -> OrderedSamples:
    value = pool.value
    usable = ~np.isnan(value)
    if half != "all":
        usable = usable & (np.arange(usable.shape[1]) % 2 == (half == "odd"))
    orders = balanced_orders(usable, n_orders=n_orders, seed=seed ^ crc32(pool.generator.encode()))

    def put(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values[:, None, :], orders, axis=2)

    answer = np.where(usable, pool.answer, -1)
    share = np.take_along_axis(right, np.maximum(answer, 0), axis=1)
    share = np.where(answer >= 0, np.nan_to_num(share), 0.0)
    answered = bool((answer >= 0).any())
    nothing = np.zeros(len(value))
    if answered and pool.worth is not None:
        nothing = np.nan_to_num(row_mean(np.where(usable & (answer < 0), value, np.nan)))
    own, cached, read = pool.own_prompt_tokens, pool.cached_prompt_tokens, pool.verifier_tokens
    resent = None if own is None else put(filled_tokens(own, usable).astype(np.float32))
    signals = complete(recorded_signals(pool), usable)
    return OrderedSamples(
        n=usable.sum(axis=1),
        correct=put(np.maximum(pool.correct, 0).astype(np.float32)),
        worth=put(np.nan_to_num(value).astype(np.float32)),
        answer=put(answer.astype(np.int32)),
        answered=answered,
        right=put(share.astype(np.float32)),
        nothing=nothing.astype(np.float32),
        output_tokens=put(filled_tokens(pool.output_tokens, usable).astype(np.float32)),
        signals={name: put(values) for name, values in signals.items()},
        judge=learned if learned is not None and answered else None,
        prompt_tokens=pool.prompt_tokens,
        resent_tokens=resent,
        cached_tokens=None if resent is None or cached is None else spared(put(cached), resent),
        verifier_tokens=None if read is None else put(filled_by_prompt(read).astype(np.float32)),
    )
