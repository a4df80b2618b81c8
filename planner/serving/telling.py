"""What is told of a planned request beside its text: the field ``planner``, headers, how it ended.

Costs and counts of what was drawn are added by `planner.serving.work`, which carries it out.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from planner.ports.outcome import Candidate, Outcome
from planner.serving.drawing import Said
from planner.serving.options import Options
from planner.serving.plannable import Asked
from planner.serving.refusal import Refusal
from planner.serving.reply import plan_fields
from policies.plan.plan import AllocationPlan

WITHHELD: Final = "No answer is sure enough for the share of errors that is allowed here."
"""What is said in the place of an answer that is withheld."""


class Planned(NamedTuple):
    """A plan and all that was read to make it."""

    plan: AllocationPlan
    asked: Asked
    options: Options
    id: str
    seconds: float


def extension_of(
    planned: Planned, reason: str, n_samples: int, selected_by: str, note: str
) -> dict[str, Any]:
    """Return the field ``planner`` of an answer, as far as every answer has it."""
    return {
        "plan_id": planned.id,
        "samples": n_samples,
        "stop_reason": reason,
        "selected_by": selected_by,
        **plan_fields(planned.plan, explain=planned.options.explain),
        **({"note": note} if note else {}),
    }


def headers_of(planned: Planned, n_samples: int, overhead: float) -> tuple[tuple[str, str], ...]:
    """Return the headers of a plan."""
    return (
        ("x-planner-plan-id", planned.id),
        ("x-planner-unit", planned.plan.unit),
        ("x-planner-samples", str(n_samples)),
        ("x-planner-overhead-duration-ms", f"{1000 * max(overhead, 0.0):.2f}"),
    )


def finish_of(chosen: Candidate, said: Said) -> str:
    """Return how the answer ended, in the words of the protocol."""
    if chosen.status == "truncated":
        return "length"
    return "tool_calls" if said.calls else "stop"


def nothing(outcome: Outcome, retry_after: float | None) -> Refusal:
    """Return why there is no answer at all, and when another try may bring one, where the upstream said."""
    if outcome.stop_reason == "budget":
        return Refusal(402, "the budget does not reach for one sample", code="insufficient_budget")
    if outcome.stop_reason == "time":
        return Refusal(504, "no sample came before the deadline", code="deadline_exceeded")
    kinds = {error.kind for error in outcome.errors}
    if kinds and kinds <= {"RetryableBackendError", "ConnectionError", "TimeoutError"}:
        return Refusal(
            503,
            "the upstream does not answer; try again later",
            code="upstream_unavailable",
            retry_after=retry_after,
        )
    replies = [error.reason for error in outcome.errors if error.kind == "InvalidResponseError"]
    why = f": {replies[-1]}" if replies else ""
    return Refusal(502, f"the upstream gave no usable answer{why}", code="upstream_error")
