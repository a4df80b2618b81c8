"""The policy as a table: prices, shares and courses as the plans themselves have them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidInputError
from planner.cli import main
from planner.exports.decision_table import Decision, decision_table, decisions_as_text
from planner.planner import Planner

pytestmark = pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")


def test_decisions_are_those_of_the_plans(trained: Any) -> None:
    planner, prompts = Planner.load(trained.folder), trained.test_log.prompts
    found = decision_table(planner, prompts, n_prices=5)
    prices = sorted({one.price for one in found}, reverse=True)
    assert 2 <= len(prices) <= 5 and [one.price for one in found] == sorted(
        (one.price for one in found), reverse=True
    )
    for price in prices:
        rows = {one.course: one.share for one in found if one.price == price}
        plans = [str(plan.course) for plan in planner.plan(prompts, price=price)]
        assert rows == {course: pytest.approx(plans.count(course) / len(plans)) for course in set(plans)}
    with pytest.raises(InvalidInputError, match=r"reads texts.*--prompts FILE"):
        decision_table(planner)


def test_a_policy_that_treats_all_alike_needs_no_prompts() -> None:
    found = decision_table(Planner.untrained())
    assert {one.share for one in found} == {1.0}
    assert [one.expected_cost for one in found] == sorted(one.expected_cost for one in found)


def test_names_of_strangers_stay_in_their_cells() -> None:
    one = Decision(
        price=1e-4,
        share=0.25,
        generator="<b>|a\x1b[2J",
        strategy="greedy",
        n=1,
        course="a,\nb",
        expected_value=0.5,
        expected_cost=1234.5,
    )
    row = decisions_as_text([one], "markdown").splitlines()[2]
    assert row.replace("\\|", "").count("|") == 9 and "<b>" not in row and "\x1b" not in row
    _, cells = csv.reader(decisions_as_text([one], "csv").splitlines(keepends=True))
    assert cells[2] == "<b>|a\x1b[2J" and cells[5] == "a,\nb"


def test_the_command_writes_csv_and_markdown(trained: Any, tmp_path: Path, capsys: Any) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Add up 3 + 4.\nAdd up 3 + 4 + 5 + 6 + 7 + 8 + 9.\n")
    for name in ("d.csv", "d.md"):
        asked = ["inspect", str(trained.folder), "--decisions", str(tmp_path / name)]
        assert main([*asked, "--prompts", str(prompts)]) == 0
        assert (tmp_path / name).read_text().count("\n") > 3
    assert main([*asked]) == 2
    assert main([*asked[:3], str(tmp_path / "d.txt")]) == 2
    assert "--decisions writes .csv or .md" in capsys.readouterr().err
