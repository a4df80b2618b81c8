"""Belief: how hard a prompt is for a generator, and the recorded samples that say so.

Names are imported on first use, so that planning loads no more of this room than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from difficulty.errors import PlannerError
    from difficulty.generator import Generator
    from difficulty.importers.inspect_ai import read_inspect
    from difficulty.importers.lm_eval import read_lm_eval
    from difficulty.importers.reasoning_gym import read_reasoning_gym
    from difficulty.importers.tables import read_table
    from difficulty.log.recorded_log import Counts
    from difficulty.log.sample_log import SampleLog
    from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool
    from difficulty.prompt import Prompt, as_prompts

__all__ = [
    "ChainPool",
    "Counts",
    "Generator",
    "PlannerError",
    "Prompt",
    "RecordedRuns",
    "SampleLog",
    "SamplePool",
    "as_prompts",
    "read_inspect",
    "read_lm_eval",
    "read_reasoning_gym",
    "read_table",
]

_HOMES: Final = {
    "ChainPool": "difficulty.log.sample_pool",
    "Counts": "difficulty.log.recorded_log",
    "Generator": "difficulty.generator",
    "PlannerError": "difficulty.errors",
    "Prompt": "difficulty.prompt",
    "RecordedRuns": "difficulty.log.sample_pool",
    "SampleLog": "difficulty.log.sample_log",
    "SamplePool": "difficulty.log.sample_pool",
    "as_prompts": "difficulty.prompt",
    "read_inspect": "difficulty.importers.inspect_ai",
    "read_lm_eval": "difficulty.importers.lm_eval",
    "read_reasoning_gym": "difficulty.importers.reasoning_gym",
    "read_table": "difficulty.importers.tables",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
