"""Sections on policies that react: nothing where there is nothing, whole tables where there is."""

from __future__ import annotations

from typing import Any

from training.report.adaptive import regret_section, rivals_section, rounds_section

PART = {"value": 0.031, "interval": [0.01, 0.05]}


def whole_tables(text: str) -> int:
    """Return how many table rows there are; each has as many cells as its head."""
    n_rows = 0
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            n_cells = lines[number - 1].count("|")
            assert line.count("|") == n_cells
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                assert row.count("|") == n_cells
                n_rows += 1
    return n_rows


def round_row(tokens: float | None) -> dict[str, Any]:
    return {
        "budget": 10.0,
        "cost": 9.0,
        "mean_rounds": 1.5,
        "p95_rounds": 3.0,
        "total_tokens_resent": tokens,
        "total_tokens_cached": tokens,
    }


def test_what_is_not_there_has_no_section() -> None:
    assert rounds_section([]) == rivals_section({}, "accuracy") == regret_section({}, "accuracy") == ""


def test_tokens_of_rounds_are_shown_where_they_are_recorded() -> None:
    recorded, unknown = rounds_section([round_row(123.0)]), rounds_section([round_row(None)])
    assert "123" in recorded
    assert whole_tables(recorded) == whole_tables(unknown) == 1
    assert "not recorded" in unknown
    assert "None" not in unknown


def test_rivals_are_shown_with_intervals() -> None:
    multiple = {"way_to_plateau": 0.9, "multiple": None, "interval": [1.2, None], "both_fail": False}
    difference = {"budget": 10.0, "difference": 0.02, "interval": [-0.01, 0.05]}
    text = rivals_section(
        {
            "cost_multiples": {"ESC, tuned": [multiple], "none": [multiple | {"both_fail": True}]},
            "at_equal_cost": {"ESC, tuned": [difference], "none": [difference | {"difference": None}]},
        },
        "accuracy",
    )
    assert "| ESC, tuned | ∞ [1.20, ∞] |" in text
    assert "| ESC, tuned | +0.020 [-0.010, +0.050] |" in text
    assert text.count("| none | – |") == 2
    assert whole_tables(text) == 4


def test_regret_is_shown_part_by_part_and_says_what_is_missing() -> None:
    row = {"budget": 10.0, "predictor": None, "stopping": PART, "menu": PART, "all": PART}
    rounding = [{"budget": 10.0, **PART}]
    text = regret_section({"parts": [row], "rounding": rounding}, "accuracy")
    assert "| 10 | – | +0.031 [+0.010, +0.050] |" in text
    assert whole_tables(text) == 1
    without = regret_section({"parts": [], "rounding": rounding}, "accuracy")
    assert "cannot be told apart" in without
    assert "+0.031 [+0.010, +0.050] at 10" in without
