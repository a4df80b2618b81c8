"""Word problems of the lab model: true equations, honest difficulty, strict grading."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from training.lab.tasks import LIMITS, MAX_DIGITS, MAX_STEPS, draw_problems, grade

_APPLY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if a % b == 0 else None,
}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n_steps=st.integers(1, MAX_STEPS), n_digits=st.integers(1, MAX_DIGITS))
def test_equations_are_true_and_chain_from_the_first_number_to_the_answer(seed, n_steps, n_digits):
    for problem in draw_problems(n=5, seed=seed, n_steps=n_steps, n_digits=n_digits):
        value = int(re.search(r"has (\d+)", problem.text).group(1))
        for equation in problem.equations:
            left, sign, operand, result = re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+)", equation).groups()
            assert int(left) == value
            value = _APPLY[sign](int(left), int(operand))
            assert value == int(result)
            assert 0 <= value < LIMITS[n_digits]
        assert value == problem.answer
        assert problem.n_steps == n_steps
        assert problem.text.count(".") == n_steps + 1
        # every step names the sentence that it follows, by a verb that stands there once
        verbs = [action.split()[0] for action in problem.actions]
        assert [word for word in re.findall(r"\w+", problem.text) if word in verbs] == verbs


def test_problems_depend_on_the_seed_alone():
    assert draw_problems(n=20, seed=3) == draw_problems(n=20, seed=3)
    assert draw_problems(n=20, seed=3) != draw_problems(n=20, seed=4)


@pytest.mark.parametrize("difficulty", [{"n_steps": 0}, {"n_steps": 7}, {"n_digits": 4}, {"n_digits": ()}])
def test_difficulty_out_of_range_is_refused(difficulty):
    with pytest.raises(InvalidInputError, match="between 1 and"):
        draw_problems(n=1, seed=0, **difficulty)


def test_grade_wants_the_answer_line_at_the_end():
    (problem,) = draw_problems(n=1, seed=5, n_steps=3, n_digits=2)
    assert grade(problem, problem.solution)
    assert grade(problem, problem.direct)
    assert grade(problem, problem.solution + "\n")
    assert not grade(problem, problem.solution + "0")
    assert not grade(problem, problem.solution[:-1])
    assert not grade(problem, "\n".join(problem.equations))
    assert not grade(problem, "")
