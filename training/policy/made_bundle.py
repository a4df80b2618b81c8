"""Put together what training found: reference prompts, table, belief, and a record of how it came about.

Precision hardly grows with more reference prompts than are kept here, and planning takes memory for each.
Finding it all is left to `training.train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.rows import row_mean
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.log.families import Families
from difficulty.log.known_texts import KnownTexts
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle, family_hash, prompt_hash
from policies.cost.cost_model import CostModel
from policies.plan.objective import Objective
from policies.table.measure import prompt_lengths, prompt_token_fit
from training.menu.learned_verifiers import LearnedVerifiers
from training.policy.gaps import filled_table, filled_where_known
from training.policy.learn import Learned
from training.policy.overoptimised import overoptimised
from training.policy.text_read import TextRead, successes

# Reference prompts that a bundle keeps: planning time and memory grow with them, precision hardly does.
_MAX_REFERENCES: Final = 3000


def made_bundle(
    log: SampleLog,
    learned: Learned,
    read: TextRead | None,
    families: Families | None,
    verifiers: LearnedVerifiers,
    model: CostModel,
    *,
    record: Mapping[str, object],
    objective: Objective,
    seed: int,
    n_trials: int,
) -> PolicyBundle:
    """Put the bundle together, with at most `_MAX_REFERENCES` reference prompts."""
    n, n_good = successes(log)
    rows = np.arange(len(log.prompts))
    if len(rows) > _MAX_REFERENCES:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MAX_REFERENCES])
    lengths, verdict = prompt_lengths(log), learned.verdict
    return PolicyBundle(
        objective=objective,
        unit=model.unit,
        generators=dict(log.generators),
        policy=learned.policy,
        table=filled_table(learned.table, learned.value).take(rows),
        deployed=learned.deployed,
        references=ReferencePrompts(
            generators=tuple(log.generators),
            n=n[rows],
            n_correct=n_good[rows],
            output_tokens=np.stack(
                [row_mean(log.pool(name).output_tokens)[rows] for name in log.generators], axis=1
            ),
        ),
        prompt_tokens=filled_where_known(np.stack(list(lengths.values()), axis=1))[rows],
        features=None if read is None else read.features,
        belief=None if read is None else read.fitted.belief.take(rows),
        prompt_token_fit=prompt_token_fit(log),
        training={
            **record,
            "n_prompts": len(log.prompts),
            "n_samples": log.n_samples,
            "n_near_duplicates": log.near_duplicates().n_prompts,
            "seed": seed,
            "n_trials": n_trials,
            "about": {k: v for k, v in log.about.items() if k in ("source", "licence", "split")},
            "verdict": [
                {
                    "deployed": name,
                    "gain": round(verdict.gain[name][at], 6),
                    "error": round(verdict.error[name][at], 6),
                }
                for at, name in enumerate(verdict.chosen)
            ],
            "skill": {} if read is None else read.skill(log.generators),
            "families": {} if read is None else read.unseen,
            "mixture": {} if read is None else _parts(read.fitted.belief.options),
            "learned_verifier": verifiers.record,
            "overoptimised": overoptimised(learned.columns, learned.bench.groups),
        },
        trained=_trained_hashes(log.prompts, families),
        texts=KnownTexts.of([prompt.content for prompt in log.prompts] if log.has_text else []),
        verifiers={name: made for name, made in verifiers.models.items() if name in log.generators},
    )


def _parts(options: BeliefOptions) -> dict[str, float]:
    """Return how much each part of a belief's mixture counts; shares of 1."""
    parts = {"forest": options.forest, "nearest": options.nearest, "kernel": options.kernel}
    total = sum(parts.values())
    return {name: round(part / total, 4) for name, part in parts.items()}


def _trained_hashes(prompts: Sequence[Prompt], families: Families | None) -> NDArray[np.uint64]:
    """Return what tells a prompt that was trained on, ids and groups, and the families that were seen."""
    hashes = [prompt_hash(name) for prompt in prompts for name in (prompt.id, prompt.group)]
    if families is not None:
        hashes += [family_hash(name) for name in families.names if name is not None]
    return np.unique(np.array(hashes, dtype=np.uint64))
