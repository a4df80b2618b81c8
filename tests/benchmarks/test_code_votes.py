"""The programs that votes by outputs are measured on, and what is measured of them."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from benchmarks.code_votes import Task, ballots, tasks, voted


@pytest.mark.parametrize("task", tasks(), ids=lambda task: re.findall(r"def (\w+)\(", task.prompt)[0])
def test_tests_tell_right_programs_from_wrong_ones(task: Task) -> None:
    def passes(program: str) -> bool:
        names: dict[str, object] = {}
        exec(program, names)  # programs of ours
        function = names[re.findall(r"def (\w+)\(", task.prompt)[0]]
        assert callable(function)
        try:
            return all(function(*copy.deepcopy(given)) == wanted for given, wanted in task.tests)
        except (IndexError, ValueError, TypeError):
            return False

    assert len(task.right) >= 3 and all(passes(program) for program in task.right)
    assert len(task.wrong) >= 3 and not any(passes(program) for program in task.wrong)


def test_votes_by_outputs_gain_where_votes_by_text_do_not() -> None:
    known = [ballots(task) for task in tasks()[:3]]
    for mine in known:
        right = mine.outputs[: mine.n_right]
        assert len(set(right)) == 1 and right[0] is not None
        assert len(set(mine.text)) == len(mine.text)
    assert np.mean([one in mine.outputs[: mine.n_right] for mine in known for one in mine.outputs[4:]]) < 0.1
    text, outputs = voted(known, n_prompts=600, widths=(1, 5))
    assert (text[:, 0] == outputs[:, 0]).all()
    # On ten tasks and 4,000 prompts the gain is .10; its standard error here is .02.
    assert outputs[:, 1].mean() > text[:, 1].mean() + 0.02
