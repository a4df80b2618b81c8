"""Tune the policy on the whole menu, and without the learned verifier where that stands in the policy's way.

A learned verifier on the menu makes the static mix better too, so that a policy may no longer be shown to
beat it. A policy tuned without the verifier is then deployed, if it beats the static mix that has it. Tuning
itself is left to `training.menu.tuning`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicyMixture
from policies.course.allocation import Allocation
from policies.verifier.learned_verifier import LEARNED
from training.frontier import bootstrap_weights, interval
from training.menu.crossfit import CrossFit
from training.menu.tuning import Scorer, Tuned, menu_mask, tune

__all__ = ["TunedMenu", "gain_over_static", "tune_menu"]

# As in `training.menu.tuning`: two-sided level of the interval whose lower end must lie above the least gain.
_DECISION_LEVEL: Final = 0.99
_LEAST_GAIN: Final = 1e-3
_N_REPLICATES: Final = 2000


class TunedMenu(NamedTuple):
    """What tuning found, and the part of the menu that plans may use, shape (A,)."""

    tuned: Tuned
    allowed: NDArray[np.bool_]


def tune_menu(
    crossfit: CrossFit,
    allocations: Sequence[Allocation],
    *,
    n_trials: int,
    seed: int,
    storage: str | os.PathLike[str] | None = None,
    study_name: str = "policy",
    progress: Callable[[int, int], None] | None = None,
) -> TunedMenu:
    """Tune the policy; again without the learned verifier, where the first one falls back to the static mix.

    Parameters
    ----------
    crossfit, allocations, n_trials, seed, storage, study_name, progress
        As in `training.menu.tuning.tune`; the second study has a name of its own.

    Notes
    -----
    The second policy is deployed where its gain over the static mix *with* the learned verifier, less what
    selection alone seemed to earn, is above the least gain by its 99 % interval; that is then its verdict.
    """
    tuned = tune(
        crossfit,
        allocations,
        n_trials=n_trials,
        seed=seed,
        storage=storage,
        study_name=study_name,
        progress=progress,
    )
    found = TunedMenu(tuned, menu_mask(tuned.menu, crossfit.value, crossfit.cost, allocations))
    plain = np.array([allocation.parameters.get("verifier") != LEARNED for allocation in allocations])
    if tuned.deployed or plain.all():
        return found
    without = replace(crossfit, value=crossfit.value[:, plain], cost=crossfit.cost[:, plain])
    kept = [item for item, keep in zip(allocations, plain.tolist(), strict=True) if keep]
    second = tune(
        without,
        kept,
        n_trials=n_trials,
        seed=seed,
        storage=storage,
        study_name=f"{study_name}-unlearned",
        progress=progress,
    )
    if not second.deployed:
        return found
    allowed = np.zeros(len(allocations), dtype=bool)
    allowed[plain] = menu_mask(second.menu, without.value, without.cost, kept)
    gains = gain_over_static(crossfit, allocations, second.policy, allowed, seed=seed)
    gains -= max(second.optimism, 0.0)
    if interval(gains[1:], level=_DECISION_LEVEL)[0] <= _LEAST_GAIN:
        return found
    return TunedMenu(replace(second, gain=float(gains[0]), gain_interval=interval(gains[1:])), allowed)


def gain_over_static(
    crossfit: CrossFit,
    allocations: Sequence[Allocation],
    policy: PolicyMixture,
    allowed: NDArray[np.bool_],
    *,
    seed: int,
) -> NDArray[np.float64]:
    """Return the mean gain over the best static mix of the whole menu at equal cost, shape (1 + R,).

    Parameters
    ----------
    crossfit, allocations
        As in `tune_menu`.
    policy : PolicyMixture
        What is replayed.
    allowed : ndarray of bool, shape (A,)
        The part of the menu that it may use; the static mix may use all of it.
    seed : int
        Seed of the bootstrap; element 0 is the estimate itself.
    """
    weights = bootstrap_weights(len(crossfit.value), n_replicates=_N_REPLICATES, seed=seed)
    return Scorer(crossfit, allocations).gain(crossfit.replay(policy, allowed), weights)
