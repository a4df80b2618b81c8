"""Which strategies a log can compare: parallel sampling, revision and search, each at the sizes recorded.

A family is one way to spend a growing budget: its points differ in size alone. It assumes one generator, and
that part of the independent samples is set aside to tell difficulty. What the points are worth is left to
`training.strategies.bed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from policies.course.allocation import Allocation, ParameterValue
from policies.course.strategies import TRAITS, StrategyKind
from policies.menu.build import build_menu

VOTE: Final = TRAITS["majority_vote"].title
# Settings of a search that its name does not repeat.
_UNNAMED: Final = ("n", "delimiter", "max_steps", "max_step_tokens", "verifier")


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyFamily:
    """One strategy at growing sizes.

    Parameters
    ----------
    name : str
        Unique in a comparison.
    kind : {"parallel", "revision", "search"}
        What it is compared as.
    allocations : tuple of Allocation
        Its points, smallest first; at least one.
    """

    name: str
    kind: StrategyKind
    allocations: tuple[Allocation, ...]


def choose_generator(log: SampleLog, generator: str | None = None) -> str:
    """Return the generator to compare strategies on: the named one, or the only one with more than samples.

    Raises
    ------
    InvalidInputError
        When it is not in the log, or several (or none) could be meant.

    Examples
    --------
    >>> from training.simulated.log import simulated_log
    >>> choose_generator(simulated_log(4, n_samples=4, n_generators=1))
    'model-0'
    """
    names = list(log.generators)
    if generator is not None:
        check_choice("generator", generator, names)
        return generator
    rich = [name for name in names if log.chains(name) is not None]
    rich += [name for name in dict.fromkeys(run.generator for run in log.runs()) if name not in rich]
    candidates = rich or names
    if len(candidates) > 1:
        raise InvalidInputError(
            f"strategies are compared on one generator, and {', '.join(map(repr, candidates))} could be "
            "meant; name one of them"
        )
    return candidates[0]


def strategy_families(log: SampleLog, generator: str, *, n_scored: int) -> tuple[StrategyFamily, ...]:
    """Return every family that the log can value.

    Parameters
    ----------
    log : SampleLog
        Recorded samples, chains and runs of one generator.
    generator : str
        Its name.
    n_scored : int
        Independent samples per prompt that are there to score strategies.

    Returns
    -------
    tuple of StrategyFamily
        The majority vote first, then other parallel ones, revisions, searches.

    Raises
    ------
    InvalidInputError
        When there are no labelled independent samples with answers, so that there is no vote to compare with.
    """
    menu = build_menu(log)
    families: dict[tuple[str, StrategyKind], list[Allocation]] = {}
    for allocation in menu:
        if allocation.traits.kind == "parallel" and allocation.width <= n_scored:
            verifier = allocation.parameters.get("verifier")
            by = "" if verifier is None else f" by {verifier}"
            families.setdefault((allocation.traits.title + by, "parallel"), []).append(allocation)
    votes = families.get((VOTE, "parallel"), [])
    if len(votes) < 2:
        raise InvalidInputError(
            "a comparison needs at least 3 labelled samples with answers per prompt to vote, beside as many "
            f"that tell difficulty, and generator {generator!r} has {n_scored}; record more independent "
            "samples (planner collect --samples 32)"
        )
    single = votes[0]
    for (_, kind), points in families.items():
        if kind == "parallel" and points[0].width > 1:
            points.insert(0, single)  # every selector agrees on one sample
    for selection, grid in shape_grids(log, generator).items():
        by = "by score" if selection == "hierarchical" else "by vote"
        deepest = max(depth for _, depth in grid)
        chain = [grid[key] for key in sorted(grid) if key[0] == 1]
        families[f"revision {by}, one chain", "revision"] = [single, *chain]
        for depth in dict.fromkeys(d for d in (2, 4, 8, 16, deepest) if d <= deepest):
            wide = [grid[key] for key in sorted(grid) if key[1] == depth]
            families[f"revision {by}, chains of {depth}", "revision"] = wide
    for allocation in menu:
        if allocation.traits.kind == "search":
            key: tuple[str, StrategyKind] = (_search_name(allocation), "search")
            families.setdefault(key, []).append(allocation)
    return tuple(
        StrategyFamily(name=name, kind=kind, allocations=tuple(sorted(points, key=lambda a: (a.n, a.depth))))
        for (name, kind), points in families.items()
    )


def shape_grids(log: SampleLog, generator: str) -> dict[str, dict[tuple[int, int], Allocation]]:
    """Return the revision allocations of at least two steps by (width, depth), per selection that can be
    replayed: ``"majority"``, and ``"hierarchical"`` where every attempt has a score.
    """
    chains = log.chains(generator)
    if chains is None:
        return {}
    grid = {(a.width, a.depth): a for a in build_menu(log) if a.traits.kind == "revision"}
    if not grid:
        return {}
    grids = {"majority": grid}
    present = chains.answer >= 0
    if not np.isnan(chains.score[present]).any():
        grids["hierarchical"] = {shape: _by_score(allocation) for shape, allocation in grid.items()}
    return grids


def _by_score(allocation: Allocation) -> Allocation:
    params: dict[str, ParameterValue] = {**allocation.parameters, "selection": "hierarchical"}
    return replace(allocation, params={**params, "verifier": "score"})


def _search_name(allocation: Allocation) -> str:
    """Name a search by its parameters other than the size, and by its verifier where that is not the recorded
    score: ``beam search (beam_width=4, by mean_logprob)``.
    """
    shown = [f"{name}={value}" for name, value in allocation.parameters.items() if name not in _UNNAMED]
    by = allocation.parameters.get("verifier", "score")
    shown += [] if by == "score" else [f"by {by}"]
    return allocation.traits.title + (f" ({', '.join(shown)})" if shown else "")
