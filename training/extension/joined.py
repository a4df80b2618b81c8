"""A bundle with one more generator: its columns beside the old ones, and what is recorded of it.

Nothing of the old policy is taken away; what is foretold and offered is left to the other files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.rows import row_mean
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle, prompt_hash
from policies.answering.evidence import Usual
from policies.table.measure import prompt_lengths, prompt_token_fit
from policies.table.table import CourseTable
from training.extension.factors import Fit


def joined(
    bundle: PolicyBundle,
    log: SampleLog,
    name: str,
    table: CourseTable,
    offered: NDArray[np.bool_],
    fit: Fit,
    drawn: Sequence[Prompt],
) -> PolicyBundle:
    """Return the bundle with the new generator, whose samples of some `drawn` prompts are labelled."""
    references, pool = bundle.references, log.pool(name)
    n, n_correct = (np.zeros((len(references), 1), dtype=np.int64) for _ in range(2))
    tokens = np.full((len(references), 1), np.nan)
    at = fit.places.matched
    some = at >= 0
    right = np.nansum(pool.value, axis=1).round().astype(np.int64)
    n[at[some], 0], n_correct[at[some], 0] = pool.n_valued[some], right[some]
    tokens[at[some], 0] = row_mean(pool.output_tokens)[some]
    sent = prompt_lengths(log)[name]
    others = row_mean(bundle.prompt_tokens)
    usual = float(np.nanmean(others)) if np.isfinite(others).any() else 0.0
    expected = np.square(fit.places.leaves) @ np.nan_to_num(others, nan=usual)
    known = ~np.isnan(sent) & (expected > 0)
    length = others * (sent[known].sum() / expected[known].sum() if known.any() else np.nan)
    used = offered.any(axis=0)
    policy = bundle.policy
    answering = bundle.answering
    if answering is not None:
        answering = replace(answering, usual={**answering.usual, name: Usual(np.nan, np.nan)})
    hashes = [prompt_hash(each) for prompt in drawn for each in (prompt.id, prompt.group)]
    return replace(
        bundle,
        generators={**bundle.generators, name: log.generators[name]},
        policy=replace(policy, offered=np.concatenate([policy.offered, offered], axis=1)),
        table=CourseTable.joined([bundle.table, table]),
        deployed=np.concatenate([bundle.deployed, used]),
        references=ReferencePrompts(
            generators=(*references.generators, name),
            n=np.concatenate([references.n, n], axis=1),
            n_correct=np.concatenate([references.n_correct, n_correct], axis=1),
            output_tokens=np.concatenate([references.output_tokens, tokens], axis=1),
        ),
        prompt_tokens=np.concatenate([bundle.prompt_tokens, length[:, None]], axis=1),
        trained=np.unique(np.concatenate([bundle.trained, np.array(hashes, dtype=np.uint64)])),
        prompt_token_fit={**bundle.prompt_token_fit, **prompt_token_fit(log)},
        answering=answering,
    )
