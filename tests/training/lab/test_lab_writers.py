"""Solutions written as people do: slips near the right result, at the stated rate, consistent afterwards."""

import re
from itertools import pairwise

import numpy as np
import pytest

from training.lab.tasks import LIMITS, draw_problems
from training.lab.writers import SLIPS, write_solution

_APPLY = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def _lines(text):
    """Left value, sign, operand and result of each equation."""
    found = re.findall(r": (\d+)([-+*/])(\d+)=(\d+)", text)
    return [(int(left), sign, int(number), int(result)) for left, sign, number, result in found]


@pytest.mark.parametrize("n_digits", [1, 2, 3])
@pytest.mark.parametrize("n_earlier", [0, 2])
def test_solutions_slip_at_the_stated_rate_and_go_on_from_the_slip(n_digits, n_earlier):
    rng = np.random.default_rng(n_digits)
    slips = []
    for problem in draw_problems(n=2000, seed=1, n_digits=n_digits):
        text = write_solution(problem, rng, n_earlier=n_earlier)
        lines = _lines(text)
        assert len(lines) == problem.n_steps
        assert all(before[3] == after[0] for before, after in pairwise(lines))
        assert all(0 <= result < LIMITS[n_digits] for *_, result in lines)
        assert all(sign != "/" or left % number == 0 for left, sign, number, _ in lines)
        assert text.endswith(f"#### {lines[-1][3]}")
        slips += [_APPLY[sign](left, number) != result for left, sign, number, result in lines]
    # Some slips are not made because the rest would not work out: no sharp lower bound. Five standard errors.
    rate = SLIPS[n_digits] / 2**n_earlier
    error = 5 * np.sqrt(rate / len(slips))
    assert 0.75 * rate - error < np.mean(slips) < rate + error


def test_slips_are_a_digit_off_or_two_digits_swapped():
    rng = np.random.default_rng(0)
    n_slips = 0
    for problem in draw_problems(n=500, seed=2, n_digits=3):
        for left, sign, number, result in _lines(write_solution(problem, rng)):
            right = _APPLY[sign](left, number)
            n_slips += right != result
            width = len(str(right))
            assert abs(right - result) in (0, 1, 10, 100) or sorted(str(right)) == sorted(
                f"{result:0{width}d}"
            )
    assert n_slips > 100


def test_solutions_depend_on_the_random_stream_alone():
    (problem,) = draw_problems(n=1, seed=3, n_steps=6, n_digits=3)
    first, second = (
        [write_solution(problem, rng) for _ in range(20)] for rng in map(np.random.default_rng, (7, 7))
    )
    assert first == second
    assert len(set(first)) > 5
