"""Measure energy per token: fit joules per prompt and per output token to metered runs.

It assumes that the energy of a run grows linearly with both token counts at the batch size it was metered at.
Reading the meter is left to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from difficulty.errors import InvalidInputError

__all__ = ["EnergyPerToken", "EnergyRun", "fit_energy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyRun:
    """One metered run.

    Parameters
    ----------
    prompt_tokens, output_tokens : float
        Tokens read (cached ones excluded) and generated.
    joules : float
        Energy above idle, or all of it: as it shall be charged.
    """

    prompt_tokens: float
    output_tokens: float
    joules: float


class EnergyPerToken(NamedTuple):
    """Joules per token, for `policies.cost.cost_model.CostModel`.

    Attributes
    ----------
    prompt, output : float
        Joules per prompt and per output token.
    """

    prompt: float
    output: float


def fit_energy(runs: Sequence[EnergyRun]) -> EnergyPerToken:
    """Fit energy per token by non-negative least squares on relative error.

    Parameters
    ----------
    runs : sequence of EnergyRun
        At least 2, with different shares of prompt and output.

    Raises
    ------
    InvalidInputError
        When there are fewer than 2 runs, a number cannot be, or all runs have the same share of prompt
        tokens, so that the two figures cannot be told apart.

    Examples
    --------
    >>> energy = fit_energy(
    ...     [
    ...         EnergyRun(prompt_tokens=1000, output_tokens=10, joules=70.0),
    ...         EnergyRun(prompt_tokens=100, output_tokens=500, joules=1005.0),
    ...     ]
    ... )
    >>> round(energy.prompt, 6), round(energy.output, 6)
    (0.05, 2.0)
    """
    from scipy.optimize import nnls

    if len(runs) < 2:
        raise InvalidInputError(f"energy per token needs at least 2 metered runs, got {len(runs)}")
    for index, run in enumerate(runs):
        numbers = (run.prompt_tokens, run.output_tokens, run.joules)
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or run.joules <= 0:
            raise InvalidInputError(
                f"run {index} must have finite numbers >= 0 and joules above 0, got {run}"
            )
    tokens = np.array([[run.prompt_tokens, run.output_tokens] for run in runs], dtype=np.float64)
    weighted = tokens / np.array([run.joules for run in runs])[:, None]
    if np.linalg.matrix_rank(weighted / np.abs(weighted).max()) < 2:
        raise InvalidInputError(
            "all runs have the same ratio of prompt to output tokens, so that their energies cannot be told "
            "apart; add a run with a long prompt and a short completion"
        )
    solution, _ = nnls(weighted, np.ones(len(runs)))
    return EnergyPerToken(float(solution[0]), float(solution[1]))
