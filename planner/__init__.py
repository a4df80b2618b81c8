"""Action: the user's door to planning and running test-time compute.

Names are imported on first use, so that ``import planner`` costs little more than the interpreter's start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from difficulty.errors import PlannerError
    from difficulty.generator import Generator
    from difficulty.prompt import Prompt
    from planner.backends.callable import CallableBackend
    from planner.bundle.policy_bundle import PolicyBundle
    from planner.collection.collected import Collected
    from planner.collection.plan import Recording
    from planner.collection.run import acollect, collect
    from planner.exports.decision_table import decision_table
    from planner.exports.frames import outcomes_frame, plans_frame, rollouts_frame
    from planner.exports.openai_batch import write_openai_batch
    from planner.files.prompts import PromptFile, read_prompts
    from planner.planner import Planner
    from planner.planning.frontier import FrontierPoint
    from planner.planning.request import UnfamiliarPromptsWarning
    from planner.ports.outcome import Candidate, Outcome
    from planner.ports.ports import (
        AnswerExtractor,
        Backend,
        Completion,
        SampleRequest,
        ScoreRequest,
        Scores,
        Verifier,
    )
    from planner.serving.wrapping import wrap
    from planner.streaming import Stream
    from policies.cost.budget import Budget
    from policies.cost.cost_model import CostModel
    from policies.cost.usage import Usage
    from policies.course.allocation import Allocation
    from policies.plan.plan import AllocationPlan
    from policies.plan.wire import read_plans, write_plans

__all__ = [
    "Allocation",
    "AllocationPlan",
    "AnswerExtractor",
    "Backend",
    "Budget",
    "CallableBackend",
    "Candidate",
    "Collected",
    "Completion",
    "CostModel",
    "FrontierPoint",
    "Generator",
    "Outcome",
    "Planner",
    "PlannerError",
    "PolicyBundle",
    "Prompt",
    "PromptFile",
    "Recording",
    "SampleRequest",
    "ScoreRequest",
    "Scores",
    "Stream",
    "UnfamiliarPromptsWarning",
    "Usage",
    "Verifier",
    "acollect",
    "collect",
    "decision_table",
    "outcomes_frame",
    "plans_frame",
    "read_plans",
    "read_prompts",
    "rollouts_frame",
    "wrap",
    "write_openai_batch",
    "write_plans",
]

_HOMES: Final = {
    "Allocation": "policies.course.allocation",
    "AllocationPlan": "policies.plan.plan",
    "AnswerExtractor": "planner.ports.ports",
    "Backend": "planner.ports.ports",
    "Budget": "policies.cost.budget",
    "CallableBackend": "planner.backends.callable",
    "Candidate": "planner.ports.outcome",
    "Collected": "planner.collection.collected",
    "Completion": "planner.ports.ports",
    "CostModel": "policies.cost.cost_model",
    "FrontierPoint": "planner.planning.frontier",
    "Generator": "difficulty.generator",
    "Outcome": "planner.ports.outcome",
    "Planner": "planner.planner",
    "PlannerError": "difficulty.errors",
    "PolicyBundle": "planner.bundle.policy_bundle",
    "Prompt": "difficulty.prompt",
    "PromptFile": "planner.files.prompts",
    "Recording": "planner.collection.plan",
    "SampleRequest": "planner.ports.ports",
    "ScoreRequest": "planner.ports.ports",
    "Scores": "planner.ports.ports",
    "Stream": "planner.streaming",
    "UnfamiliarPromptsWarning": "planner.planning.request",
    "Usage": "policies.cost.usage",
    "Verifier": "planner.ports.ports",
    "acollect": "planner.collection.run",
    "collect": "planner.collection.run",
    "decision_table": "planner.exports.decision_table",
    "outcomes_frame": "planner.exports.frames",
    "plans_frame": "planner.exports.frames",
    "read_plans": "policies.plan.wire",
    "read_prompts": "planner.files.prompts",
    "rollouts_frame": "planner.exports.frames",
    "wrap": "planner.serving.wrapping",
    "write_openai_batch": "planner.exports.openai_batch",
    "write_plans": "policies.plan.wire",
}


def __getattr__(name: str) -> object:
    if name == "__version__":  # looked up when asked for: reading the metadata takes longer than the import
        from importlib.metadata import version

        return version("ttc-planner")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
