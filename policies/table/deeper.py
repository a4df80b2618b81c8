"""Recorded revision chains and searches, ready to follow first samples of a course.

Chains are put in random orders like samples, and their attempts lie side by side as a course draws them, so
that a replay goes along them as along samples. A search is an atom: what its recorded runs were worth and
used. Which courses extend chains or end in a search is left to `policies.table.grid_deeper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import Float32Array
from difficulty.arithmetic.rows import row_mean
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool
from policies.course.allocate import course_of
from policies.course.allocation import Allocation
from policies.course.course import Step
from policies.menu.build import chain_settings
from policies.menu.signals import recorded_signals
from policies.replay.orders import balanced_orders
from policies.replay.recorded_answers import filled_by_prompt, filled_tokens, spared
from policies.table.ordered import OrderedChains, complete


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordedSearch:
    """What one search was worth and used, means over its runs, shape (P,); NaN where not recorded.

    Parameters
    ----------
    value : ndarray of float32
        Mean worth of what runs answered, 0 where they gave none: the share that was correct, or the reward.
    silent : ndarray of float32
        Share of runs that gave no answer.
    output_tokens, prompt_tokens, cached_tokens, verifier_tokens : ndarray of float32
        All that its requests drew, sent, had spared by a cache, and had read.
    """

    value: Float32Array
    silent: Float32Array
    output_tokens: Float32Array
    prompt_tokens: Float32Array
    cached_tokens: Float32Array
    verifier_tokens: Float32Array


def ordered_chains(
    log: SampleLog,
    right: Mapping[str, NDArray[np.float64]],
    *,
    n_orders: int,
    columns: slice,
    seed: int,
    checked: bool = False,
) -> dict[str, OrderedChains]:
    """Order the chains of every generator that has some, and samples that tell what answers are worth.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    right : mapping of str to ndarray, shape (P, K)
        By generator, mean value of the samples by answer code; NaN for codes that no sample gave.
    n_orders : int
        R.
    columns : slice
        Chains to use.
    seed : int
        Of the orders.
    checked : bool
        Courses stop at a right attempt, so that nobody asks what would come after it.
    """
    found = {}
    for name in log.generators:
        chains = log.chains(name) if name in right else None
        if chains is not None and chains.n_steps > 1 and chains.correct[:, columns].shape[1]:
            found[name] = _ordered(chains, log.pool(name), right[name], n_orders, columns, seed, checked)
    return found


def _ordered(
    chains: ChainPool,
    samples: SamplePool,
    right: NDArray[np.float64],
    n_orders: int,
    columns: slice,
    seed: int,
    checked: bool,
) -> OrderedChains:
    prompt = samples.shared_prompt_tokens
    correct, answer = chains.correct[:, columns], chains.answer[:, columns]
    value = chains.value[:, columns]
    drawn = ~np.isnan(value)
    # A chain counts as far as the value of all of its attempts is known.
    length = np.cumprod(drawn, axis=2).sum(axis=2)
    usable = length > 0
    if checked:
        right_at = (correct == 1) & (np.arange(correct.shape[2]) < length[..., None])
        length[right_at.any(axis=2)] = correct.shape[2]
    orders = balanced_orders(usable, n_orders=n_orders, seed=seed ^ crc32(chains.generator.encode()) ^ 1)

    def put(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values[:, None], orders[..., None], axis=2)

    p, c, s = answer.shape
    silent = drawn & (answer == -1)
    nothing = np.zeros(p)
    if chains.worth is not None:
        nothing = np.nan_to_num(row_mean(np.where(silent, value, np.nan).reshape(p, -1)))
    tokens = filled_tokens(chains.output_tokens[:, columns].reshape(p, -1), drawn.reshape(p, -1))
    own = chains.prompt_tokens[:, columns]
    sent = np.where(np.isnan(own), prompt[:, None, None], own).astype(np.float64)
    signals = {name: values[:, columns] for name, values in recorded_signals(chains).items()}
    ordered = put(sent).astype(np.float32)
    # First attempts are one request, which reads the prompt once; of each step, one prompt that is shared is
    # charged by whoever counts requests.
    ordered[:, :, 1:, 0] = 0.0
    ordered[:, :, 0] -= prompt[:, None, None].astype(np.float32)
    read, cached = chains.verifier_tokens, None
    if chains.cached_prompt_tokens is not None:
        again = spared(chains.cached_prompt_tokens[:, columns], sent - prompt[:, None, None])
        cached = put(again)
        cached[:, :, 1:, 0] = 0.0
    reads = chain_settings(chains)
    step = course_of(
        Allocation(generator=chains.generator, strategy="sequential_revision", depth=2, params=reads)
    ).steps[0]
    return OrderedChains(
        params=tuple(step.parameters.items()),
        n=usable.sum(axis=1),
        n_steps=np.where(usable, length, s).min(axis=1, initial=s) * usable.any(axis=1),
        correct=put(np.maximum(correct, 0).astype(np.float32)),
        worth=put(np.nan_to_num(value).astype(np.float32)),
        answer=put(np.where(drawn, answer, -1).astype(np.int32)),
        answered=bool((answer[drawn] >= 0).any()),
        right=put(_share(right, answer, value)),
        nothing=nothing.astype(np.float32),
        output_tokens=put(tokens.reshape(p, c, s).astype(np.float32)),
        resent_tokens=ordered,
        cached_tokens=cached,
        verifier_tokens=None
        if read is None
        else put(filled_by_prompt(read[:, columns].reshape(p, -1)).reshape(p, c, s).astype(np.float32)),
        signals={name: put(values) for name, values in complete(signals, drawn).items()},
        prompt_tokens=samples.prompt_tokens,
    )


def _share(right: NDArray[np.float64], answer: NDArray[np.int32], value: NDArray[np.float64]) -> Float32Array:
    """Return what each attempt's answer is worth; as it was labelled where no sample gave it."""
    p = len(answer)
    flat = np.minimum(np.maximum(answer, 0), right.shape[1] - 1).reshape(p, -1)
    share = np.take_along_axis(right, flat, axis=1).reshape(answer.shape)
    known = (answer < right.shape[1]) & ~np.isnan(share)
    return np.where(answer >= 0, np.where(known, share, np.nan_to_num(value)), 0.0).astype(np.float32)


def recorded_searches(log: SampleLog, *, columns: slice) -> dict[Step, RecordedSearch]:
    """Return every recorded search of a log by the step that runs it.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    columns : slice
        Runs to use.
    """
    return {
        course_of(
            Allocation(
                generator=runs.generator,
                strategy=runs.strategy,  # type: ignore[arg-type]  # an allocation checks it
                width=int(dict(runs.params).get("n", 1)),
                params={key: value for key, value in runs.params if value is not None},
            )
        ).steps[0]: _search(runs, columns)
        for runs in log.runs()
        if runs.correct[:, columns].shape[1]
    }


def _search(runs: RecordedRuns, columns: slice) -> RecordedSearch:
    value, answer = runs.value[:, columns], runs.answer[:, columns]
    known = ~np.isnan(value)
    # Where no run recorded an answer, nobody can tell that one gave none.
    silent = known & (answer == -1) & bool((answer >= 0).any())
    if runs.worth is None:
        silent &= value == 0

    def mean(values: NDArray[Any]) -> Float32Array:
        return row_mean(np.where(known, values, np.nan).astype(np.float64)).astype(np.float32)

    cached = runs.cached_prompt_tokens
    return RecordedSearch(
        value=mean(np.where(silent, 0.0, value)),
        silent=mean(silent),
        output_tokens=mean(runs.output_tokens[:, columns]),
        prompt_tokens=mean(runs.prompt_tokens[:, columns]),
        cached_tokens=mean(np.zeros_like(value) if cached is None else np.nan_to_num(cached[:, columns])),
        verifier_tokens=mean(runs.verifier_tokens[:, columns]),
    )
