"""Recorded samples of a log in random orders, ready to be replayed along any course.

Every generator's samples are put in the same R orders for all courses, so that courses are compared on the
same draws. A sample without a label is never drawn; a prompt that lacks samples for a course is left to the
table, which says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from policies.menu.curves import Half, half_pool
from policies.replay.orders import balanced_orders
from policies.replay.recorded_answers import answer_correctness, comparable, filled_tokens
from policies.verifier.learned_verifier import LearnedScorer

__all__ = ["OrderedSamples", "Recorded"]

FloatArray: TypeAlias = NDArray[np.float32]

# Replayed draws in all, and the orders of one prompt that they are dealt to.
_DRAWS: Final = 12_000
_LEAST_ORDERS: Final = 6
_MOST_ORDERS: Final = 48


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedSamples:
    """Samples of one generator in R random orders, shapes (P, R, M); what lies beyond `n` means nothing.

    Parameters
    ----------
    n : ndarray of int64, shape (P,)
        Labelled samples of each prompt.
    correct : ndarray of float32
        1 where the sample is correct.
    answer : ndarray of int32
        Code of the answer within the prompt; -1 abstains.
    right : ndarray of float32
        Share of correct samples among all of the log with the same answer; 0 for abstentions.
    output_tokens : ndarray of float32
        A missing count is the mean of the prompt's others; NaN where none is recorded.
    signals : mapping of str to ndarray of float32
        ``mean_logprob`` and ``score`` where recorded for every labelled sample.
    judge : LearnedScorer, optional
        Says how likely each sample is correct, given those that were drawn with it; its rows are prompts.
    prompt_tokens : ndarray of float64, shape (P,)
        NaN where not recorded.
    """

    n: NDArray[np.int64]
    correct: FloatArray
    answer: NDArray[np.int32]
    right: FloatArray
    output_tokens: FloatArray
    signals: Mapping[str, FloatArray]
    judge: LearnedScorer | None
    prompt_tokens: NDArray[np.float64]


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
        Whether equal answers of different generators are equally correct, so that votes may be pooled.
    """

    samples: Mapping[str, OrderedSamples]
    n_orders: int
    pooled: bool

    @property
    def n_prompts(self) -> int:
        """P."""
        return len(next(iter(self.samples.values())).n)

    @classmethod
    def of(
        cls,
        log: SampleLog,
        *,
        learned: Mapping[str, LearnedScorer] | None = None,
        n_orders: int | None = None,
        half: Half = "all",
        seed: int = 0,
    ) -> Recorded:
        """Order the labelled samples of every generator that has some.

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
        """
        pools = {name: half_pool(log.pool(name), half, seed) for name in log.generators}
        pools = {name: pool for name, pool in pools.items() if bool((pool.correct >= 0).any())}
        if n_orders is None:
            n_orders = int(np.clip(_DRAWS // max(len(log.prompts), 1), _LEAST_ORDERS, _MOST_ORDERS))
        right = answer_correctness(list(pools.values()))
        return cls(
            samples={
                name: _ordered(
                    pool, right, (learned or {}).get(name), n_orders=n_orders, half=half, seed=seed
                )
                for name, pool in pools.items()
            },
            n_orders=n_orders,
            pooled=comparable(list(pools.values())),
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
    usable = pool.correct >= 0
    if half != "all":
        usable = usable & (np.arange(usable.shape[1]) % 2 == (half == "odd"))
    orders = balanced_orders(usable, n_orders=n_orders, seed=seed ^ crc32(pool.generator.encode()))

    def put(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values[:, None, :], orders, axis=2)

    answer = np.where(usable, pool.answer, -1)
    share = np.take_along_axis(right, np.maximum(answer, 0), axis=1)
    share = np.where(answer >= 0, np.nan_to_num(share), 0.0)
    signals = {"mean_logprob": pool.mean_logprob, "score": pool.score}
    signals = {
        name: values
        for name, values in signals.items()
        if bool(usable.any()) and not bool(np.isnan(values[usable]).any())
    }
    return OrderedSamples(
        n=usable.sum(axis=1),
        correct=put(np.maximum(pool.correct, 0).astype(np.float32)),
        answer=put(answer.astype(np.int32)),
        right=put(share.astype(np.float32)),
        output_tokens=put(filled_tokens(pool.output_tokens, usable).astype(np.float32)),
        signals={name: put(np.nan_to_num(values).astype(np.float32)) for name, values in signals.items()},
        judge=learned if learned is not None and bool((pool.answer >= 0).any()) else None,
        prompt_tokens=pool.prompt_tokens,
    )
