"""Write solutions as people do: with slips, which a second reading mostly finds.

A first answer is right only as far as its writer was careful: now and then a result is a digit off or has
two digits swapped, and the solution goes on from there. A revision keeps what is right, overlooks some slips,
and calculates the rest anew. The model that learns from such texts knows the right result and still samples
slips, which is what votes, verifiers, searches and revisions are for. Clean solutions are left to
`training.lab.tasks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from training.lab.tasks import ANSWER_MARK, LIMITS, STEP_DELIMITER, WordProblem

__all__ = ["OVERLOOKED", "SLIPS", "write_first_answer", "write_revision"]

SLIPS = {1: 0.05, 2: 0.12, 3: 0.20}
"""Share of equations that go wrong in first answers, by digits of the problem; half of it in revisions."""

OVERLOOKED = 0.4
"""Share of the wrong results in an attempt that its revision keeps."""

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


def write_first_answer(problem: WordProblem, rng: np.random.Generator) -> str:
    """Write a step-by-step solution in which each equation slips with the chance in `SLIPS`.

    Examples
    --------
    >>> from training.lab.tasks import draw_problems
    >>> (problem,) = draw_problems(n=1, seed=6, n_steps=1, n_digits=2)
    >>> written = {write_first_answer(problem, np.random.default_rng(seed)) for seed in range(40)}
    >>> problem.solution in written, len(written) > 1
    (True, True)
    """

    def result(step: int, value: int, operations: Sequence[_Operation]) -> int:
        return _maybe_slip(value, operations, SLIPS[problem.n_digits], LIMITS[problem.n_digits], rng)

    return _write(problem, result)


def write_revision(problem: WordProblem, attempt: str, rng: np.random.Generator) -> str:
    """Write a solution after reading an attempt, whose slips are found but for the share `OVERLOOKED`.

    Parameters
    ----------
    problem : WordProblem
        The problem.
    attempt : str
        A step-by-step solution. A line of it counts where it stands in its place and calculates with the
        quantity that the revision has reached; elsewhere the revision calculates anew, at half the rate of
        slips.
    rng : numpy.random.Generator
        Draws what is overlooked and what goes wrong.

    Examples
    --------
    >>> from training.lab.tasks import draw_problems
    >>> (problem,) = draw_problems(n=1, seed=6, n_steps=4, n_digits=2)
    >>> write_revision(problem, problem.solution, np.random.default_rng(0)) == problem.solution
    True
    """
    lines = attempt.split(STEP_DELIMITER)
    limit = LIMITS[problem.n_digits]

    def result(step: int, value: int, operations: Sequence[_Operation]) -> int:
        operation = operations[0]
        right = operation.result(value)
        opening = f"{problem.actions[step]}: {value}{operation.sign}{operation.number}="
        line = lines[step] if step < len(lines) else ""
        written = line.removeprefix(opening)
        if written == line or not written.isdecimal() or len(written) > len(str(limit)):
            return _maybe_slip(value, operations, SLIPS[problem.n_digits] / 2, limit, rng)
        read = int(written)
        if read != right and rng.random() < OVERLOOKED and _can_go_on(read, operations[1:], limit):
            return read
        return right

    return _write(problem, result)


def _write(problem: WordProblem, result: Callable[[int, int, Sequence[_Operation]], int]) -> str:
    """Write the lines; `result` takes the step, the quantity before it and the operations from it on."""
    parsed = [match.groups() for match in map(_EQUATION.fullmatch, problem.equations) if match]
    operations = [_Operation(sign, int(number)) for _, sign, number, _ in parsed]
    value = int(parsed[0][0])
    lines = []
    for step, (action, operation) in enumerate(zip(problem.actions, operations, strict=True)):
        found = result(step, value, operations[step:])
        lines.append(f"{action}: {value}{operation.sign}{operation.number}={found}")
        value = found
    return STEP_DELIMITER.join((*lines, f"{ANSWER_MARK}{value}"))


def _maybe_slip(
    value: int, operations: Sequence[_Operation], chance: float, limit: int, rng: np.random.Generator
) -> int:
    """Return the result of the first operation, or something near it with which the others still work out."""
    right = operations[0].result(value)
    if rng.random() >= chance:
        return right
    near = [right + sign * 10**place for place in range(len(str(right))) for sign in (-1, 1)]
    digits = str(right)
    swapped = [int(digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]) for i in range(len(digits) - 1)]
    possible = [
        found for found in sorted({*near, *swapped} - {right}) if _can_go_on(found, operations[1:], limit)
    ]
    return possible[int(rng.integers(len(possible)))] if possible else right


def _can_go_on(value: int, operations: Sequence[_Operation], limit: int) -> bool:
    """Tell whether all further results are whole numbers from 0 to below the limit."""
    for operation in operations:
        if not 0 <= value < limit:
            return False
        value = operation.result(value)
    return 0 <= value < limit
