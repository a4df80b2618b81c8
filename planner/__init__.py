"""Action: the user's door to planning and running test-time compute.

Names are imported on first use, so that ``import planner`` costs little more than the interpreter's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from difficulty.lazy import on_first_use

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

if TYPE_CHECKING:
    from difficulty.errors import PlannerError as PlannerError
    from difficulty.generator import Generator as Generator
    from difficulty.prompt import Prompt as Prompt
    from planner.backends.callable import CallableBackend as CallableBackend
    from planner.bundle.policy_bundle import PolicyBundle as PolicyBundle
    from planner.collection.collected import Collected as Collected
    from planner.collection.plan import Recording as Recording
    from planner.collection.run import acollect as acollect
    from planner.collection.run import collect as collect
    from planner.exports.decision_table import decision_table as decision_table
    from planner.exports.frames import outcomes_frame as outcomes_frame
    from planner.exports.frames import plans_frame as plans_frame
    from planner.exports.frames import rollouts_frame as rollouts_frame
    from planner.exports.openai_batch import write_openai_batch as write_openai_batch
    from planner.files.prompts import PromptFile as PromptFile
    from planner.files.prompts import read_prompts as read_prompts
    from planner.planner import Planner as Planner
    from planner.planning.frontier import FrontierPoint as FrontierPoint
    from planner.planning.request import UnfamiliarPromptsWarning as UnfamiliarPromptsWarning
    from planner.ports.outcome import Candidate as Candidate
    from planner.ports.outcome import Outcome as Outcome
    from planner.ports.ports import AnswerExtractor as AnswerExtractor
    from planner.ports.ports import Backend as Backend
    from planner.ports.ports import Completion as Completion
    from planner.ports.ports import SampleRequest as SampleRequest
    from planner.ports.ports import ScoreRequest as ScoreRequest
    from planner.ports.ports import Scores as Scores
    from planner.ports.ports import Verifier as Verifier
    from planner.serving.wrapping import wrap as wrap
    from planner.streaming import Stream as Stream
    from policies.cost.budget import Budget as Budget
    from policies.cost.cost_model import CostModel as CostModel
    from policies.cost.usage import Usage as Usage
    from policies.course.allocation import Allocation as Allocation
    from policies.plan.plan import AllocationPlan as AllocationPlan
    from policies.plan.wire import read_plans as read_plans
    from policies.plan.wire import write_plans as write_plans
else:
    __all__ = list(_HOMES)

_found, __dir__ = on_first_use(__name__, _HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":  # looked up when asked for: reading the metadata takes longer than the import
        from importlib.metadata import version

        return version("ttc-planner")
    return _found(name)
