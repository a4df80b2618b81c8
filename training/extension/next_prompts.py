"""Which prompts to label next: those whose labels would tell most about all the others.

Where graded answers of other generators tell, what is left to learn are answers that nobody graded: prompts
come first on which the new generator gave such answers, as it did on many like them. Otherwise the kernel of
the process alone decides. Labels play no part in either, and what labelling costs is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.prompt import Prompt
from training.extension.factors import Fit, Places, likeness

# Variance of a verdict, in units of how much kinds of prompts differ by (`training.extension.known_answers`).
_NOISE: Final = 3.0
# Prompts that are weighed against each other: of more, some in even steps; memory grows as their square.
_MOST_ASKED: Final = 3000


class Asked(NamedTuple):
    """Prompts that could be labelled, each once, none that is labelled already.

    Attributes
    ----------
    prompts : tuple of Prompt
        All of them.
    drawn : sequence of Prompt
        P prompts of which there are samples.
    labelled : ndarray of bool, shape (P,)
        Which of these are labelled.
    unknown : ndarray of float64, shape (P,), or None
        How much is unknown of their samples; None where graded answers of others tell nothing.
    """

    prompts: tuple[Prompt, ...]
    drawn: Sequence[Prompt]
    labelled: NDArray[np.bool_]
    unknown: FloatArray | None

    @classmethod
    def of(
        cls,
        candidates: Sequence[Prompt],
        drawn: Sequence[Prompt],
        labelled: NDArray[np.bool_],
        unknown: FloatArray | None,
    ) -> Self:
        """Return candidates, by default what was drawn."""
        done = {prompt.id for prompt, known in zip(drawn, labelled, strict=True) if known}
        open_to = {prompt.id: prompt for prompt in candidates or drawn if prompt.id not in done}
        return cls(tuple(open_to.values()), drawn, labelled, unknown)

    def first(self, fit: Fit, n: int) -> tuple[str, ...]:
        """Return the ids of at most n of them, the most telling first."""
        prompts, chosen = self.prompts, []
        if not n:
            return ()
        if self.unknown is not None:
            among = {prompt.id for prompt in prompts}
            open_to = np.array([prompt.id in among for prompt in self.drawn], dtype=bool)
            rows = next_answers(fit.factors.place(self.drawn), self.unknown, self.labelled, open_to, n)
            chosen = [self.drawn[row].id for row in rows]
            known = {prompt.id for prompt in self.drawn}
            prompts = tuple(prompt for prompt in prompts if prompt.id not in known)
        prompts = tuple(prompts[at] for at in _some(np.arange(len(prompts))))
        more = min(n - len(chosen), len(prompts))
        if more:
            chosen += [prompts[row].id for row in next_prompts(fit, fit.factors.place(prompts), more)]
        return tuple(chosen)


def next_prompts(fit: Fit, candidates: Places, n: int) -> list[int]:
    """Return the rows of n candidates, the most telling first.

    Parameters
    ----------
    fit : Fit
        What is known already.
    candidates : Places
        N prompts.
    n : int
        At most N.

    Notes
    -----
    Greedy: each time the candidate whose label takes most off the summed variance of all candidates, given
    the labels before it. Krause, Singh, Guestrin 2008, JMLR 9, for the greedy choice of sensors.
    """
    cross = fit.factors.kernel(candidates, fit.places)
    covariance = fit.factors.kernel(candidates, candidates) - cross @ fit.inverse @ cross.T
    noise = np.ones(len(covariance))
    return _greedy(covariance, noise, np.ones(len(covariance), dtype=bool), n)


def next_answers(
    places: Places,
    unknown: FloatArray,
    labelled: NDArray[np.bool_],
    open_to: NDArray[np.bool_],
    n: int,
) -> list[int]:
    """Return the rows of at most n prompts whose unknown answers tell most about those of the others.

    Parameters
    ----------
    places : Places
        Of P prompts that were drawn.
    unknown : ndarray of float64, shape (P,)
        How much is unknown of their samples (`training.extension.known_answers`).
    labelled, open_to : ndarray of bool, shape (P,)
        Which are labelled already, and which can be.
    n : int
        How many to name.

    Notes
    -----
    Greedy as in `next_prompts`: what is uncertain of a prompt is how much more often than foretold answers
    that nobody else gave are right on prompts like it, times how much is unknown of its samples.
    """
    rows = _some(np.flatnonzero(unknown > 0))
    weight, like = unknown[rows], places.take(rows)
    covariance, noise = likeness(like, like) * np.outer(weight, weight), _NOISE * weight
    for row in np.flatnonzero(labelled[rows]).tolist():
        covariance -= _told(covariance, row, float(noise[row]))
    asked = open_to[rows] & ~labelled[rows]
    return [int(rows[row]) for row in _greedy(covariance, noise, asked, min(n, int(asked.sum())))]


def _some(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return all rows, or of many some in even steps."""
    if len(rows) <= _MOST_ASKED:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_ASKED).astype(np.intp)]


def _told(covariance: FloatArray, row: int, noise: float) -> FloatArray:
    column = covariance[:, row]
    return np.outer(column, column) / (max(float(column[row]), 0.0) + noise)


def _greedy(covariance: FloatArray, noise: FloatArray, open_to: NDArray[np.bool_], n: int) -> list[int]:
    """Return n rows, each the one whose label takes most off the summed variance; `covariance` is used up."""
    chosen: list[int] = []
    open_to = open_to.copy()
    for _ in range(n):
        gain = np.square(covariance).sum(axis=0) / (np.diag(covariance).clip(0.0) + noise)
        best = int(np.where(open_to, gain, -np.inf).argmax())
        chosen.append(best)
        open_to[best] = False
        covariance -= _told(covariance, best, float(noise[best]))
    return chosen
