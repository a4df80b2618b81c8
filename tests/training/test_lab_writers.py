"""Solutions written as people do: slips at the stated rate, consistent afterwards, mostly mended."""

import re
from itertools import pairwise

import numpy as np
import pytest

from training.lab.tasks import LIMITS, draw_problems, grade
from training.lab.writers import OVERLOOKED, SLIPS, write_first_answer, write_revision

_APPLY = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def _lines(text):
    """Left value, sign, operand and result of each equation."""
    found = re.findall(r": (\d+)([-+*/])(\d+)=(\d+)", text)
    return [(int(left), sign, int(number), int(result)) for left, sign, number, result in found]


def _slipped(text):
    return [_APPLY[sign](left, number) != result for left, sign, number, result in _lines(text)]


@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_first_answers_slip_at_most_as_often_as_stated_and_go_on_from_the_slip(n_digits):
    rng = np.random.default_rng(n_digits)
    problems = draw_problems(n=4000, seed=1, n_digits=n_digits)
    written = [write_first_answer(problem, rng) for problem in problems]
    for problem, text in zip(problems, written, strict=True):
        lines = _lines(text)
        assert len(lines) == problem.n_steps
        assert all(before[3] == after[0] for before, after in pairwise(lines))
        assert all(0 <= result < LIMITS[n_digits] for *_, result in lines)
        assert all(sign != "/" or left % number == 0 for left, sign, number, _ in lines)
        assert text.endswith(f"#### {lines[-1][3]}")
    slips = np.concatenate([_slipped(text) for text in written])
    # A slip after which the rest would not work out is not made: 0.75 of the rate is the least, five standard
    # errors of about 14,000 equations above the rate the most.
    assert 0.75 * SLIPS[n_digits] < slips.mean() < SLIPS[n_digits] + 5 * np.sqrt(SLIPS[n_digits] / len(slips))


def test_slips_are_near_the_right_result():
    rng = np.random.default_rng(0)
    for problem in draw_problems(n=500, seed=2, n_digits=3):
        for left, sign, number, result in _lines(write_first_answer(problem, rng)):
            right = _APPLY[sign](left, number)
            near = abs(right - result) in (0, 1, 10, 100)
            assert near or sorted(str(right)) == sorted(f"{result:0{len(str(right))}d}")


def test_a_right_attempt_is_kept_word_for_word():
    rng = np.random.default_rng(0)
    for problem in draw_problems(n=200, seed=3):
        assert write_revision(problem, problem.solution, rng) == problem.solution


def test_a_wrong_last_step_is_overlooked_at_the_stated_rate():
    # Binomial with 3,000 draws: five standard errors, a false alarm less than once in a million.
    rng = np.random.default_rng(0)
    (problem,) = draw_problems(n=1, seed=4, n_steps=3, n_digits=2)
    head, _, last = problem.steps[-2].rpartition("=")
    wrong = int(last) + 1
    attempt = "\n".join((*problem.steps[:-2], f"{head}={wrong}", f"#### {wrong}"))
    revisions = [write_revision(problem, attempt, rng) for _ in range(3000)]
    assert set(revisions) == {attempt, problem.solution}
    share = revisions.count(attempt) / len(revisions)
    assert abs(share - OVERLOOKED) < 5 * np.sqrt(OVERLOOKED * (1 - OVERLOOKED) / len(revisions))


@pytest.mark.parametrize("attempt", ["", "#### 7", "no idea\n\nat all", "buys 4: 1+1=99999999999"])
def test_an_attempt_that_cannot_be_read_is_calculated_anew(attempt):
    rng = np.random.default_rng(0)
    for problem in draw_problems(n=50, seed=5):
        revision = write_revision(problem, attempt, rng)
        assert len(_lines(revision)) == problem.n_steps
        assert all(0 <= result < LIMITS[problem.n_digits] for *_, result in _lines(revision))


def test_revising_again_and_again_leads_to_the_right_answer():
    rng = np.random.default_rng(0)
    problems = draw_problems(n=1000, seed=6)
    texts = [write_first_answer(problem, rng) for problem in problems]
    shares = []
    for _ in range(4):
        shares.append(np.mean([grade(p, text) for p, text in zip(problems, texts, strict=True)]))
        texts = [write_revision(p, text, rng) for p, text in zip(problems, texts, strict=True)]
    assert shares == sorted(shares)
    assert shares[-1] - shares[0] > 0.15
