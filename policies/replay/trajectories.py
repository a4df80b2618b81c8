"""Replay ladders on recorded samples: every prompt, many random orders, all in lock-step.

What each prompt would have been worth and have cost at each wave, had it stopped there, is computed once per
ladder; any number of stop rules is then scored on it by array operations. Samples of a pool are assumed
exchangeable. Which ladder and rule to use is left to `training.adaptive.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.log.sample_pool import SamplePool
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale
from policies.ladder.stop_rule import StopRule
from policies.ladder.tally import Tally
from policies.plan.objective import Objective
from policies.replay.orders import balanced_orders
from policies.replay.pools import ReplayPool
from policies.replay.recorded_answers import answer_correctness

__all__ = [
    "Replayed",
    "Trajectories",
    "replay",
    "score_rule",
]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectories:
    """What N = P × R draws (prompts × orders, prompts first) would have been worth at each of T waves.

    Parameters
    ----------
    ladder : Ladder
        What was replayed.
    prompts : ndarray of intp, shape (P,)
        Rows of the log that have all samples that the ladder needs.
    n_orders : int
        R, random orders per prompt.
    evidence : tuple of Evidence
        T states of N draws.
    value : ndarray of float64, shape (T, N)
        Probability that the selection is correct when stopping there, over ties; with objective
        ``"coverage"`` whether a correct sample has been drawn.
    cost : ndarray of float64, shape (T, N)
        Cost so far.
    """

    ladder: Ladder
    prompts: NDArray[np.intp]
    n_orders: int
    evidence: tuple[Evidence, ...]
    value: FloatArray
    cost: FloatArray

    def per_prompt(self, draws: FloatArray) -> FloatArray:
        """Return the mean over orders, shape (P, ...), of an array whose first axis is the N draws."""
        return np.asarray(draws.reshape(len(self.prompts), self.n_orders, *draws.shape[1:]).mean(axis=1))


class Replayed(NamedTuple):
    """What a stop rule earned, each of shape (N,).

    Attributes
    ----------
    value, cost : ndarray of float64
        Value and cost at the wave where the rule stopped.
    waves : ndarray of int64
        Waves drawn.
    samples : ndarray of int64
        Samples drawn.
    """

    value: FloatArray
    cost: FloatArray
    waves: NDArray[np.int64]
    samples: NDArray[np.int64]


def replay(
    pools: Mapping[str, ReplayPool],
    ladder: Ladder,
    *,
    scales: Mapping[str, SampleScale],
    difficulty: FloatArray,
    objective: Objective = "accuracy",
    n_orders: int = 16,
    seed: int = 0,
) -> Trajectories:
    """Draw every wave of a ladder for every prompt, in several random orders.

    Parameters
    ----------
    pools : mapping of str to ReplayPool
        Recorded samples by generator, rows in the same order.
    ladder : Ladder
        What to draw.
    scales : mapping of str to SampleScale
        From `sample_scales` on training prompts.
    difficulty : ndarray of float64, shape (P, D)
        Out-of-fold coordinates of the prompts; D may be 0.
    objective : {"accuracy", "coverage"}
        What the selector delivers: the vote, or a checker that knows a correct sample when it sees one.
    n_orders : int
        R, random orders, at least 1. Equal seeds give a generator equal orders in all ladders, so that
        comparisons are paired; each generator has its own.
    seed : int
        Seed of the orders.

    Raises
    ------
    UnknownGeneratorError
        When a generator of the ladder was not recorded.
    InvalidInputError
        When no prompt has all the samples that the ladder draws.
    """
    missing = [name for name in ladder.generators if name not in pools]
    if missing:
        raise UnknownGeneratorError(
            f"the ladder draws from {missing}, and samples were recorded for {sorted(pools)}"
        )
    used = {name: pools[name] for name in ladder.generators}
    prompts = np.flatnonzero(
        np.all([_n_labelled(item.pool) >= ladder.needs(name) for name, item in used.items()], axis=0)
    )
    if not prompts.size:
        raise InvalidInputError(f"no prompt has all the samples that the ladder draws ({ladder}); shorten it")
    seeds = {name: _seed_of(name, seed) for name in used}
    orders = {
        name: balanced_orders(item.pool.correct >= 0, n_orders=n_orders, seed=seeds[name])[prompts]
        for name, item in used.items()
    }
    correctness = _correctness(used, pooled=ladder.pooled)
    lines = np.repeat(np.arange(len(prompts)), n_orders)
    if ladder.judged and any(item.judge is None for item in used.values()):
        raise InvalidInputError(
            f"the ladder asks the learned verifiers of {list(ladder.generators)}, and there is none of "
            f"{[name for name, item in used.items() if item.judge is None]}"
        )
    codes, seen = _renumbered(_in_turn(used, ladder, prompts, orders))
    tally = Tally(ladder, dict(scales), np.repeat(difficulty[prompts], n_orders, axis=0))
    places: dict[str, list[int]] = {name: [] for name in used}
    n_drawn = 0
    taken = dict.fromkeys(used, 0)
    states, values, costs = [], [], []
    for wave in ladder.waves:
        item, start = used[wave.generator], taken[wave.generator]
        columns = orders[wave.generator][:, :, start : start + wave.n].reshape(len(lines), wave.n)
        taken[wave.generator] += wave.n
        places[wave.generator] += range(n_drawn, n_drawn + wave.n)
        n_drawn += wave.n
        at = prompts[lines][:, None], columns
        tally.add(
            wave.generator,
            answer=codes[:, n_drawn - wave.n : n_drawn],
            correct=item.pool.correct[at] if objective == "coverage" else None,
            mean_logprob=item.pool.mean_logprob[at],
            cost=item.cost[at],
            score=item.pool.score[at],
            request_cost=item.request_cost[prompts][lines],
        )
        if ladder.judged:
            drawn = orders[wave.generator][:, :, : taken[wave.generator]]
            tally.judge(
                wave.generator,
                answer=codes[:, places[wave.generator]],
                chance=item.chances(prompts, drawn, seed=seeds[wave.generator]).reshape(len(lines), -1),
            )
        state = tally.evidence()
        states.append(state)
        costs.append(state.spent)
        if objective == "coverage":
            values.append((state.n_correct > 0).astype(np.float64))
        else:
            tied = tally.tied()[:, : seen.shape[1]]
            # Where answers do not compare, the votes that stand may be an earlier generator's.
            voter = np.zeros(len(lines), dtype=np.int64) if ladder.pooled else np.maximum(tally.stages(), 0)
            answers = voter[:, None], prompts[lines][:, None], seen[:, : tied.shape[1]]
            values.append(_share_correct(tied, correctness[answers]))
    return Trajectories(
        ladder=ladder,
        prompts=prompts,
        n_orders=n_orders,
        evidence=tuple(states),
        value=np.stack(values),
        cost=np.stack(costs),
    )


def score_rule(trajectories: Trajectories, rule: StopRule, *, price: float = 0.0) -> Replayed:
    """Return what a stop rule would have earned on each draw.

    With a checker (objective ``"coverage"``) a draw also stops at its first correct sample, whatever the rule
    says.
    """
    n_waves = len(trajectories.evidence)
    stop = np.full(trajectories.value.shape[1], n_waves - 1)
    live = np.ones(len(stop), dtype=bool)
    for index, state in enumerate(trajectories.evidence[:-1]):
        ends = live & ((state.n_correct > 0) | ~rule.go_on(state, price=price))
        stop[ends] = index
        live &= ~ends
    lines = np.arange(len(stop))
    drawn = np.stack([state.n_drawn for state in trajectories.evidence])
    return Replayed(
        value=trajectories.value[stop, lines],
        cost=trajectories.cost[stop, lines],
        waves=stop + 1,
        samples=drawn[stop, lines],
    )


def _seed_of(generator: str, seed: int) -> int:
    """Return the seed of a generator's orders.

    With one seed for all, samples of two generators would meet by their place in the log, where counts are
    written with the right ones first: what one solves the other would seem to solve as well.
    """
    return (seed << 32) + crc32(generator.encode())


def _n_labelled(pool: SamplePool) -> NDArray[np.int64]:
    """Return recorded samples per prompt whose correctness is known, shape (P,)."""
    return np.asarray((pool.correct >= 0).sum(axis=1))


def _in_turn(
    used: Mapping[str, ReplayPool],
    ladder: Ladder,
    prompts: NDArray[np.intp],
    orders: Mapping[str, NDArray[np.intp]],
) -> NDArray[np.int32]:
    """Return the codes of all answers of each draw in the order of the waves, shape (N, ladder.n)."""
    taken = dict.fromkeys(used, 0)
    parts = []
    for wave in ladder.waves:
        start = taken[wave.generator]
        columns = orders[wave.generator][:, :, start : start + wave.n]
        answer = used[wave.generator].pool.answer[prompts[:, None, None], columns]
        parts.append(answer.reshape(-1, wave.n))
        taken[wave.generator] += wave.n
    return np.concatenate(parts, axis=1)


def _renumbered(codes: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the answers of each draw in the order in which it meets them, as a run does.

    Tables by code are then as wide as the draw has answers, not as wide as the pools have.

    Returns
    -------
    tuple
        The new codes, shape (N, n), -1 where a sample abstains; and the old code of each new one, shape
        (N, K), 0 where there is none.

    Examples
    --------
    >>> new, old = _renumbered(np.array([[7, -1, 3, 7]], dtype=np.int32))
    >>> new.tolist(), old.tolist()
    ([[0, -1, 1, 0]], [[7, 3]])
    """
    lines, n = codes.shape
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    starts = np.ones(codes.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Sorting is stable: the first of a run of equal codes is the one that was met first.
    run = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=1)
    met = np.empty(codes.shape, dtype=np.intp)
    np.put_along_axis(met, order, np.take_along_axis(order, run, axis=1), axis=1)
    fresh = (met == np.arange(n)) & (codes >= 0)
    number = fresh.cumsum(axis=1) - 1
    new = np.where(codes >= 0, np.take_along_axis(number, met, axis=1), -1).astype(np.int32)
    old = np.zeros((lines, max(int(new.max(initial=0)) + 1, 1)), dtype=np.int32)
    row, column = np.nonzero(fresh)
    old[row, number[row, column]] = codes[row, column]
    return new, old


def _correctness(used: Mapping[str, ReplayPool], *, pooled: bool) -> FloatArray:
    """Return the share of correct samples by generator, prompt and code, (G, P, K); G = 1 if votes pool."""
    if pooled:
        return answer_correctness([item.pool for item in used.values()])[None]
    tables = [answer_correctness([item.pool]) for item in used.values()]
    width = max(table.shape[1] for table in tables)
    return np.stack(
        [np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan) for table in tables]
    )


def _share_correct(tied: NDArray[np.bool_], correctness: FloatArray) -> FloatArray:
    """Return the mean correctness of the answers that share the lead; 0 where nobody voted, shape (N,)."""
    total = np.where(tied, np.nan_to_num(correctness), 0.0).sum(axis=1)
    count = tied.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.zeros(len(total)), where=count > 0))
