"""Made-up prompts: how likely answers agree just so, and what that says of a batch."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import factorial, prod

import numpy as np
import pytest

from planner.planning.cold_start import ColdStart
from planner.planning.made_up import MadeUp, Votes
from planner.planning.untrained import cold_start

MADE_UP = MadeUp.of(2)


def likelihood(made_up: MadeUp, generator: int, votes: Votes) -> np.ndarray:
    seen = [Votes((), 0), Votes((), 0)]
    seen[generator] = votes
    return made_up._likelihood(seen)


def test_votes_are_counted_whatever_the_answers_are_called() -> None:
    assert Votes.of(["b", None, "a", "b"]) == Votes.of(["x", "x", None, "y"]) == Votes((2, 1), 1)
    assert Votes.of([]) == Votes((), 0)


def test_the_first_answers_are_read_since_ways_to_agree_multiply() -> None:
    answers = [str(at // size) + str(size) for size in range(1, 16) for at in range(size)]
    assert len(answers) == 120 and Votes.of(answers) == Votes.of(answers[:32])


@pytest.mark.parametrize("generator", [0, 1])
def test_chances_of_all_ways_to_agree_sum_to_one(generator: int) -> None:
    found = set[Votes]()
    for answers in product(["a", "b", "c", "d", None], repeat=4):
        found.add(Votes.of(answers))
    total = np.zeros(len(MADE_UP.unique))
    for votes in found:
        ways = factorial(4) / factorial(votes.silent) / prod(map(factorial, votes.counts))
        total += ways * likelihood(MADE_UP, generator, votes)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def test_the_chance_is_that_of_enumeration() -> None:
    made_up = MadeUp(
        repeated=np.array([[[0.4, 0.2, 0.1]]]), unique=np.array([[0.2]])
    )  # and a tenth without an answer
    chance = Counter[Votes]()
    for drawn in product(range(5), repeat=5):
        answers = [None if k == 4 else f"own {at}" if k == 3 else str(k) for at, k in enumerate(drawn)]
        chance[Votes.of(answers)] += prod((0.4, 0.2, 0.1, 0.2, 0.1)[k] for k in drawn)
    for votes, expected in chance.items():
        ways = factorial(5) / factorial(votes.silent) / prod(map(factorial, votes.counts))
        assert ways * made_up._likelihood([votes])[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("votes", "dearer"), [(Votes((1,) * 6, 0), True), (Votes((2,), 0), False)])
def test_agreement_says_what_agreeing_costs(votes: Votes, dearer: bool) -> None:
    start = ColdStart.of(cold_start(["one"], objective="accuracy", output_tokens_per_sample=1.0))
    assert start is not None
    table = start.bundle.table
    column = [str(course) for course in table.courses].index("one x2, one x1 30 times; vote; until 2 agree")
    samples = table.samples[:, table.slots.of(column)][:, 0]
    cost = [float(start.made_up.weights([[votes]] * n) @ samples) for n in (0, 3, 30)]
    assert (cost[0] < cost[1] < cost[2]) if dearer else (cost[0] > cost[1] > cost[2])
    assert cost[2] > 6 if dearer else cost[2] < 3


def test_what_no_made_up_prompt_does_changes_nothing() -> None:
    never = MadeUp(repeated=np.array([[[0.5, 0.5]], [[0.9, 0.1]]]), unique=np.zeros((2, 1)))
    np.testing.assert_allclose(never.weights([[Votes((1, 1, 1), 0)]]), 0.5)
