"""Recorded samples with their costs, ready for replay: from a sample log and a cost model to `ReplayPool`.

A sample is charged for what it generated, a wave for sending its prompt, so that plans which come back to a
prompt pay for it again; whether prompts are re-sent or cached is the caller's choice. Verifiers are not
charged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import UnknownUnitError
from difficulty.sample_log import SampleLog
from policies.adaptive_replay import ReplayPool
from policies.cost import CostModel
from policies.learned_verifier import LearnedScorer

__all__ = ["ADDITIVE_UNITS", "half_of", "replay_pools"]

FloatArray: TypeAlias = NDArray[np.float64]

# Units in which the cost of a run is the sum of the costs of its samples and of sending its prompts.
ADDITIVE_UNITS: Final = ("samples", "output_tokens", "total_tokens", "flops", "usd", "joules")


def replay_pools(
    log: SampleLog,
    cost_model: CostModel,
    *,
    resend_prompts: bool = True,
    generators: Sequence[str] | None = None,
    judges: Mapping[str, LearnedScorer] | None = None,
) -> dict[str, ReplayPool]:
    """Return the independent samples of generators with what each sample and each request costs.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    cost_model : CostModel
        Prices a usage in one unit of `ADDITIVE_UNITS`.
    resend_prompts : bool
        Charge the prompt's tokens for each wave; False where a prefix cache makes coming back free. Units
        that do not count prompts (``samples``, ``output_tokens``) are the same either way.
    generators : sequence of str, optional
        Names of those to price; all of the log by default.
    judges : mapping of str to LearnedScorer, optional
        Learned verifiers by generator, for ladders that ask them; their rows are those of the log.

    Raises
    ------
    UnknownUnitError
        When the unit does not add up over samples, or needs what the log did not record.

    Notes
    -----
    A sample without a token count counts as many tokens as the mean of its prompt's other samples, or of its
    generator's where the prompt has no count at all.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> record = {"prompt_id": "a", "generator": "tiny", "prompt_tokens": 9,
    ...           "samples": [{"answer": "4", "correct": True, "output_tokens": 5}]}
    >>> log = SampleLog.from_records([record], {"tiny": Generator(name="tiny")})
    >>> pool = replay_pools(log, CostModel(unit="total_tokens"))["tiny"]
    >>> pool.cost.tolist(), pool.request_cost.tolist()
    ([[5.0]], [9.0])
    """
    if cost_model.unit not in ADDITIVE_UNITS:
        raise UnknownUnitError(
            f"samples can be replayed in units that add up over them ({', '.join(ADDITIVE_UNITS)}), and "
            f"{cost_model.unit} do not; choose one of these"
        )
    pools = {}
    for name in log.generators if generators is None else generators:
        pool = log.pool(name)
        drawn = np.arange(pool.correct.shape[1]) < pool.n[:, None]
        tokens = np.where(drawn, _filled(pool.output_tokens, drawn), 0.0)
        cost = cost_model.price_arrays(name, samples=1.0, output_tokens=tokens, requests=0.0)
        request = np.zeros(len(pool.n))
        if resend_prompts:
            has_line = pool.n > 0
            request = cost_model.price_arrays(name, prompt_tokens=np.where(has_line, pool.prompt_tokens, 0.0))
        pools[name] = ReplayPool(
            pool=pool,
            cost=np.where(drawn, np.broadcast_to(cost, drawn.shape), np.nan),
            request_cost=np.broadcast_to(request, pool.n.shape).copy(),
            judge=(judges or {}).get(name),
        )
    return pools


def half_of(item: ReplayPool, half: Literal["even", "odd"]) -> ReplayPool:
    """Return one of two disjoint halves of each pool: the other's samples are unlabelled, so never drawn.

    Parameters
    ----------
    item : ReplayPool
        Single samples; recorded counts have no order that halves could be taken of.
    half : {"even", "odd"}
        The samples at even positions, or at odd ones, as in `policies.curves.measure_curves`.
    """
    mine = np.arange(item.pool.correct.shape[1]) % 2 == (0 if half == "even" else 1)
    correct = np.where(mine, item.pool.correct, -1).astype(np.int8)
    return replace(item, pool=replace(item.pool, correct=correct))


def _filled(tokens: FloatArray, drawn: NDArray[np.bool_]) -> FloatArray:
    """Return token counts with gaps filled by the row's mean, else by that of all; NaN if all are gaps."""
    known = drawn & ~np.isnan(tokens)
    if not known.any():
        return tokens
    total = np.where(known, tokens, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(total), float(tokens[known].mean())), where=count > 0)
    return np.where(known, tokens, mean[:, None])
