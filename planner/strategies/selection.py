"""Pick one candidate: the places that a decision leaves tied, and one of them by seed.

Who is tied is decided by `policies.course.decide`, for courses and for searches alike; ties are broken
uniformly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from planner.ports.outcome import Candidate
from policies.course.decide import Draw, decide
from policies.course.selection import PLAIN_VOTE, Selection

SelectionRule: TypeAlias = Literal["majority_vote", "best_of_n", "weighted_best_of_n"]

_RULES: Final = {
    "majority_vote": PLAIN_VOTE,
    "best_of_n": Selection(by="best", signal="score"),
    "weighted_best_of_n": Selection(signal="score"),
}


class Selected(NamedTuple):
    """Position of the selected candidate, None without one, and the rule that selected it."""

    position: int | None
    rule: str


def select(rule: SelectionRule, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selected:
    """Select among candidates of one generator by the rule of that name, and their scores.

    Examples
    --------
    >>> votes = [Candidate(text=t, answer=t, status="ok") for t in ("41", "42", "42")]
    >>> select("majority_vote", votes, np.random.default_rng(0))
    Selected(position=1, rule='majority_vote')
    """
    return select_draws(_RULES[rule], [Draw("", one.answer, one.score) for one in candidates], rng)


def select_draws(selection: Selection, draws: Sequence[Draw], rng: np.random.Generator) -> Selected:
    """Select among draws, which stand in the order in which they were asked for."""
    tied, by_signal = decide(selection, draws)
    if not tied:
        return Selected(None, "none")
    rule = "majority_vote"
    if by_signal:
        rule = "best_of_n" if selection.by == "best" else "weighted_best_of_n"
    return Selected(tied[0 if len(tied) == 1 else int(rng.integers(len(tied)))], rule)
