"""How good a belief about prompts was, by generator: Brier score, explained share, CRPS, reliability.

Scores are beside those of the constant belief in all training prompts alike. The estimators are those of
`difficulty.predictor.calibration`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difficulty.belief.reference_prompts import Belief
from difficulty.log.sample_log import SampleLog
from difficulty.predictor.calibration import brier_score, explained_share, rate_crps, reliability_curve
from difficulty.scale import UNIT, Scale
from training.frontier import number


def score_belief(belief: Belief, log: SampleLog, *, scale: Scale = UNIT) -> dict[str, Any]:
    """Return the scores of a belief by generator, as JSON values.

    Parameters
    ----------
    belief : Belief
        About the P prompts of the log.
    log : SampleLog
        What they turned out to be. Generators without two labelled samples of any prompt are left out, and
        of each generator the training prompts that have no labelled sample of it. Nothing is explained, None,
        where prompts do not differ.
    scale : Scale
        Of what samples are worth; scores are of shares of it.
    """
    table = {}
    every, weights = belief.references.success(), belief.weights
    for index, name in enumerate(belief.references.generators):
        if name not in log.generators:
            continue
        good = scale.share(log.pool(name).value)
        n, c = (~np.isnan(good)).sum(axis=1), np.nansum(good, axis=1)
        success = every[:, index]
        order = np.argsort(success, kind="stable")[: int((~np.isnan(success)).sum())]  # NaN sorts last
        known = (n > 1) & weights[:, order].any(axis=1)
        if not known.any():
            continue
        noise = np.nanvar(good[known], axis=1, ddof=1) / n[known]
        n, c, support = n[known], c[known], success[order]
        by = weights[known][:, order].astype(np.float64)
        by /= by.sum(axis=1, keepdims=True)
        flat = np.full((1, by.shape[1]), 1 / by.shape[1])
        p, prior = (np.clip(each @ support, 0, 1) for each in (by, flat))  # sums may pass 1 by rounding
        rate, curve = c / n, reliability_curve(p, n, c, n_bins=8)
        table[name] = {
            "n_prompts": int(known.sum()),
            "brier": round(brier_score(p, rate, noise), 5),
            "brier_constant": round(brier_score(prior, rate, noise), 5),
            "explained_share": number(explained_share(p, rate, noise), digits=4),
            "crps": round(rate_crps(support, by, rate), 5),
            "crps_constant": round(rate_crps(support, flat, rate), 5),
            "reliability": [
                dict(zip(curve._fields, row, strict=True))
                for row in zip(*(column.tolist() for column in curve), strict=True)
            ],
        }
    return table
