"""What is saved, in words: saved, cost more, by chance, or never reached, each said as it is."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from planner.commands.tables.report import print_savings
from planner.commands.terminal.console import Paragraph, PlainConsole
from training.report.report import Report

PART = {"mean_difference": {"difference": 0.02, "interval": [0.01, 0.03]}}
DOUBTFUL = {"mean_difference": {"difference": 0.03, "interval": [-0.01, 0.07]}}


def report_of(work: dict[str, Any], deployed: str = "courses for all", **changes: Any) -> Report:
    row = {
        "share": 0.9,
        "value": 0.72,
        "name": "uniform majority vote, m",
        "n": 8,
        "uniform_cost": 1200.0,
        "cost": 600.0,
        "missing": 0.0,
        "saved": 600.0,
        "saved_share": 0.5,
        "saved_share_interval": [0.4, 0.6],
        **changes,
    }
    empty: dict[str, Any] = {}
    return Report(
        data={"objective": "accuracy", "unit": "output_tokens", "n_prompts": 50},
        bundle={"training": {"verdict": [{"deployed": deployed}]}},
        comparison=empty,
        rivals=empty,
        work=work,
        uniform={"rows": [row]},
        oracle_gap=empty,
        calibration=empty,
        families=empty,
        promises=[],
        budgets=[],
        bands=empty,
        flops_matched=empty,
        learned_verifier=empty,
    )


@pytest.mark.parametrize(
    ("work", "changes", "words"),
    [
        (
            {"the text": PART, "the choice of model": DOUBTFUL},
            {},
            "For accuracy 0.720, up to 8 samples for everybody (majority vote, m) cost 1,200 output tokens "
            "per prompt and the policy 600: 50 % less [40 %, 60 %]. What did the work: the text (accuracy "
            "lost at equal cost without it: the choice of model +0.030 [-0.010, +0.070]; the text +0.020 "
            "[+0.010, +0.030]).",
        ),
        (
            {"the choice of model": DOUBTFUL},
            {"saved_share": 0.05, "saved_share_interval": [-0.1, 0.2]},
            "5 % less [-10 %, 20 %], which may be chance. What did the work: no single part for sure "
            "(accuracy lost at equal cost without it: the choice of model +0.030 [-0.010, +0.070]).",
        ),
        (
            {},
            {"saved_share": -0.2, "saved_share_interval": [-0.3, -0.1]},
            "20 % more [10 %, 30 %].",
        ),
        ({}, {"cost": None, "missing": 0.012}, "the policy never reaches: 0.012 is missing."),
        (
            {},
            {"cost": None, "missing": 0.012, "n": 1, "uniform_cost": 1.0},
            "What one sample for everybody (m) reaches, accuracy 0.720 for 1 output token per prompt, the "
            "policy never reaches: 0.012 is missing.",
        ),
        ({}, {"saved_share": 0.0, "saved_share_interval": [-0.0, 0.001]}, "prompt, and the policy as much."),
        (
            {},
            {"name": "uniform weighted best-of-N by score, m"},
            "for everybody (a vote weighed by score, m) cost 1,200 output tokens per prompt and the policy "
            "600: 50 % less [40 %, 60 %].",
        ),
        (
            {},
            {"name": "uniform best-of-N by mean_logprob, my_model, 8b", "saved_share_interval": [None, 0.6]},
            "(the best by log-probability, my_model, 8b) cost 1,200 output tokens per prompt and the policy "
            "600: 50 % less [–, 60 %], and in some resamples it never gets there.",
        ),
    ],
)
def test_what_is_saved_is_said_as_it_is(work: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    report = report_of(work, **changes)
    assert f"{report.saving} {report.what_did_the_work}".rstrip().endswith(words)


def test_a_doubtful_saving_is_told_with_the_sure_one_below_it() -> None:
    report = report_of({}, saved_share=0.05, saved_share_interval=[-0.1, 0.2])

    def told(low: float) -> str:
        less = {"share": 0.75, "value": 0.65, "saved_share": 0.7, "saved_share_interval": [low, 0.8]}
        rows = [{**report.uniform["rows"][0], **less}, *report.uniform["rows"]]
        return replace(report, uniform={"rows": rows}).saving

    assert told(0.6).endswith("may be chance. For accuracy 0.650 it surely costs less: 70 % [60 %, 80 %].")
    assert told(0.004).endswith("may be chance.")  # it would read: surely [0 %, 80 %]


def test_a_policy_that_learned_nothing_says_so_first() -> None:
    report = report_of({"the text": PART}, deployed="static mix")
    assert report.saving.startswith("Nothing special pays here")
    assert "50 % less" in report.saving
    assert not report.what_did_the_work


def test_without_uniform_samples_the_screen_begins_with_what_did_the_work() -> None:
    file = StringIO()
    report = replace(report_of({"the text": PART}), uniform={})
    print_savings(PlainConsole(file=file, width=200), report)
    assert file.getvalue().startswith("What did the work: the text (")


@pytest.mark.parametrize("width", range(20, 60))
def test_intervals_and_percentages_are_not_broken(width: int) -> None:
    text = "The same would have cost 476.4 tokens: 30 % less [27 %, 33 %]. What did the work: 5 things."
    file = StringIO()
    PlainConsole(file=file, width=width).print(Paragraph(text))
    lines = file.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines) == text
    assert all(len(line) <= width for line in lines)
    assert any("30 %" in line for line in lines) and any("[27 %, 33 %]" in line for line in lines)
