"""What a log records of samples that answers may be picked by.

A signal is higher for better samples, NaN where it was not recorded, and has the name of the verifier that
gives it at run time. How curves and courses use signals is left to them: they know them by name alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.sample_pool import ChainPool, SamplePool
from policies.course.selection import LOGPROB


def recorded_signals(pool: SamplePool | ChainPool) -> Mapping[str, FloatArray]:
    """Return the signals of a pool by name, each in the shape of its samples or attempts."""
    return {"score": pool.score, LOGPROB: pool.mean_logprob}
