"""Measure every strategy of a log on prompts whose difficulty other samples told.

The even half of each prompt's independent samples tells difficulty and scores nothing; the odd half scores
parallel strategies; chains and runs, which share no sample with either, score the others. Bins are quantiles
over the prompts of the log. Comparing is left to `training.strategies.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.table.measure import prompt_lengths
from policies.table.reading import is_scored, with_reading
from policies.table.static import static_table
from policies.table.table import CourseTable
from training.strategies.families import StrategyFamily, shape_grids, strategy_families

DifficultyName: TypeAlias = Literal["observed", "score"]
ReadingName: TypeAlias = Literal["recorded", "partly recorded", "estimated"]
DIFFICULTIES: Final[tuple[str, ...]] = get_args(DifficultyName)

_FEWEST_PROMPTS: Final = 4  # per bin; fewer give no interval worth the name


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StrategyBed:
    """Prompts × allocations, measured.

    Parameters
    ----------
    prompt_ids : tuple of str
        The P prompts that have everything, in the order of the log.
    near_duplicates : tuple of str
        The group of each; what near-duplicates say is not said twice.
    n_left_out : int
        Prompts that lack samples, chains or runs of some strategy.
    families : tuple of StrategyFamily
        What is compared; the majority vote first.
    columns : mapping of Allocation to int
        Place of each of the A allocations.
    value, cost : ndarray of float64, shape (P, A)
        Accuracy in [0, 1] and cost in the unit, per prompt.
    easiness : ndarray of float64, shape (P,)
        What difficulty is read from: pass@1, or the mean score, of the half that scores nothing.
    bins : tuple of ndarray of intp
        Rows of each difficulty bin, easiest first; empty bins do not occur.
    n_difficulty_samples : int
        Most samples of a prompt that told its difficulty.
    scoring : dict of str to {"recorded", "partly recorded", "estimated"}
        How what a reward model reads is known, by the name of each family that pays for it.
    """

    prompt_ids: tuple[str, ...]
    near_duplicates: tuple[str, ...]
    n_left_out: int
    families: tuple[StrategyFamily, ...]
    columns: dict[Allocation, int]
    value: FloatArray
    cost: FloatArray
    easiness: FloatArray
    bins: tuple[NDArray[np.intp], ...]
    n_difficulty_samples: int
    scoring: dict[str, ReadingName] = field(default_factory=dict)

    def places(self, allocations: Sequence[Allocation]) -> NDArray[np.intp]:
        """Return the columns of some allocations."""
        return np.array([self.columns[allocation] for allocation in allocations], dtype=np.intp)


def measure_strategies(
    log: SampleLog,
    generator: str,
    *,
    cost_model: CostModel,
    n_bins: int,
    difficulty: DifficultyName,
    prefix_cache: bool,
    seed: int,
) -> StrategyBed:
    """Measure all families of one generator; see `training.strategies.compare.compare_strategies`.

    Raises
    ------
    InvalidInputError
        When the log lacks independent samples, chains and runs to compare, or scores for
        ``difficulty="score"``, or no prompt has everything.
    UnknownUnitError
        When the unit needs a quantity that was not recorded for some strategy.
    """
    own = log.select_generators([generator])
    pool = own.pool(generator)
    if pool.counts_only.any():
        raise InvalidInputError(
            f"generator {generator!r} has lines with counts only; strategies can be compared on recorded "
            "samples"
        )
    families = strategy_families(own, generator, n_scored=_typical(pool.n // 2))
    if all(family.kind == "parallel" for family in families):
        raise InvalidInputError(
            f"generator {generator!r} has neither revision chains nor runs of a search, so there is nothing "
            "to compare with parallel sampling; record some: planner collect --strategy sequential_revision, "
            "beam_search, dvts, lookahead or rebase"
        )
    wanted = [a for family in families for a in family.allocations]
    grids = shape_grids(own, generator)
    for selection, grid in grids.items():
        wanted += [*grid.values(), *_flat_shapes(generator, selection, _typical(pool.n // 2))]
    allocations = list(dict.fromkeys(wanted))
    table = _measured(own, allocations, seed)
    # A row of pools that are too short for the widest vote, or lack a chain, would compare unequal prompts.
    whole, easiness = ~np.isnan(table.value).any(axis=1), _easiness(own, generator, difficulty)
    told = ~np.isnan(easiness)
    if difficulty == "score" and not told[whole].all():
        raise InvalidInputError(
            "difficulty by score needs a score of every independent sample; record them (planner collect "
            "--verifier), or take the observed difficulty"
        )
    rows = np.flatnonzero(whole & told)
    if not len(rows):
        raise InvalidInputError(
            f"no prompt has all of what generator {generator!r} was recorded with (labelled samples, whole "
            "chains, runs of every search); see planner collect"
        )
    easiness = easiness[rows]
    groups = np.array(own.near_duplicates().groups)[rows]
    kept, length = table.take(rows), prompt_lengths(own)[generator][rows]
    paid = _cached(kept, length) if prefix_cache else with_reading(kept, {generator: length})
    cost = _cost(paid, generator, length, cost_model)
    columns = {allocation: column for column, allocation in enumerate(allocations)}
    return StrategyBed(
        prompt_ids=tuple(own.prompts[row].id for row in rows),
        near_duplicates=tuple(groups.tolist()),
        n_left_out=len(own.prompts) - len(rows),
        families=families,
        columns=columns,
        value=kept.value.astype(np.float64),
        cost=cost,
        easiness=easiness,
        bins=_bins(easiness, n_bins, groups),
        n_difficulty_samples=int(((pool.n[rows] + 1) // 2).max()),
        scoring=_scoring(kept, families, columns, prefix_cache) if cost_model.charges_verifier() else {},
    )


def _scoring(
    table: CourseTable,
    families: Sequence[StrategyFamily],
    columns: Mapping[Allocation, int],
    prefix_cache: bool,
) -> dict[str, ReadingName]:
    """Say of each family that pays for a reward model whether what it reads is recorded: estimates have been
    wrong by a factor of four. With a cache it is always estimated.
    """
    found: dict[str, ReadingName] = {}
    for family in families:
        places = [columns[allocation] for allocation in family.allocations]
        paid = [place for place in places if is_scored(table.courses[place])]
        if paid:
            # Every course is of one generator, so that slots are columns.
            known = ~np.isnan(table.verifier_tokens[:, paid]) & (not prefix_cache)
            found[family.name] = (
                "recorded" if known.all() else "partly recorded" if known.any() else "estimated"
            )
    return found


def _flat_shapes(generator: str, selection: str, n_scored: int) -> list[Allocation]:
    """Return parallel samples by powers of two, selected as chains of one attempt would be."""
    sizes = [2**power for power in range(1, n_scored.bit_length()) if 2**power <= n_scored]
    strategy: StrategyName = "majority_vote" if selection == "majority" else "weighted_best_of_n"
    params = {} if selection == "majority" else {"verifier": "score"}
    return [Allocation(generator=generator, strategy=strategy, width=n, params=params) for n in sizes]


def _measured(log: SampleLog, allocations: list[Allocation], seed: int) -> CourseTable:
    """Return the table: parallel strategies on the odd half of the samples, others on all recordings."""
    pooled = [allocation for allocation in allocations if allocation.traits.kind == "parallel"]
    others = [allocation for allocation in allocations if allocation.traits.kind != "parallel"]
    both = CourseTable.joined(
        [
            static_table(log, pooled, half="odd", seed=seed),
            static_table(log, others, half="all", seed=seed),
        ]
    )
    place = {allocation: column for column, allocation in enumerate([*pooled, *others])}
    return both.columns(np.array([place[allocation] for allocation in allocations]))


def _cached(table: CourseTable, length: FloatArray) -> CourseTable:
    """Return the table as if generator and reward model kept their caches: the question is read once, and
    each generated token once, whatever was read when it was recorded.
    """
    spared = length[:, None] * (1 - table.requests)
    read = np.where([is_scored(course) for course in table.courses], table.output_tokens, 0.0)
    return replace(
        table,
        resent_tokens=spared.astype(np.float32),
        cached_tokens=np.zeros_like(table.cached_tokens),
        verifier_tokens=read.astype(np.float32),
    )


def _cost(table: CourseTable, generator: str, length: FloatArray, model: CostModel) -> FloatArray:
    """Return the cost of each allocation, shape (P, A).

    Raises
    ------
    UnknownUnitError
        When the unit needs what was not recorded.
    """
    cost = table.cost(model, {generator: length})
    if np.isnan(cost).any():
        model.price_arrays(  # which says what was not recorded
            generator,
            prompt_tokens=length[:, None] + table.resent_tokens,
            output_tokens=table.output_tokens,
            verifier_tokens=table.verifier_tokens,
        )
    return cost.astype(np.float64)


def _typical(n: NDArray[np.int64]) -> int:
    """Return the number that nine tenths of the prompts reach."""
    return int(np.sort(n)[len(n) // 10])


def _easiness(log: SampleLog, generator: str, difficulty: DifficultyName) -> FloatArray:
    """Return pass@1 or the mean score over the even half of each prompt's samples; NaN where unknown."""
    pool = log.pool(generator)
    inside = (np.arange(pool.correct.shape[1]) < pool.n[:, None])[:, ::2]
    table = pool.score if difficulty == "score" else np.where(pool.correct < 0, np.nan, pool.correct)
    half = np.where(inside, table[:, ::2], 0.0)
    return np.asarray(half.sum(axis=1) / np.maximum(inside.sum(axis=1), 1), dtype=np.float64)


def _bins(easiness: FloatArray, n_bins: int, groups: NDArray[np.str_]) -> tuple[NDArray[np.intp], ...]:
    """Cut prompts at quantiles, easiest first; equal prompts share a bin, so bins can differ in size.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 3.2: five quantiles of pass@1 (2,048 samples), or of the mean
    verifier score. Here other samples tell the bins than those that score.
    """
    edges = np.unique(np.quantile(easiness, np.linspace(0, 1, n_bins + 1)[1:-1]))
    place = np.searchsorted(edges, easiness, side="right")
    bins = tuple(np.flatnonzero(place == number) for number in reversed(range(len(edges) + 1)))
    kept = tuple(rows for rows in bins if len(rows))
    if min(len(set(groups[rows].tolist())) for rows in kept) < _FEWEST_PROMPTS:
        raise InvalidInputError(
            f"{len(easiness)} prompts in {n_bins} bins of difficulty leave fewer than {_FEWEST_PROMPTS} that "
            "differ in one of them; ask for fewer bins or record more prompts"
        )
    return kept
