"""Write solutions as people do: with slips, fewer of them each time the problem is gone through again.

A first answer is right only as far as its writer was careful: now and then a result is a digit off or has
two digits swapped, and the solution goes on from there. The model that learns from such texts knows the right
result and still samples slips, which is what votes, verifiers, searches and revisions are for. Solutions
without slips are left to `training.lab.tasks`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.lab.tasks import ANSWER_MARK, LIMITS, STEP_DELIMITER, WordProblem

SLIPS = {1: 0.05, 2: 0.12, 3: 0.20}
"""Share of equations that go wrong in first answers, by digits of the problem."""

_EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


class _Operation(NamedTuple):
    sign: str
    number: int

    def result(self, value: int) -> int:
        """Return the result, or -1 where a quantity cannot be divided evenly."""
        if self.sign == "/":
            return value // self.number if value % self.number == 0 else -1
        change = {"+": value + self.number, "-": value - self.number, "*": value * self.number}
        return change[self.sign]


def write_solution(problem: WordProblem, rng: np.random.Generator, *, n_earlier: int = 0) -> str:
    """Write a step-by-step solution with slips.

    Parameters
    ----------
    problem : WordProblem
        The problem.
    rng : numpy.random.Generator
        Draws the slips.
    n_earlier : int
        Attempts that the writer has before them, at least 0; each halves the chance of a slip in `SLIPS`. A
        slip after which the rest could not be calculated is not made.

    Examples
    --------
    >>> from training.lab.tasks import draw_problems
    >>> (problem,) = draw_problems(n=1, seed=6, n_steps=1, n_digits=2)
    >>> written = {write_solution(problem, np.random.default_rng(seed)) for seed in range(40)}
    >>> problem.solution in written, len(written) > 1
    (True, True)
    """
    parsed = [match.groups() for match in map(_EQUATION.fullmatch, problem.equations) if match]
    operations = [_Operation(sign, int(number)) for _, sign, number, _ in parsed]
    chance, limit = SLIPS[problem.n_digits] / 2**n_earlier, LIMITS[problem.n_digits]
    value = int(parsed[0][0])
    lines = []
    for step, (action, operation) in enumerate(zip(problem.actions, operations, strict=True)):
        result = operation.result(value)
        if rng.random() < chance:
            result = _slip(result, operations[step + 1 :], limit, rng)
        lines.append(f"{action}: {value}{operation.sign}{operation.number}={result}")
        value = result
    return STEP_DELIMITER.join((*lines, f"{ANSWER_MARK}{value}"))


def _slip(right: int, later: Sequence[_Operation], limit: int, rng: np.random.Generator) -> int:
    """Return a number near the right one with which the later operations still work out, or the right one."""
    digits = str(right)
    near = [right + sign * 10**place for place in range(len(digits)) for sign in (-1, 1)]
    swapped = [int(digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]) for i in range(len(digits) - 1)]
    possible = [found for found in sorted({*near, *swapped} - {right}) if _can_go_on(found, later, limit)]
    return possible[int(rng.integers(len(possible)))] if possible else right


def _can_go_on(value: int, operations: Sequence[_Operation], limit: int) -> bool:
    """Tell whether all further results are whole numbers from 0 to below the limit."""
    for operation in operations:
        if not 0 <= value < limit:
            return False
        value = operation.result(value)
    return 0 <= value < limit
