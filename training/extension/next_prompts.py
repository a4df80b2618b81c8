"""Which prompts to label next: those whose labels would tell most about all the others.

It reads the kernel of the process alone, so that prompts of which little is known and that many others
resemble come first. Labels play no part; what labelling costs is left to the caller.
"""

from __future__ import annotations

import numpy as np

from training.extension.factors import Fit, Places


def next_prompts(fit: Fit, candidates: Places, n: int) -> list[int]:
    """Return the rows of n candidates, the most telling first.

    Parameters
    ----------
    fit : Fit
        What is known already.
    candidates : Places
        N prompts.
    n : int
        At most N.

    Notes
    -----
    Greedy: each time the candidate whose label takes most off the summed variance of all candidates, given
    the labels before it. Krause, Singh, Guestrin 2008, JMLR 9, for the greedy choice of sensors.
    """
    cross = fit.factors.kernel(candidates, fit.places)
    covariance = fit.factors.kernel(candidates, candidates) - cross @ fit.inverse @ cross.T
    chosen: list[int] = []
    open_to = np.ones(len(covariance), dtype=bool)
    for _ in range(n):
        gain = np.square(covariance).sum(axis=0) / (np.diag(covariance).clip(0.0) + 1.0)
        best = int(np.where(open_to, gain, -np.inf).argmax())
        chosen.append(best)
        open_to[best] = False
        column = covariance[:, best].copy()
        covariance -= np.outer(column, column) / (max(float(column[best]), 0.0) + 1.0)
    return chosen
