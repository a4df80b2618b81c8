"""Reports: JSON without NaN, Markdown for people, a verdict that claims no more than was shown."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from typing import Any

import pytest

from training.evaluate import evaluate
from training.report.allocation_figure import _largest
from training.report.names import BEST_RULE, OURS, STATIC
from training.report.report import REPORT_SCHEMA, Report
from training.report.verdict import standing_sentence, work_sentence


@pytest.fixture(scope="module")
def report(trained: Any) -> Report:
    return evaluate(trained.bundle, trained.test_log, n_bootstrap=100)


def every_number(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for part in value.values() for n in every_number(part)]
    if isinstance(value, (list, tuple)):
        return [n for part in value for n in every_number(part)]
    return [value] if isinstance(value, float) else []


def with_ours(report: Report, deployed: str, low: float, high: float) -> Report:
    """Return the report with another training verdict and with these differences at every budget."""
    rows = [
        {"budget": 1.0, "value": 0.5, "interval": [0.4, 0.6], "difference": (low + high) / 2}
        | {"difference_interval": [low, high]}
    ] * 3
    training = {**report.bundle["training"], "verdict": [{"deployed": deployed}]}
    equal = {**report.comparison["at_equal_cost"], OURS: rows}
    return replace(
        report,
        bundle={**report.bundle, "training": training},
        comparison={**report.comparison, "at_equal_cost": equal},
    )


def test_json_is_strict_and_says_its_schema(report: Report) -> None:
    content = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert content["report"] == REPORT_SCHEMA
    assert content["verdict"] == report.verdict
    assert all(math.isfinite(number) for number in every_number(content))
    assert {item.name for item in fields(Report)} <= set(content)


def test_every_comparison_carries_an_interval(report: Report) -> None:
    for rows in report.comparison["cost_multiples"].values():
        assert [row["way_to_plateau"] for row in rows] == [0.25, 0.5, 0.75, 0.9]
        assert all(len(row["interval"]) == 2 for row in rows)
    for rows in report.comparison["at_equal_cost"].values():
        assert all(len(row["difference_interval"]) == 2 for row in rows if row["value"] is not None)


def test_markdown_names_every_policy_and_the_verdict(report: Report) -> None:
    text = report.to_markdown()
    assert report.verdict in text
    for name in report.comparison["at_equal_cost"]:
        assert name in text
    for heading in (
        "at equal cost",
        "Cost multiple",
        "What did the work",
        "Against known rules",
        "Who gets what",
        "Promises kept",
        "Belief",
        "Budgets kept",
    ):
        assert heading in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_tables_of_markdown_have_as_many_cells_as_their_heads(report: Report) -> None:
    lines = report.to_markdown().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            n_cells = lines[number - 1].count("|")
            body = number
            while body + 1 < len(lines) and lines[body + 1].startswith("|"):
                body += 1
                assert lines[body].count("|") == n_cells, lines[body]


def test_a_static_fallback_says_that_nothing_special_pays(report: Report) -> None:
    assert with_ours(report, "static mix", 0.0, 0.0).verdict.startswith("Nothing special pays here")


def test_wins_and_losses_are_counted_beyond_the_interval(report: Report) -> None:
    for low, high, wins, losses in ((0.01, 0.05, 3, 0), (-0.05, -0.01, 0, 3), (-0.01, 0.05, 0, 0)):
        verdict = with_ours(report, "choices by text", low, high).verdict
        assert f"at {wins} of 3 budgets" in verdict
        assert f"surely lower at {losses}" in verdict


def test_multiples_are_looked_up_by_their_place(report: Report) -> None:
    multiple, (low, high) = report.multiple(0.5)
    row = report.comparison["cost_multiples"][OURS][1]
    assert (multiple, [low, high]) == (row["multiple"], row["interval"])
    assert report.multiple(0.5, STATIC)[0] == 1
    with pytest.raises(KeyError):
        report.multiple(0.33)


def test_what_is_never_reached_is_said_in_words(report: Report) -> None:
    rows = [dict(row) for row in report.comparison["cost_multiples"][OURS]]
    rows[-1] |= {"multiple": 0.0, "interval": [0.0, 1.1], "reached": 0.31, "missing": 0.012}
    multiples = {**report.comparison["cost_multiples"], OURS: rows}
    told = replace(report, comparison={**report.comparison, "cost_multiples": multiples})
    words = "(31 % of replicates get there, .012 missing)"
    assert f"never reached at 90% {words}" in told.verdict
    assert f"| never reached {words} |" in told.to_markdown()


def test_what_is_reached_beyond_the_static_plateau_is_told_where_it_was_shown(report: Report) -> None:
    """With one sample of each model nothing is cheaper at equal accuracy; a cascade still reaches more."""

    def told(low: float) -> str:
        most = {"cost": 2.19, "value": 0.9, "difference": 0.022, "interval": [low, 0.04]}
        at_most = {**report.comparison["at_most"], OURS: most}
        return replace(report, comparison={**report.comparison, "at_most": at_most}).verdict

    said = "Beyond that plateau it reaches 0.900 at 2.19 output tokens per prompt: +0.022 [+0.005, +0.040]."
    assert said in told(0.005)
    assert "Beyond that plateau" not in told(0.0)


def test_a_saving_says_where_it_is_not_always_reached(report: Report) -> None:
    def told(low: float | None) -> str:
        rows = [dict(row, saved_share=0.1, cost=9.0) for row in report.uniform["rows"]]
        rows = [row | {"saved_share_interval": [low, 0.2]} for row in rows]
        return replace(report, uniform={**report.uniform, "rows": rows}).verdict

    assert "10 % less [–, 20 %], and in some resamples it never gets there." in told(None)
    assert "10 % less [5 %, 20 %]. What" in told(0.05)


def test_what_did_the_work_is_named_only_beyond_its_interval() -> None:
    def part(value: float, low: float) -> dict[str, Any]:
        return {"mean_difference": {"difference": value, "interval": [low, value + 0.01]}}

    data = {"objective": "accuracy"}
    work = {"the text": part(0.01, 0.004), "reacting to samples": part(0.02, 0.01), "luck": part(0.03, -0.01)}
    assert work_sentence(work, data).startswith("What did the work: reacting to samples and the text (")
    assert "no single part" in work_sentence({"luck": part(0.03, -0.01)}, data)
    assert work_sentence({}, data) == ""


def test_the_report_says_what_its_intervals_are_conditional_on(report: Report) -> None:
    assert report.data["conditional_on"] in report.to_markdown()
    assert "groups of prompts" in report.data["conditional_on"]


def test_names_that_others_chose_are_text_in_markdown_and_verdict(report: Report) -> None:
    hostile = "<img src=x>|`a` [b](c) **d**"
    content = json.loads(report.to_json().replace(b"model-0", hostile.encode()).replace(b"model-1", b"$x$"))
    told = Report(**{item.name: content[item.name] for item in fields(Report)})
    text = told.to_markdown()
    assert hostile not in text and "<img" not in text
    assert "&lt;img src=x&gt;\\|\\`a\\` \\[b\\](c) \\*\\*d\\*\\*" in text
    rows = [re.findall(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    plain = [line.count("|") for line in report.to_markdown().splitlines() if line.startswith("|")]
    assert [len(row) for row in rows] == plain
    assert hostile in told.verdict or "$x$" in told.verdict  # a terminal and JSON show it as it is


def test_the_verdict_counts_wins_and_losses_against_the_best_tuned_rule(report: Report) -> None:
    rows = [{"budget": 1.0, "difference": d, "interval": [d - 0.01, d + 0.01]} for d in (0.02, 0.0, -0.02)]
    mean = {"difference": -0.001, "interval": [-0.004, 0.002]}
    rivals = {**report.rivals, BEST_RULE: {**report.rivals[BEST_RULE], "at_equal_cost": rows}}
    rivals[BEST_RULE]["mean_difference"] = mean
    assert (
        "; against the best of the tuned rules, which has the same selectors, surely higher at 1 of 3 "
        "budgets and surely lower at 1: -0.001 [-0.004, +0.002] on average."
    ) in replace(report, rivals=rivals).verdict
    assert "tuned rules" not in standing_sentence(report.comparison, {}, report.data)


def test_kinds_beyond_the_largest_are_drawn_as_one() -> None:
    table = [{f"kind {at}": 0.05 for at in range(20)}, {"kind 3": 0.6, "kind 19": 0.4}]
    shares = _largest(table)
    assert list(shares)[:2] == ["kind 3", "kind 19"] and len(shares) == 7
    assert all(sum(part[at] for part in shares.values()) == pytest.approx(1) for at in range(2))
    assert set(_largest([{"a": 0.5, "b": 0.5}])) == {"a", "b"}
