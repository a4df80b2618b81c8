"""Replay ladders on recorded samples: every prompt, many random orders, all in lock-step.

What each prompt would have been worth and have cost at each wave, had it stopped there, is computed once per
ladder; any number of stop rules is then scored on it by array operations. Samples of a pool are assumed
exchangeable. Which ladder and rule to use is left to `training.adaptive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.sample_pool import SamplePool
from policies.evidence import Evidence, Tally
from policies.ladder import Ladder, SampleScale
from policies.learned_verifier import LearnedScorer
from policies.replay_orders import balanced_orders

__all__ = [
    "ReplayPool",
    "Replayed",
    "StopRule",
    "Trajectories",
    "comparable",
    "replay",
    "sample_scales",
    "score_rule",
]

FloatArray: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Literal["accuracy", "coverage"]


class StopRule(Protocol):
    """Decides after each wave whether the next one is drawn."""

    def go_on(self, evidence: Evidence, *, price: float) -> NDArray[np.bool_]:
        """Return whether to draw the next wave, shape (N,), at a price λ (value per unit of cost)."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReplayPool:
    """Recorded samples of one generator with what each of them cost.

    Parameters
    ----------
    pool : SamplePool
        P prompts × M samples.
    cost : ndarray of float64, shape (P, M)
        Cost of each sample, from `policies.cost.CostModel.price_arrays`; NaN on padding.
    request_cost : ndarray of float64, shape (P,)
        Cost of sending the prompt once, for each wave; 0 where it is free or cached.
    judge : LearnedScorer, optional
        Says how likely each sample is correct, for ladders that ask; its rows are those of the pool.
    """

    pool: SamplePool
    cost: FloatArray
    request_cost: FloatArray
    judge: LearnedScorer | None = None
    _judged: dict[tuple[int, int, int], NDArray[np.float32]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.cost.shape != self.pool.correct.shape or self.request_cost.shape != self.pool.n.shape:
            raise InvalidInputError(
                f"cost must be {self.pool.correct.shape} and request_cost {self.pool.n.shape}; "
                f"got {self.cost.shape} and {self.request_cost.shape}"
            )

    def chances(self, prompts: NDArray[np.intp], drawn: NDArray[np.intp], *, seed: int) -> FloatArray:
        """Return P(correct) of samples by the judge, shape (P', R, n); what was judged before is kept.

        Parameters
        ----------
        prompts : ndarray of intp, shape (P',)
            Rows of the pool, each with n labelled samples.
        drawn : ndarray of intp, shape (P', R, n)
            The first n samples of each of the R `policies.replay_orders.balanced_orders` of `seed`.
        seed : int
            Seed of the orders.

        Raises
        ------
        InvalidInputError
            When a sample lacks what the judge reads.
        """
        if self.judge is None:
            raise InvalidInputError("these samples have no judge")
        n_orders, n = drawn.shape[1:]
        kept = self._judged.setdefault(
            (seed, n_orders, n), np.full((len(self.pool.n), n_orders, n), np.nan, dtype=np.float32)
        )
        new = np.isnan(kept[prompts, 0, 0])
        if new.any():
            rows, columns = prompts[new], drawn[new].reshape(-1, n)
            at = np.repeat(rows, n_orders)[:, None], columns
            given = {name: getattr(self.pool, name)[at] for name in self.judge.columns}
            chance = self.judge.score(at[0][:, 0], self.pool.answer[at], **given)
            kept[rows] = chance.reshape(len(rows), n_orders, n)
        return kept[prompts].astype(np.float64)


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


def sample_scales(
    pools: Mapping[str, ReplayPool], prompts: NDArray[np.intp] | None = None
) -> dict[str, SampleScale]:
    """Return what is usual for each generator's samples, over the prompts at `prompts` (all by default)."""
    scales = {}
    for name, item in pools.items():
        at = slice(None) if prompts is None else prompts
        logprob = item.pool.mean_logprob[at]
        logprob = logprob[np.isfinite(logprob)]
        cost = item.cost[at]
        log_cost = np.log(cost[cost > 0])
        scales[name] = SampleScale(
            logprob_mean=float(logprob.mean()) if logprob.size else 0.0,
            logprob_sd=_deviation(logprob),
            log_cost_mean=float(log_cost.mean()) if log_cost.size else 0.0,
            log_cost_sd=_deviation(log_cost),
        )
    return scales


def comparable(pools: Mapping[str, ReplayPool], *, tolerance: float = 0.05) -> bool:
    """Return whether answers of different generators compare: equal answers are then equally correct.

    Choice letters that each generator saw in another order do not; more than `tolerance` of the shared
    answers then disagree about being correct. One generator alone always compares with itself.
    """
    tables = [_answer_correctness([item.pool]) for item in pools.values()]
    width = max(table.shape[1] for table in tables)
    tables = [
        np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan) for table in tables
    ]
    shared = clash = 0
    for index, first in enumerate(tables):
        for second in tables[:index]:
            both = ~np.isnan(first) & ~np.isnan(second)
            shared += int(both.sum())
            clash += int((np.abs(first - second)[both] > 0.5).sum())
    return clash <= tolerance * shared


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
        R, random orders, at least 1. Equal seeds give equal orders to all ladders, so that comparisons are
        paired.
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
    orders = {
        name: balanced_orders(item.pool.correct >= 0, n_orders=n_orders, seed=seed)[prompts]
        for name, item in used.items()
    }
    correctness = _correctness_by_generator(used, pooled=ladder.pooled)
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
                chance=item.chances(prompts, drawn, seed=seed).reshape(len(lines), -1),
            )
        state = tally.evidence()
        states.append(state)
        costs.append(state.spent)
        if objective == "coverage":
            values.append((state.n_correct > 0).astype(np.float64))
        else:
            tied = tally.tied()[:, : seen.shape[1]]
            answers = prompts[lines][:, None], seen[:, : tied.shape[1]]
            values.append(_share_correct(tied, correctness[wave.generator][answers]))
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


def _deviation(values: FloatArray) -> float:
    """Return the standard deviation, 0 where there is nothing to tell apart."""
    spread = float(values.std()) if values.size else 0.0
    return spread if spread > 1e-9 else 0.0


def _n_labelled(pool: SamplePool) -> NDArray[np.int64]:
    """Return recorded samples per prompt whose correctness is known, shape (P,)."""
    return np.asarray((pool.correct >= 0).sum(axis=1))


def _answer_correctness(pools: list[SamplePool]) -> FloatArray:
    """Return the share of correct samples by prompt and answer code, shape (P, K); NaN for unseen codes."""
    width = max(1, max(int(pool.answer.max(initial=-1)) + 1 for pool in pools))
    right = np.zeros((len(pools[0].n), width))
    total = np.zeros_like(right)
    for pool in pools:
        rows, columns = np.nonzero((pool.answer >= 0) & (pool.correct >= 0))
        codes = pool.answer[rows, columns]
        np.add.at(total, (rows, codes), 1.0)
        np.add.at(right, (rows, codes), pool.correct[rows, columns])
    return np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)


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


def _correctness_by_generator(used: Mapping[str, ReplayPool], *, pooled: bool) -> dict[str, FloatArray]:
    """Return by generator the share of correct samples by prompt and answer code, all of one shape (P, K)."""
    if pooled:
        return dict.fromkeys(used, _answer_correctness([item.pool for item in used.values()]))
    tables = {name: _answer_correctness([item.pool]) for name, item in used.items()}
    width = max(table.shape[1] for table in tables.values())
    return {
        name: np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan)
        for name, table in tables.items()
    }


def _share_correct(tied: NDArray[np.bool_], correctness: FloatArray) -> FloatArray:
    """Return the mean correctness of the answers that share the lead; 0 where nobody voted, shape (N,)."""
    total = np.where(tied, np.nan_to_num(correctness), 0.0).sum(axis=1)
    count = tied.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.zeros(len(total)), where=count > 0))
