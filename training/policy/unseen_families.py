"""What text says about kinds of prompts that were never seen: skill out of fold by family.

A random split asks how well prompts of known kinds are told apart, which flatters where the kind says most.
It assumes that the log names families; that a bundle is judged on both is up to `training.train`, which
records it, and `training.evaluate`, which reports it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.text_belief_fit import fit_text_belief
from difficulty.log.families import Families
from difficulty.predictor.group_folds import group_folds

_N_FOLDS: Final = 5
# A fold needs families to leave out, and a family that is one prompt is no kind.
_FEWEST_FAMILIES: Final = 5
_FEWEST_MEMBERS: Final = 2.0
# Twenty seconds of fitting for five generators tell no more than ten do.
_MOST_PROMPTS: Final = 3000


def skill_on_unseen_families(
    features: NDArray[np.floating],
    n: NDArray[np.integer],
    n_good: NDArray[np.integer] | NDArray[np.floating],
    families: Families,
    generators: tuple[str, ...],
    *,
    seed: int,
    spread: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Return the key, the number of families, and what text explains of unseen ones, as JSON values.

    Parameters
    ----------
    features : ndarray, shape (P, F)
        Features of the training prompts.
    n, n_good : ndarray, shape (P, G)
        Samples of known value of each generator, and how many of them succeeded.
    families : Families
        Of the P prompts; those without one are left out.
    generators : tuple of str, length G
    seed : int
    spread : ndarray of float64, shape (P, G), optional
        As for `fit_text_belief`.

    Returns
    -------
    dict
        ``key``, ``n``, and ``skill`` by generator: the share of the variance of success rates that is
        explained on families that were left out, below 0 where the mean of all says more; empty where the
        families are too few or too small to tell.
    """
    names = np.array([name or "" for name in families.names])
    rows = np.flatnonzero(names != "")
    n_families = len(set(names[rows].tolist()))
    record: dict[str, Any] = {"key": families.key, "n": n_families, "skill": {}}
    if n_families < _FEWEST_FAMILIES or len(rows) < _FEWEST_MEMBERS * n_families:
        return record
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MOST_PROMPTS])
    folds = group_folds(names[rows], n_folds=_N_FOLDS, seed=seed)
    fitted = fit_text_belief(
        features[rows],
        n[rows],
        n_good[rows],
        folds,
        seed=seed,
        spread=None if spread is None else spread[rows],
    )
    record["skill"] = {
        name: round(share, 4) if np.isfinite(share) else None
        for name, share in zip(generators, fitted.skill.tolist(), strict=True)
    }
    return record
