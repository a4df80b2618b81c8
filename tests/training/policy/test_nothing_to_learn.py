"""Logs where reacting has no signal, since answers tell nothing of what is right: nothing is deployed."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from training.policy.learn import learn


def unrelated(kind: str, seed: int, n_prompts: int, n_samples: int) -> SampleLog:
    """Prompts whose samples are right by chance; answers are all distinct, or drawn apart from the truth.

    With scores that tell nothing, or without any.
    """
    rng = np.random.default_rng(seed)
    records = []
    for row in range(n_prompts):
        chance = rng.random()
        samples = [
            {
                "answer": str(at if kind == "distinct" else rng.integers(3)),
                "correct": bool(rng.random() < chance),
                "output_tokens": int(rng.integers(20, 80)),
                **({} if kind == "votes" else {"score": float(rng.random())}),
            }
            for at in range(n_samples)
        ]
        records.append({"prompt_id": f"p{row}", "generator": "g", "prompt_tokens": 10, "samples": samples})
    return SampleLog.from_records(records, {"g": Generator(name="g")})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["distinct", "random", "votes"])
def test_nothing_is_deployed_where_answers_tell_nothing(kind: str) -> None:
    """Of 30 draws of each kind, two at most deployed something when this was measured; seeds are fixed."""
    deployed = 0
    for seed in range(8):
        log = unrelated(kind, seed, n_prompts=100, n_samples=5)
        model = CostModel(unit="output_tokens", generators=log.generators)
        folds = np.arange(100) % 5
        learned = learn(log, model, objective="accuracy", weights=None, folds=folds, seed=seed)
        deployed += set(learned.verdict.chosen) != {"static mix"}
    assert deployed <= 1
