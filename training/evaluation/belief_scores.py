"""How good a belief about prompts was, by generator: Brier score, explained share, CRPS, reliability.

Scores are beside those of the constant prior over the same reference prompts. The estimators are those of
`difficulty.predictor.calibration`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import Belief
from difficulty.log.sample_log import SampleLog
from difficulty.predictor.calibration import brier_score, explained_share, rate_crps, reliability_curve

__all__ = ["score_belief"]

FloatArray: TypeAlias = NDArray[np.float64]


def score_belief(belief: Belief, log: SampleLog) -> dict[str, Any]:
    """Return the scores of a belief by generator, as JSON values.

    Parameters
    ----------
    belief : Belief
        About the P prompts of the log.
    log : SampleLog
        What they turned out to be. Generators without two labelled samples of any prompt are left out, and
        of each generator the reference prompts that have no labelled sample of it.
    """
    counts = log.counts()
    constant = _constant(belief)
    table = {}
    for index, name in enumerate(belief.references.generators):
        n, c = counts.n[:, index], counts.n_correct[:, index]
        success = belief.references.success()[:, index]
        order = np.argsort(success, kind="stable")[: int((~np.isnan(success)).sum())]  # NaN sorts last
        known = (n > 1) & (belief.weights[:, order] > 0).any(axis=1)
        if not known.any():
            continue
        p, prior = belief.mean(name)[known], constant.mean(name)[known]
        n, c = n[known], c[known]
        support = success[order]
        table[name] = {
            "brier": round(brier_score(p=p, n=n, n_correct=c).corrected, 5),
            "brier_constant": round(brier_score(p=prior, n=n, n_correct=c).corrected, 5),
            "explained_share": round(explained_share(p=p, n=n, n_correct=c), 4),
            "crps": round(
                rate_crps(support=support, weights=belief.weights[known][:, order], n=n, n_correct=c), 5
            ),
            "crps_constant": round(
                rate_crps(support=support, weights=constant.weights[known][:, order], n=n, n_correct=c), 5
            ),
            "reliability": [
                {
                    "predicted": float(a),
                    "observed": float(b),
                    "lower": float(low),
                    "upper": float(high),
                    "n": int(m),
                }
                for a, b, low, high, m in _reliability(p, n, c)
            ],
        }
    return table


def _constant(belief: Belief) -> Belief:
    """Return the constant prior over the same reference prompts."""
    return Belief(
        weights=np.full_like(belief.weights, 1 / belief.weights.shape[1]), references=belief.references
    )


def _reliability(p: FloatArray, n: NDArray[np.int64], c: NDArray[np.int64]) -> Any:
    curve = reliability_curve(p=p, n=n, n_correct=c, n_bins=8)
    return zip(curve.predicted, curve.observed, curve.lower, curve.upper, curve.n_prompts, strict=True)
