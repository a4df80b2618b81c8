"""Pick one candidate: majority vote, best score, weighted vote.

These are the rules that the estimators of `difficulty` assume: candidates without an answer take no part,
ties are broken uniformly and by seed, and the order of arrival plays no role. Scores that are missing are
never replaced; where no candidate has a score at all, the vote decides and the choice says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from planner.ports.outcome import Candidate

Aggregate: TypeAlias = Literal["sum", "max"]
Selection: TypeAlias = Literal["majority_vote", "best_of_n", "weighted_best_of_n"]


class Selected(NamedTuple):
    """Position of the selected candidate, None without one, and the rule that selected it."""

    position: int | None
    rule: str


def select_by_vote(candidates: Sequence[Candidate], rng: np.random.Generator) -> Selected:
    """Select the most frequent answer; of its candidates, the first.

    Parameters
    ----------
    candidates : sequence of Candidate
        In the order in which they were asked for.
    rng : numpy.random.Generator
        Used only for ties, which are uniform over the tied answers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> votes = [Candidate(text=t, answer=t, status="ok") for t in ("41", "42", "42")]
    >>> select_by_vote(votes, rng)
    Selected(position=1, rule='majority_vote')
    """
    return Selected(_heaviest(candidates, [1.0] * len(candidates), "sum", rng), "majority_vote")


def select_best(candidates: Sequence[Candidate], rng: np.random.Generator) -> Selected:
    """Select the candidate with the highest score; ties are uniform over the tied candidates.

    References
    ----------
    Best-of-N as in Snell et al. 2024, arXiv 2408.03314, with abstaining candidates left out.
    """
    scored = [
        (candidate.score, index)
        for index, candidate in enumerate(candidates)
        if candidate.answer is not None and candidate.score is not None
    ]
    if not scored:
        return select_by_vote(candidates, rng)
    top = max(score for score, _ in scored)
    return Selected(_any([index for score, index in scored if score == top], rng), "best_of_n")


def select_weighted(
    candidates: Sequence[Candidate], rng: np.random.Generator, *, aggregate: Aggregate = "sum"
) -> Selected:
    """Select the answer with the highest sum (or maximum) of scores; of its candidates, the best scored.

    References
    ----------
    Best-of-N weighted as in Snell et al. 2024, arXiv 2408.03314, section 5.1, after Li et al. 2023.
    """
    if all(candidate.answer is None or candidate.score is None for candidate in candidates):
        return select_by_vote(candidates, rng)
    weights = [candidate.score for candidate in candidates]
    return Selected(_heaviest(candidates, weights, aggregate, rng), "weighted_best_of_n")


def select(rule: Selection, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selected:
    """Select by the rule of that name."""
    if rule == "majority_vote":
        return select_by_vote(candidates, rng)
    if rule == "best_of_n":
        return select_best(candidates, rng)
    return select_weighted(candidates, rng)


def _heaviest(
    candidates: Sequence[Candidate],
    weights: Sequence[float | None],
    aggregate: Aggregate,
    rng: np.random.Generator,
) -> int | None:
    """Return the leading answer's best candidate, or None when nobody votes."""
    members: dict[str, list[tuple[float, int]]] = {}
    for index, (candidate, weight) in enumerate(zip(candidates, weights, strict=True)):
        if candidate.answer is not None and weight is not None:
            members.setdefault(candidate.answer, []).append((weight, index))
    if not members:
        return None
    # fsum rounds once, so that totals, and with them ties, do not depend on the order of arrival.
    totals = {
        answer: fsum(weight for weight, _ in rows)
        if aggregate == "sum"
        else max(weight for weight, _ in rows)
        for answer, rows in members.items()
    }
    top = max(totals.values())
    tied = [answer for answer, total in totals.items() if total == top]
    winner = tied[_any(range(len(tied)), rng)]
    best = max(weight for weight, _ in members[winner])
    return next(index for weight, index in members[winner] if weight == best)


def _any(positions: Sequence[int], rng: np.random.Generator) -> int:
    return positions[0] if len(positions) == 1 else positions[int(rng.integers(len(positions)))]
