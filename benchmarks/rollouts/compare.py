"""Informative groups per million tokens: our planner and other ways to spread rollouts, at equal tokens.

Runs of several epochs are simulated on planted success rates that may drift, or drawn from recorded samples,
and every way of spreading meets the same prompts, lengths and budget. What the policy would have learned from
the groups is not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.rivals import RIVALS, Ask, Rival, Seen
from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.groups.group_planner import GroupPlanner
from policies.groups.values import GroupValue

IntArray: TypeAlias = NDArray[np.int64]
Move: TypeAlias = Callable[[FloatArray, np.random.Generator], FloatArray]

OURS: Final = "planner"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """The truth of P prompts that a run draws from.

    Parameters
    ----------
    rates : ndarray of float64, shape (P,)
        Success rates.
    right, wrong : ndarray of float64, shape (P,)
        Mean tokens of right and of wrong rollouts.
    recorded : tuple of ndarray, optional
        n and n_correct of recorded samples: groups are then drawn from these without replacement.
    """

    rates: FloatArray
    right: FloatArray
    wrong: FloatArray
    recorded: tuple[IntArray, IntArray] | None = None

    def draw(self, rates: FloatArray, n: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Return the right ones among n rollouts of each prompt, and the tokens of all."""
        if self.recorded is None:
            good = rng.binomial(n, rates)
        else:
            total, known = self.recorded
            good = rng.hypergeometric(known, total - known, n)
        tokens = _lengths(good, self.right, rng) + _lengths(n - good, self.wrong, rng)
        return np.asarray(good, dtype=np.int64), tokens


class GroupResult(NamedTuple):
    """What a way of spreading brought over whole runs.

    Attributes
    ----------
    per_million : ndarray of float64, shape (R,)
        Groups with a success and a failure per million tokens, by run.
    ratio : float
        Mean over runs of what it brought over what uniform n brought.
    interval : tuple of float
        95 % interval of the ratio over runs.
    """

    per_million: FloatArray
    ratio: float
    interval: tuple[float, float]


def compare_groups(
    truth: Callable[[np.random.Generator], Planted],
    *,
    usual: int = 8,
    floor: int = 4,
    cap: int = 32,
    share: float = 0.25,
    n_epochs: int = 8,
    n_runs: int = 10,
    move: Move | None = None,
    value: GroupValue = "contrast",
    rivals: Sequence[str] = tuple(RIVALS),
    seed: int = 0,
) -> Mapping[str, GroupResult]:
    """Compare ways to spread rollouts over whole runs, the first epoch included.

    Parameters
    ----------
    truth : callable
        Plants the truth of a run.
    usual : int
        Size of the groups of uniform n.
    floor, cap, value
        Of our planner (`policies.groups.group_planner.GroupPlanner`); floor and cap hold for all.
    share : float
        Prompts that uniform n draws in an epoch, as a share of all, in (0, 1]; every epoch has the tokens
        that these are expected to cost.
    n_epochs, n_runs : int
        Epochs of a run, and runs.
    move : callable, optional
        Moves the rates from one epoch to the next; by default they stay.
    rivals : sequence of str
        Of `benchmarks.rollouts.rivals.RIVALS`.
    seed : int
        Of truths, draws and ties.

    Raises
    ------
    InvalidInputError
        When a rival is unknown, or a number is below 1.
    """
    unknown = sorted(set(rivals) - set(RIVALS))
    if unknown:
        raise InvalidInputError(f"rivals are {', '.join(RIVALS)}; got {', '.join(unknown)}")
    if min(usual, n_epochs, n_runs) < 1 or not 0 < share <= 1:
        raise InvalidInputError("usual, n_epochs and n_runs must be at least 1, and share in (0, 1]")
    names = [OURS, *dict.fromkeys(["uniform", *rivals])]
    brought: dict[str, list[float]] = {name: [] for name in names}
    for run in range(n_runs):
        planted = truth(np.random.default_rng([seed, run]))
        moved = [planted.rates]
        rng = np.random.default_rng([seed, run, 1])
        for _ in range(n_epochs - 1):
            moved.append(moved[-1] if move is None else move(moved[-1], rng))
        for at, name in enumerate(names):
            mean = planted.rates * planted.right + (1 - planted.rates) * planted.wrong
            planner = GroupPlanner.start(
                len(mean), floor=floor, cap=cap, value=value, tokens_per_rollout=float(mean.mean())
            )
            spender = _Spender(planner, None if name == OURS else RIVALS[name])
            ask = Ask(budget=share * usual * float(mean.sum()), usual=usual, floor=floor, cap=cap)
            dice = np.random.default_rng([seed, run, 2 + at])
            brought[name].append(_run(planted, moved, spender, ask, dice))
    base = np.array(brought["uniform"])
    return {name: _result(np.array(found), base) for name, found in brought.items()}


def recorded_truth(log: SampleLog, generator: str) -> Callable[[np.random.Generator], Planted]:
    """Return the truth of a recorded generator; groups are drawn from its samples without replacement.

    Raises
    ------
    InvalidInputError
        When no prompt of the log has at least 2 labelled samples of it.
    """
    pool = log.pool(generator)
    n = pool.n_known
    some = n >= 2
    if not some.any():
        raise InvalidInputError(f"no prompt has 2 labelled samples of {generator!r}")
    n, good = n[some], pool.n_correct[some]
    tokens = pool.output_tokens[some]
    means = [_mean_of(tokens, pool.correct[some] == flag) for flag in (1, 0)]
    return lambda rng: Planted(rates=good / n, right=means[0], wrong=means[1], recorded=(n, good))


class _Spender:
    """One way to spread through one run: what it was told so far, and what it would draw next."""

    def __init__(self, planner: GroupPlanner, rival: Rival | None) -> None:
        self._planner, self._rival = planner, rival
        self._n = np.zeros(len(planner), dtype=np.int64)
        self._good, self._turns = self._n.copy(), self._n.copy()

    def spread(self, ask: Ask, rng: np.random.Generator) -> IntArray:
        if self._rival is None:
            return self._planner.plan(ask.budget, seed=int(rng.integers(1 << 30))).n
        seen = Seen(n=self._n, n_correct=self._good, lengths=self._planner.lengths, turns=self._turns)
        return self._rival(seen, ask, rng)

    def told(self, n: IntArray, good: IntArray, tokens: FloatArray) -> None:
        self._planner = self._planner.after(n, good, output_tokens=tokens)
        self._n = np.where(n > 0, n, self._n)
        self._good = np.where(n > 0, good, self._good)
        self._turns = self._turns + (n > 0)


def _run(
    planted: Planted, moved: Sequence[FloatArray], spender: _Spender, ask: Ask, rng: np.random.Generator
) -> float:
    """Return informative groups per million tokens of one run."""
    most = np.full(len(planted.rates), ask.cap)
    if planted.recorded is not None:
        most = np.minimum(planted.recorded[0], ask.cap)
    groups, spent = 0, 0.0
    for rates in moved:
        n = np.minimum(spender.spread(ask, rng), most)
        good, tokens = planted.draw(rates, n, rng)
        spender.told(n, good, tokens)
        groups += int(((good > 0) & (good < n)).sum())
        spent += float(tokens.sum())
    return 1e6 * groups / spent


def _result(found: FloatArray, base: FloatArray) -> GroupResult:
    ratios = np.log(found / base)
    mean, error = float(ratios.mean()), 0.0
    if len(ratios) > 1:
        from scipy.stats import t

        error = float(t.ppf(0.975, len(ratios) - 1) * ratios.std(ddof=1) / np.sqrt(len(ratios)))
    low, high = np.exp(mean - error), np.exp(mean + error)
    return GroupResult(per_million=found, ratio=float(np.exp(mean)), interval=(float(low), float(high)))


def _lengths(n: IntArray, mean: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the tokens of n rollouts of a mean length; single lengths are exponential."""
    return np.asarray(np.where(n > 0, rng.gamma(np.maximum(n, 1)) * mean, 0.0))


def _mean_of(tokens: FloatArray, some: NDArray[np.bool_]) -> FloatArray:
    """Return the mean tokens of some samples by prompt; of all prompts where one has none, else 1."""
    known = some & ~np.isnan(tokens)
    usual = float(tokens[known].mean()) if known.any() else 1.0
    count = known.sum(axis=1)
    total = np.where(known, tokens, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), usual))
