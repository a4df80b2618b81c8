"""A log of an agent: first attempts are hardly ever right, most runs are in the end, and there they end."""

from __future__ import annotations

import numpy as np

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog


def agent_runs(n_prompts: int = 90, *, n_steps: int = 6) -> SampleLog:
    """Return four samples and one run of each prompt; a step is right one time in ten, later ones in two."""
    rng = np.random.default_rng(4)
    records = []
    for row in range(n_prompts):
        line = {"prompt_id": f"p{row}", "prompt": f"question {row}", "generator": "agent"}
        samples = [_attempt(at, right) for at, right in enumerate(rng.random(4) < 0.1)]
        records.append(line | {"prompt_tokens": 20, "samples": samples})
        right = rng.random(n_steps) < np.where(np.arange(n_steps) == 0, 0.1, 0.5)
        length = int(right.argmax()) + 1 if right.any() else n_steps
        run = [_attempt(at, right[at]) | {"chain": 0, "step": at} for at in range(length)]
        records.append(line | {"strategy": "sequential_revision", "prompt_tokens": 20, "samples": run})
    return SampleLog.from_records(records, {"agent": Generator(name="agent")})


def _attempt(at: int, right: bool) -> dict[str, object]:
    return {"answer": str(at), "correct": bool(right), "output_tokens": 10}
