"""Value and cost of climbing ladders to a first success, computed from recorded samples without a replay.

With a checker a climb ends at its first success, so that what a ladder earns and costs follows from each
prompt's share of right samples alone: thousands of ladders are compared in a second. It assumes that samples
of a prompt are exchangeable and cost alike; searching ladders is left to `training.adaptive.checker_ladders`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.estimators.pass_at_k import pass_at_k_curve
from policies.replay.pools import ReplayPool

__all__ = ["CheckerTable", "LadderWorth", "Steps"]

FloatArray: TypeAlias = NDArray[np.float64]
Steps: TypeAlias = tuple[tuple[str, int], ...]


class LadderWorth(NamedTuple):
    """What climbing a ladder to its first success comes to.

    Attributes
    ----------
    coverage : float
        Mean probability of a success, in [0, 1].
    cost : float
        Mean cost of a prompt.
    """

    coverage: float
    cost: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CheckerTable:
    """What P prompts have shown of each generator under a checker.

    Parameters
    ----------
    miss : mapping of str to ndarray of float64, shape (P, N + 1)
        Chance that k samples are all wrong, for k = 0 … N, by generator; N is what a ladder may draw of it.
    cost, request_cost : mapping of str to ndarray of float64, shape (P,)
        Cost of one sample, and of sending the prompt once.

    Examples
    --------
    >>> table = CheckerTable(
    ...     miss={"a": np.array([[1.0, 0.5, 0.25]])}, cost={"a": np.ones(1)}, request_cost={"a": np.zeros(1)}
    ... )
    >>> table.climb((("a", 1), ("a", 1)))
    LadderWorth(coverage=0.75, cost=1.5)
    """

    miss: Mapping[str, FloatArray]
    cost: Mapping[str, FloatArray]
    request_cost: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        if (
            not self.miss
            or self.miss.keys() != self.cost.keys()
            or self.miss.keys() != self.request_cost.keys()
        ):
            raise InvalidInputError(
                "a checker's table needs miss, cost and request_cost of the same generators"
            )

    @classmethod
    def of(cls, pools: Mapping[str, ReplayPool], *, recorded: Mapping[str, int]) -> CheckerTable:
        """Count recorded samples.

        Parameters
        ----------
        pools : mapping of str to ReplayPool
            Training prompts; those that lack samples of a generator are left out.
        recorded : mapping of str to int
            Samples that a ladder may draw of each generator; others are left out.

        Raises
        ------
        InvalidInputError
            When no prompt has all samples.

        Notes
        -----
        Samples are drawn without replacement, as replays draw them. A posterior of each prompt's chance in
        place of its counts found ladders worth the same or a little less on recorded logs.
        """
        known = {name: pools[name].pool.correct >= 0 for name in recorded}
        enough = np.all([mask.sum(axis=1) >= recorded[name] for name, mask in known.items()], axis=0)
        if not enough.any():
            raise InvalidInputError(f"no prompt has all the samples that ladders may draw ({dict(recorded)})")
        miss, cost, request = {}, {}, {}
        for name, most in recorded.items():
            item, mask = pools[name], known[name][enough]
            n, right = mask.sum(axis=1), (item.pool.correct[enough] == 1).sum(axis=1)
            solved = pass_at_k_curve(n, right, np.arange(1, most + 1))
            miss[name] = np.column_stack([np.ones(len(n)), 1.0 - solved])
            cost[name] = np.where(mask, np.nan_to_num(item.cost[enough]), 0.0).sum(axis=1) / n
            request[name] = np.nan_to_num(item.request_cost[enough])
        return cls(miss=miss, cost=cost, request_cost=request)

    def only(self, generators: Sequence[str]) -> CheckerTable:
        """Return the part that is about these generators."""
        return CheckerTable(
            miss={name: self.miss[name] for name in generators},
            cost={name: self.cost[name] for name in generators},
            request_cost={name: self.request_cost[name] for name in generators},
        )

    def fits(self, steps: Steps) -> bool:
        """Return whether a ladder has a wave, each of at least one sample, and no more than may be drawn."""
        drawn: dict[str, int] = {}
        for name, size in steps:
            drawn[name] = drawn.get(name, 0) + size
        return (
            bool(steps)
            and all(size >= 1 for _, size in steps)
            and all(n < self.miss[name].shape[1] for name, n in drawn.items())
        )

    def climb(self, steps: Steps) -> LadderWorth:
        """Return what a ladder that fits comes to, given as pairs of generator and number of samples."""
        drawn: dict[str, int] = {}
        alive = np.ones(len(next(iter(self.cost.values()))))
        spent = np.zeros_like(alive)
        for name, size in steps:
            spent += alive * (size * self.cost[name] + self.request_cost[name])
            before = drawn.get(name, 0)
            drawn[name] = before + size
            alive = alive * _ratio(self.miss[name][:, before + size], self.miss[name][:, before])
        return LadderWorth(float(1.0 - alive.mean()), float(spent.mean()))


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
