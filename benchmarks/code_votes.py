"""What votes over programs gain when programs vote by their outputs, against votes by their text.

Small real programs (`small_programs.txt`), right ones and ones with usual mistakes, run on generated inputs;
who draws which of them how often is planted. Both ways, and one sample, are compared on the same draws;
running the programs is timed, too.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from difficulty.arithmetic.arrays import FloatArray
from difficulty.prompt import Prompt
from planner.verifiers.program_outputs import ProgramOutputs

_WIDTHS: Final = (1, 3, 5, 9)
# How often the mistakes of a task are made, the most frequent first.
_MISTAKES: Final = (0.5, 0.25, 0.15, 0.1)
# Success rates of prompts: as many easy as hard ones.
_RATES: Final = (1.5, 1.5)


class Task(NamedTuple):
    """A prompt that shows a function, calls with what they must return, and programs.

    Attributes
    ----------
    prompt : str
    tests : tuple
        Arguments, and what must come out.
    right, wrong : tuple of str
        The most frequent mistakes first.
    """

    prompt: str
    tests: tuple[tuple[tuple[Any, ...], Any], ...]
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def tasks() -> list[Task]:
    """Read the tasks: parts that start with ``=== task``, ``tests``, ``right`` or ``wrong``."""
    found = []
    for block in Path(__file__).with_name("small_programs.txt").read_text().split("=== task\n")[1:]:
        prompt, *rest = block.split("=== ")
        parts: dict[str, list[str]] = {"tests": [], "right": [], "wrong": []}
        for part in rest:
            name, _, text = part.partition("\n")
            parts[name].append(text.rstrip())
        tests = tuple(ast.literal_eval(line) for line in parts["tests"][0].splitlines())
        found.append(Task(prompt, tests, tuple(parts["right"]), tuple(parts["wrong"])))
    return found


class Ballots(NamedTuple):
    """The programs of a task, as they vote.

    Attributes
    ----------
    text, outputs : tuple of str or None
        What each program votes for, right ones first; None abstains.
    n_right : int
        How many are right.
    """

    text: tuple[str | None, ...]
    outputs: tuple[str | None, ...]
    n_right: int


def ballots(task: Task) -> Ballots:
    """Run the programs of a task."""
    rule = ProgramOutputs(allow_execution=True).fresh(Prompt(text=task.prompt))
    programs = (*task.right, *task.wrong)
    return Ballots(
        text=tuple("\n".join(line.rstrip() for line in program.splitlines()) for program in programs),
        outputs=tuple(rule.extract(f"```python\n{program}\n```", "stop") for program in programs),
        n_right=len(task.right),
    )


def voted(
    known: Sequence[Ballots], *, n_prompts: int, widths: Sequence[int] = _WIDTHS, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Return whether the vote of some prompts was right, by text and by outputs, each (P, W).

    Every prompt is one of the tasks with a success rate of its own; its right programs are equally frequent.
    Ties are broken by lot.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((2, n_prompts, len(widths)))
    for row in range(n_prompts):
        mine = known[row % len(known)]
        n_wrong = len(mine.text) - mine.n_right
        mistakes = np.array(_MISTAKES[:n_wrong]) / sum(_MISTAKES[:n_wrong])
        rate = rng.beta(*_RATES)
        chances = np.concatenate([np.full(mine.n_right, rate / mine.n_right), (1 - rate) * mistakes])
        drawn = rng.choice(len(chances), size=max(widths), p=chances)
        order = rng.permutation(max(widths))
        for how, votes in enumerate((mine.text, mine.outputs)):
            for column, width in enumerate(widths):
                found[how, row, column] = _winner(votes, drawn[:width], order) < mine.n_right
    return found[0], found[1]


def _winner(votes: tuple[str | None, ...], drawn: NDArray[np.int64], order: NDArray[np.int64]) -> float:
    """Return the program that is answered with; infinite where all abstain."""
    cast = [votes[at] for at in drawn]
    counts = {vote: cast.count(vote) for vote in cast if vote is not None}
    if not counts:
        return np.inf
    most = max(counts.values())
    tied = [place for place in range(len(drawn)) if cast[place] is not None and counts[cast[place]] == most]
    return float(drawn[min(tied, key=lambda place: order[place])])


def _agreements(known: Sequence[Ballots]) -> tuple[float, float, float]:
    """Return shares of pairs of one task with equal outputs: two right ones, one of each, two wrong ones."""
    same: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for mine in known:
        for one, other in combinations(range(len(mine.outputs)), 2):
            kind = (one >= mine.n_right) + (other >= mine.n_right)
            same[kind].append(mine.outputs[one] is not None and mine.outputs[one] == mine.outputs[other])
    return float(np.mean(same[0])), float(np.mean(same[1])), float(np.mean(same[2]))


def main(argv: Sequence[str] | None = None) -> None:
    """Print accuracies of both votes at equal samples, with standard errors of their difference.

    Parameters
    ----------
    argv : sequence of str, optional
        ``--quick`` for fewer prompts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(argv)
    start = perf_counter()
    known = [ballots(task) for task in tasks()]
    n_programs = sum(len(mine.text) for mine in known)
    each = (perf_counter() - start) / n_programs
    text, outputs = voted(known, n_prompts=400 if arguments.quick else 4000)
    table = Table(
        "samples", "vote by text", "vote by outputs", "gain", title="Accuracy of votes over programs"
    )
    for column, width in enumerate(_WIDTHS):
        gain = outputs[:, column] - text[:, column]
        table.add_row(
            str(width),
            f"{text[:, column].mean():.3f}",
            f"{outputs[:, column].mean():.3f}",
            f"{gain.mean():+.3f} ± {1.96 * gain.std() / np.sqrt(len(gain)):.3f}",
        )
    console = Console()
    console.print(table)
    right, mixed, wrong = _agreements(known)
    console.print(
        f"{n_programs} programs of {len(known)} tasks; equal outputs: {right:.0%} of the pairs of right "
        f"programs, {mixed:.0%} of those of a right and a wrong one, {wrong:.0%} of those of two wrong ones; "
        f"{each:.2f} s to run one"
    )


if __name__ == "__main__":
    main()
