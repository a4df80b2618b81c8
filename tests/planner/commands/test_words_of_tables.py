"""Words of the tables: a course by what sets it apart, and a verdict that says nothing twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difficulty.amounts import number, price_tag
from difficulty.prompt import Prompt
from planner.commands.tables.bundle import generator_table, verdict_of_training
from planner.commands.tables.plan import plan_table
from planner.commands.tables.shared import strategy_in_words
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.course.course import Course, Step, waves
from policies.course.stop import Agreement


def test_a_course_of_one_generator_is_named_by_its_choice_and_its_end() -> None:
    course = Course(steps=waves("tiny", (2, 2)), stop=Agreement(count=2))
    assert strategy_in_words(course) == "vote; until 2 agree"
    assert strategy_in_words(Course(steps=waves("tiny", (1,)))) == "one sample"
    chain = Step(generator="tiny", kind="revise")
    assert strategy_in_words(Course(steps=(chain,) * 3)) == "chains; vote"


def test_a_course_of_several_generators_is_named_in_full() -> None:
    course = Course(steps=waves("tiny", (2,)) + waves("tinier", (1,)), stop=Agreement(count=2))
    assert strategy_in_words(course) == str(course)


def test_prices_and_costs_in_dollars_are_written_in_full() -> None:
    """A price per dollar of 590 was 5.9e+02, and a cost of $.00005 5.394e-05."""
    assert [price_tag(value) for value in (718_204.0, 593.0, 9.61)] == ["720000", "590", "9.6"]
    assert [number(value) for value in (5.394e-05, 0.00174, 1e-7)] == ["0.00005394", "0.00174", "1.000e-07"]


def test_a_generator_that_some_prompts_lack_is_told_by_the_others(trained_small: Any) -> None:
    """It was told as nan."""
    bundle = trained_small.bundle
    n, tokens = bundle.references.n.copy(), bundle.references.output_tokens.copy()
    n[::2, 0], tokens[::2, 0] = 0, np.nan
    correct = np.minimum(bundle.references.n_correct, n)
    references = replace(bundle.references, n=n, n_correct=correct, output_tokens=tokens)
    whole, ragged = (
        [list(column.cells) for column in generator_table(one).columns]
        for one in (bundle, replace(bundle, references=references))
    )
    assert "nan" not in ragged[1] and "–" not in ragged[2]
    assert ragged[1][0] == f"{references.success()[1::2, 0].mean():.3f}"
    assert [cells[1:] for cells in ragged] == [cells[1:] for cells in whole]


def test_a_narrow_table_of_plans_leaves_the_cost_of_all_out() -> None:
    prompts = [Prompt(id=f"q{i}", text=f"What is {i}?") for i in range(3)]
    plans = Planner.untrained().plan(prompts, budget=Budget(limit=3, unit="samples"))
    headings = [[str(one.header) for one in plan_table(plans, title="", width=w).columns] for w in (80, 60)]
    assert headings[0][-2:] == ["cost each", "cost"] and headings[1] == headings[0][:-1]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([("static mix", 0.0)] * 4, "Nothing beyond the best static mix"),
        (
            [("choices by text", 0.01), ("choices by text", 0.03), ("static mix", 0.0)],
            "asks for them (+0.010 to +0.030), then fixed numbers of samples",
        ),
        ([("choices by text", 0.01), ("courses for all", 0.02)], "(+0.010), then the best courses of all"),
    ],
)
def test_neighbouring_budgets_of_one_kind_are_told_together(
    trained_small: Any, chosen: list[tuple[str, float]], words: str
) -> None:
    verdict = [{"deployed": name, "gain": gain, "error": 0.001} for name, gain in chosen]
    bundle = replace(trained_small.bundle, training={**trained_small.bundle.training, "verdict": verdict})
    assert words in verdict_of_training(bundle)
