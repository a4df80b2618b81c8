"""Recorded samples with their costs, ready for replay: from a sample log and a cost model to `ReplayPool`.

A sample is charged for what it generated, a wave for sending its prompt, so that plans which come back to a
prompt pay for it again; whether prompts are re-sent or cached is the caller's choice. Verifiers are not
charged here.
"""

from __future__ import annotations

import numpy as np

from difficulty.sample_log import SampleLog
from policies.adaptive_replay import ReplayPool
from policies.cost import CostModel

__all__ = ["replay_pools"]


def replay_pools(
    log: SampleLog, cost_model: CostModel, *, resend_prompts: bool = True
) -> dict[str, ReplayPool]:
    """Return the independent samples of every generator with what each sample and each request costs.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    cost_model : CostModel
        Prices a usage in one unit.
    resend_prompts : bool
        Charge the prompt's tokens for each wave; False where a prefix cache makes coming back free. Units
        that do not count prompts (``samples``, ``output_tokens``) are the same either way.

    Raises
    ------
    UnknownUnitError
        When the unit needs what the log did not record.

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
    pools = {}
    for name in log.generators:
        pool = log.pool(name)
        drawn = np.arange(pool.correct.shape[1]) < pool.n[:, None]
        cost = cost_model.price_arrays(
            name, samples=1.0, output_tokens=np.where(drawn, pool.output_tokens, 0.0), requests=0.0
        )
        request = np.zeros(len(pool.n))
        if resend_prompts:
            has_line = pool.n > 0
            request = cost_model.price_arrays(name, prompt_tokens=np.where(has_line, pool.prompt_tokens, 0.0))
        pools[name] = ReplayPool(
            pool=pool,
            cost=np.where(drawn, np.broadcast_to(cost, drawn.shape), np.nan),
            request_cost=np.broadcast_to(request, pool.n.shape).copy(),
        )
    return pools
