"""Belief: how hard a prompt is for a generator, and the recorded samples that say so."""

from __future__ import annotations

from difficulty.errors import PlannerError
from difficulty.generator import Generator
from difficulty.log_import_inspect import read_inspect
from difficulty.log_import_lm_eval import read_lm_eval
from difficulty.prompt import Prompt, as_prompts
from difficulty.sample_log import Counts, SampleLog
from difficulty.sample_pool import ChainPool, RecordedRuns, SamplePool

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
]
