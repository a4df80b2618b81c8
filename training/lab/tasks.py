"""Draw word problems whose difficulty is in plain sight: the number of steps and of digits.

A problem is a chain of additions, subtractions, multiplications and exact divisions on one quantity, told in
words with numbers in digits and, now and then, in words. Every number stays below `LIMITS`, so that a model
this small can learn most of the arithmetic; what it makes of a problem is left to the rest of the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from difficulty.errors import InvalidInputError

ANSWER_MARK = "#### "
"""Stands before the final answer, as in GSM8K."""

STEP_DELIMITER = "\n"
"""Ends every step of a solution."""

MAX_STEPS = 6
MAX_DIGITS = 3

LIMITS = {1: 20, 2: 100, 3: 1000}
"""Every value of a problem with so many digits is at least 0 and below this."""

_NAMES = (
    ("Emma", "She"), ("Liam", "He"), ("Olivia", "She"), ("Noah", "He"), ("Mia", "She"), ("Lucas", "He"),
    ("Sofia", "She"), ("Omar", "He"), ("Yuki", "She"), ("Ivan", "He"), ("Aisha", "She"), ("Leo", "He"),
    ("Nina", "She"), ("Ravi", "He"), ("Clara", "She"), ("Hugo", "He"),
)  # fmt: skip
_ITEMS = (
    "books", "apples", "coins", "stamps", "marbles", "cards", "shells", "pens",
    "cups", "seeds", "beads", "tiles", "ropes", "lamps", "bricks", "kites",
)  # fmt: skip
# No verb stands twice in a problem: each step names its sentence by the verb.
_ADD = ("buys", "finds", "gets", "wins", "makes", "adds", "earns", "takes")
_SUBTRACT = ("loses", "sells", "drops", "breaks", "gives", "lends", "burns", "mails")
_MULTIPLY = ("grows", "repeats", "copies", "scales", "raises", "stacks")
_DIVIDE = ("splits", "shares", "divides", "parts", "cuts", "deals")
_TELL = {"+": "{}", "-": "{}", "*": "it {} times", "/": "it {} ways"}
_WORDS = {
    2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten",
    11: "eleven", 12: "twelve",
}  # fmt: skip
_P_WORD = 0.3  # share of the small operands that are written as words
_WEIGHTS = {"+": 0.4, "-": 0.3, "*": 0.2, "/": 0.1}


@dataclass(frozen=True, kw_only=True, slots=True)
class WordProblem:
    """A word problem and its solution.

    Parameters
    ----------
    text : str
        The problem as a model sees it, without an instruction about style.
    actions : tuple of str
        What happens in each step, in the problem's words, e.g. ``"grows 7"``.
    equations : tuple of str
        One equation per step, e.g. ``"68*7=476"``.
    answer : int
        Final value, at least 0.
    n_digits : int
        Digits of the operands, 1 to 3.

    Examples
    --------
    >>> problem = draw_problems(n=1, n_steps=2, n_digits=1, seed=0)[0]
    >>> len(problem.equations), problem.steps[-1] == f"#### {problem.answer}"
    (2, True)
    """

    text: str
    actions: tuple[str, ...]
    equations: tuple[str, ...]
    answer: int
    n_digits: int

    @property
    def n_steps(self) -> int:
        """Number of operations."""
        return len(self.equations)

    @property
    def steps(self) -> tuple[str, ...]:
        """Lines of the step-by-step solution, the answer's line last, without delimiters."""
        lines = (
            f"{action}: {equation}" for action, equation in zip(self.actions, self.equations, strict=True)
        )
        return (*lines, self.direct)

    @property
    def solution(self) -> str:
        """Step-by-step solution."""
        return STEP_DELIMITER.join(self.steps)

    @property
    def direct(self) -> str:
        """Solution of the direct style: the answer's line alone."""
        return f"{ANSWER_MARK}{self.answer}"


def draw_problems(
    *,
    n: int,
    seed: int,
    n_steps: int | Sequence[int] | None = None,
    n_digits: int | Sequence[int] | None = None,
) -> tuple[WordProblem, ...]:
    """Draw problems.

    Parameters
    ----------
    n : int
        How many, at least 0.
    seed : int
        Seed; the same arguments give the same problems.
    n_steps, n_digits : int or sequence of int, optional
        Difficulty of all, or the values to draw from uniformly; 1 to 6 steps and 1 to 3 digits by default.

    Returns
    -------
    tuple of WordProblem
        The problems, repeats possible at the easiest settings.

    Raises
    ------
    InvalidInputError
        When a number of steps or digits is out of range.
    """
    steps = _choices("n_steps", n_steps, MAX_STEPS)
    digits = _choices("n_digits", n_digits, MAX_DIGITS)
    rng = np.random.default_rng(seed)
    return tuple(
        draw_problem(rng, n_steps=steps[rng.integers(len(steps))], n_digits=digits[rng.integers(len(digits))])
        for _ in range(n)
    )


def draw_cells(n: int, *, seed: int) -> tuple[WordProblem, ...]:
    """Draw `n` problems of each number of digits and steps, together."""
    return tuple(
        problem
        for digits in range(1, MAX_DIGITS + 1)
        for steps in range(1, MAX_STEPS + 1)
        for problem in draw_problems(n=n, seed=seed, n_steps=steps, n_digits=digits)
    )


def draw_problem(rng: np.random.Generator, *, n_steps: int, n_digits: int) -> WordProblem:
    """Draw one problem of the given difficulty from a random stream."""
    name, pronoun = _NAMES[rng.integers(len(_NAMES))]
    items = _ITEMS[rng.integers(len(_ITEMS))]
    low, high, limit = max(2, 10 ** (n_digits - 1)), 10**n_digits, LIMITS[n_digits]
    value = int(rng.integers(low, high))
    text, actions, equations = [f"{name} has {value} {items}."], [], []
    verbs = {"+": list(_ADD), "-": list(_SUBTRACT), "*": list(_MULTIPLY), "/": list(_DIVIDE)}
    for _ in range(n_steps):
        operand = int(rng.integers(low, high))
        factor = int(rng.integers(2, 10))
        results = {
            "+": (operand, value + operand),
            "-": (operand, value - operand),
            "*": (factor, value * factor),
            "/": (factor, value // factor if value and value % factor == 0 else -1),
        }
        possible = [sign for sign, (_, result) in results.items() if 0 <= result < limit]
        if not possible:  # one too large to add to and too small to take from: take a smaller operand away
            operand = int(rng.integers(1, value + 1))
            results["-"], possible = (operand, value - operand), ["-"]
        weights = np.array([_WEIGHTS[sign] for sign in possible])
        sign = possible[int(rng.choice(len(possible), p=weights / weights.sum()))]
        number, result = results[sign]
        verb = verbs[sign].pop(int(rng.integers(len(verbs[sign]))))
        said = _WORDS[number] if number in _WORDS and rng.random() < _P_WORD else str(number)
        text.append(f"{pronoun} {verb} {_TELL[sign].format(said)}.")
        actions.append(f"{verb} {said}")
        equations.append(f"{value}{sign}{number}={result}")
        value = result
    text.append("How many now?")
    return WordProblem(
        text=" ".join(text),
        actions=tuple(actions),
        equations=tuple(equations),
        answer=value,
        n_digits=n_digits,
    )


def grade(problem: WordProblem, completion: str) -> bool:
    """Tell whether a completion ends in the right answer; one without a complete answer line is wrong.

    Examples
    --------
    >>> problem = draw_problems(n=1, n_steps=1, n_digits=1, seed=0)[0]
    >>> grade(problem, problem.solution), grade(problem, "no idea")
    (True, False)
    """
    last = completion.rstrip(STEP_DELIMITER).rsplit(STEP_DELIMITER, 1)[-1]
    return last == problem.direct


def vocabulary_texts() -> tuple[str, ...]:
    """Return texts that hold every word which a problem can use, to build a tokenizer from."""
    people = [
        f"{name} has 4 {items}. {pronoun} a" for (name, pronoun), items in zip(_NAMES, _ITEMS, strict=True)
    ]
    said = [f"{verb} it 4 times. " for verb in (*_ADD, *_SUBTRACT, *_MULTIPLY)]
    split = [f"{verb} it {word} ways. {word}: {word}." for verb in _DIVIDE for word in _WORDS.values()]
    return (*people, *said, *split, "How many now? a")


def _choices(name: str, given: int | Sequence[int] | None, highest: int) -> tuple[int, ...]:
    values = tuple(range(1, highest + 1) if given is None else np.atleast_1d(given).tolist())
    if not values or min(values) < 1 or max(values) > highest:
        raise InvalidInputError(f"{name} must lie between 1 and {highest}, got {given!r}")
    return values
