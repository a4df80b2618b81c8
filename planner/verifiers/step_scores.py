"""Scores of completions with the score of each step, and the split of a whole text into steps.

It knows nothing of models or formats. Giving scores is left to `planner.verifiers.process_reward`, keeping
them to `planner.collection.shard`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self, final

from planner.ports.ports import Scores


@final
class StepScores(Scores):
    """Scores of completions with those of their steps.

    Parameters
    ----------
    values : iterable of float
        One score per completion.
    verifier_tokens, tokens_each
        As in `planner.ports.ports.Scores`.
    steps : sequence of sequence of float
        The scores of each completion's steps.

    Examples
    --------
    >>> scores = StepScores([0.2], verifier_tokens=7, steps=[[0.9, 0.2]])
    >>> scores[0], scores.steps
    (0.2, ((0.9, 0.2),))
    """

    steps: tuple[tuple[float, ...], ...]

    def __new__(
        cls,
        values: Iterable[float] = (),
        *,
        verifier_tokens: int | None = None,
        tokens_each: Iterable[int] = (),
        steps: Sequence[Sequence[float]] = (),
    ) -> Self:
        scores = super().__new__(cls, values, verifier_tokens=verifier_tokens, tokens_each=tokens_each)
        scores.steps = tuple(tuple(one) for one in steps)
        return scores


def split_steps(text: str, delimiter: str) -> tuple[str, ...]:
    """Cut a text after each delimiter; blank pieces stay with the step before them.

    Parameters
    ----------
    text : str
        A whole completion.
    delimiter : str
        What ends a step, not empty.

    Returns
    -------
    tuple of str
        At least one step; joined, they are the text.

    Examples
    --------
    >>> split_steps("2*3 = 6\\n\\n\\n\\n1+6 = 7\\n\\n", "\\n\\n")
    ('2*3 = 6\\n\\n\\n\\n', '1+6 = 7\\n\\n')
    """
    *ended, rest = text.split(delimiter)
    pieces = [piece + delimiter for piece in ended] + [rest]
    steps: list[str] = []
    for piece in pieces:
        if steps and (not piece.strip() or not steps[-1].strip()):
            steps[-1] += piece
        else:
            steps.append(piece)
    return tuple(steps)
