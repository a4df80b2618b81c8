"""Plans, outcomes and reports say in a line what they are, and notebooks get nothing unescaped."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from planner.ports.outcome import Outcome, OutcomeError
from policies.cost.usage import Usage
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan
from training.report.names import OURS
from training.report.report import Report

HOSTILE = "<script>alert(1)</script>\x1b[2J"
ALLOCATION = Allocation(generator=HOSTILE, strategy="majority_vote", width=4)


def plan(**changes: Any) -> AllocationPlan:
    given: dict[str, Any] = {
        "prompt_id": HOSTILE,
        "allocation": ALLOCATION,
        "expected_accuracy": 0.81,
        "accuracy_interval": (0.7, 0.9),
        "expected_cost": 1144.2,
        "unit": "output_tokens",
        "reason": f"looks easier than {HOSTILE}",
    }
    return AllocationPlan(**given | changes)


def outcome(**changes: Any) -> Outcome:
    given: dict[str, Any] = {
        "prompt_id": HOSTILE,
        "allocation": ALLOCATION,
        "answer": HOSTILE,
        "text": HOSTILE,
        "candidates": (),
        "selected_by": "majority_vote",
        "usage": Usage(samples=4),
        "cost": 50.0,
        "expected_cost": 80.0,
        "errors": (OutcomeError(kind="BackendError", reason=HOSTILE),),
    }
    return Outcome(**given | changes)


@pytest.mark.parametrize("made", [plan(), outcome()])
def test_nothing_of_what_others_wrote_is_left_unescaped(made: Any) -> None:
    shown = made._repr_html_()
    assert "<script" not in shown and "\x1b" not in shown and "\x1b" not in repr(made)
    assert set(re.findall(r"</?([a-z]+)", shown)) <= {"p", "table", "tr", "th", "td", "br"}


def test_a_plan_says_what_is_planned_and_expected() -> None:
    small = plan(prompt_id="q1", allocation=Allocation(generator="m", strategy="majority_vote", width=4))
    assert repr(small) == (
        "AllocationPlan('q1': m x4; vote; expected accuracy 0.810 [0.700, 0.900], cost 1,144 output tokens)"
    )
    assert "0.810 [0.700, 0.900]" in small._repr_html_() and "looks easier" in small._repr_html_()


def test_an_outcome_says_what_came_of_it() -> None:
    made = outcome(
        prompt_id="q1", answer="42", allocation=Allocation(generator="m", strategy="greedy"), errors=()
    )
    assert repr(made) == (
        "Outcome('q1': '42', majority_vote of 0 candidates by m, cost 50 (expected 80), complete)"
    )
    long = outcome(text="x" * 5000)._repr_html_()
    assert "x" * 2000 + " …" in long and "x" * 2001 not in long
    assert "<th>text</th>" not in outcome(text=None)._repr_html_()


def test_a_report_shows_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    empty: dict[str, Any] = {}
    tables = dict.fromkeys((field.name for field in fields(Report)), empty)
    row = {"way_to_plateau": 0.75, "multiple": 2.5, "interval": [2.0, 3.0]}
    never = {"way_to_plateau": 0.9, "multiple": 0.0, "interval": [0.0, 2.0], "reached": 0.3, "missing": 0.02}
    report = Report(
        **tables
        | {
            "data": {"n_prompts": 50, "unit": HOSTILE},
            "comparison": {"cost_multiples": {OURS: [row, never]}},
            "promises": [],
            "budgets": [],
        }
    )
    monkeypatch.setattr(type(report), "verdict", HOSTILE)
    assert "50 held-out prompts" in repr(report)
    shown = report._repr_html_()
    assert "75% of the way</th><td>2.50 [2.00, 3.00]<" in shown
    assert "90% of the way</th><td>never reached (30 % of replicates get there, .020 missing)<" in shown
    assert "<script" not in shown and "\x1b" not in shown and "Evaluation on 50 held-out prompts" in shown
