"""Of a large log, the prompts that are learned from: as many as what a bundle keeps can tell apart.

They are drawn by lot, so that they are like the log; generators that few prompts have keep more than their
share. Prompts without a single known value are never learned from.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.log.sample_log import SampleLog

# Measured on 50,000 prompts of three generators (`notebooks/LOG.md`, 2026-11-30): more change nothing beyond
# chance once the forest meets new prompts with the references that a bundle keeps.
_MOST: Final = 5000
# Prompts of each generator that are learned from at least, where the log has them.
_OF_EACH: Final = 500


def drawn_prompts(log: SampleLog, *, seed: int) -> SampleLog:
    """Return the log of the prompts that are learned from, in its order.

    Parameters
    ----------
    log : SampleLog
        With a known value of some sample.
    seed : int
        Of the lots.

    Examples
    --------
    >>> from training.simulated.log import simulated_log
    >>> len(drawn_prompts(simulated_log(30, n_samples=1), seed=0))
    30
    """
    known = log.values().n > 0
    rows = np.flatnonzero(known.any(axis=1))
    if len(rows) > _MOST:
        order = np.random.default_rng(seed).permutation(rows)
        own = [order[mine[order]][:_OF_EACH] for mine in known.T]
        rows = np.unique(np.concatenate([order[:_MOST], *own]))
    return log.select([log.prompts[row].id for row in rows])
