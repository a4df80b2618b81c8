"""Outcomes as values and as JSON."""

from __future__ import annotations

import json

import pytest
from strategy_contract import ALL, backend, play, task

from difficulty.errors import InvalidInputError
from planner.ports.outcome import Candidate, Outcome, OutcomeError
from planner.ports.outcome_wire import outcome_from_json, outcome_to_json
from policies.cost.usage import Usage
from policies.course.allocation import Allocation

OUTCOME = Outcome(
    prompt_id="p",
    allocation=Allocation(
        generator="g", strategy="dvts", width=8, params={"beam_width": 4, "delimiter": "\n"}
    ),
    answer="42",
    text="6 × 7 = 42",
    candidates=(
        Candidate(text="6 × 7 = 42", answer="42", status="ok", score=0.1 + 0.2, chain=1, steps=("a\n", "b")),
        Candidate(text="", answer=None, status="failed"),
    ),
    selected=0,
    selected_by="weighted_best_of_n",
    usage=Usage(samples=2, output_tokens=31.5),
    expected_usage=Usage(samples=2),
    cost=1e-9,
    expected_cost=2.0,
    stop_reason="budget",
    errors=(OutcomeError(kind="BackendError", reason="503"),),
)


def test_outcomes_round_trip_and_equal_ones_give_equal_bytes() -> None:
    data = outcome_to_json(OUTCOME)
    assert outcome_from_json(data) == OUTCOME
    assert outcome_to_json(outcome_from_json(data)) == data
    assert json.loads(data)["outcome"] == 2
    assert b"\n" not in data


def test_outcomes_of_the_first_schema_are_read() -> None:
    first = json.loads(outcome_to_json(OUTCOME))
    del first["confidence"], first["verdict"]
    assert outcome_from_json(json.dumps({**first, "outcome": 1})) == OUTCOME


@pytest.mark.parametrize("strategy", ALL)
def test_real_outcomes_round_trip(strategy: str) -> None:
    outcome = play(task(strategy), source=backend(failure_rate=0.2)).outcome
    assert outcome_from_json(outcome_to_json(outcome)) == outcome


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(outcome=3), "another schema"),
        (lambda raw: raw.update(color="red"), "unknown fields color"),
        (lambda raw: raw["usage"].update(gold=1), "usage has unknown fields gold"),
        (lambda raw: raw["candidates"][0].update(prize=1), "candidates has unknown fields prize"),
        (lambda raw: raw.pop("prompt_id"), "missing required field"),
        (lambda raw: raw.update(answer=42), "wrong type"),
        (lambda raw: raw.update(stop_reason="bored"), "wrong type"),
        (lambda raw: raw["allocation"].update(width=0), "width must be at least 1"),
    ],
)
def test_what_is_no_outcome_is_refused(change: object, message: str) -> None:
    raw = json.loads(outcome_to_json(OUTCOME))
    change(raw)  # type: ignore[operator]
    with pytest.raises(InvalidInputError, match=message):
        outcome_from_json(json.dumps(raw))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        outcome_from_json(data)


def test_abstentions_are_counted() -> None:
    assert OUTCOME.n_abstained == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("RetryableBackendError: timed out", "RetryableBackendError"),
        ("no colon", "BackendError"),
        ("a b: c", "BackendError"),
    ],
)
def test_errors_are_read_from_what_completions_carry(text: str, kind: str) -> None:
    assert OutcomeError.parse(text).kind == kind
