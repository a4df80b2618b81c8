"""Belief: how hard a prompt is for a generator, and the recorded samples that say so.

Names are imported on first use, so that planning loads no more of this room than it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from difficulty.lazy import on_first_use

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

if TYPE_CHECKING:
    from difficulty.errors import PlannerError as PlannerError
    from difficulty.generator import Generator as Generator
    from difficulty.importers.inspect_ai import read_inspect as read_inspect
    from difficulty.importers.lm_eval import read_lm_eval as read_lm_eval
    from difficulty.importers.reasoning_gym import read_reasoning_gym as read_reasoning_gym
    from difficulty.importers.tables import read_table as read_table
    from difficulty.log.recorded_log import Counts as Counts
    from difficulty.log.sample_log import SampleLog as SampleLog
    from difficulty.log.sample_pool import ChainPool as ChainPool
    from difficulty.log.sample_pool import RecordedRuns as RecordedRuns
    from difficulty.log.sample_pool import SamplePool as SamplePool
    from difficulty.prompt import Prompt as Prompt
    from difficulty.prompt import as_prompts as as_prompts
else:
    __all__ = list(_HOMES)

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
