"""How much of the differences between prompts a belief explains: of known families, and of unseen ones.

A random split has every family on both sides; a bundle is used on other kinds of prompts, too. It assumes
that the log names families (`SampleLog.families`) and that the bundle knows those that it was trained on.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import Belief
from difficulty.log.sample_log import SampleLog
from difficulty.scale import UNIT, Scale
from planner.bundle.policy_bundle import PolicyBundle
from training.evaluation.belief_scores import score_belief

# Of fewer prompts, a share of variance is noise.
_FEWEST: Final = 20


def family_scores(
    bundle: PolicyBundle, belief: Belief, log: SampleLog, *, scale: Scale = UNIT
) -> dict[str, Any]:
    """Return the explained share of each generator's success on known and on unseen families.

    Parameters
    ----------
    bundle : PolicyBundle
        Knows the families that it was trained on, and what text told of those left out in training.
    belief : Belief
        About the P prompts of the log.
    log : SampleLog
        Test prompts.
    scale : Scale
        Of what samples are worth.

    Returns
    -------
    dict
        ``key`` of `meta`; ``n_known`` and ``n_unseen`` prompts; ``known``, ``unseen`` and ``left_out`` (the
        training's families, out of fold) by generator, each empty where there are fewer than 20 prompts; and
        ``n_left_out`` families. Empty where the log names no families.
    """
    trained = bundle.training.get("families", {})
    key = trained.get("key")
    # The test log may name families by another key, or none.
    families = log.families(key if key in log.meta_keys else None)
    if families is None or belief.weights.shape[1] == 0:
        return {}
    known = np.array([name is not None and bundle.knows_family(name) for name in families.names])
    unseen = np.array([name is not None for name in families.names]) & ~known
    return {
        "key": families.key,
        "n_known": int(known.sum()),
        "n_unseen": int(unseen.sum()),
        "known": _explained(belief, log, known, scale),
        "unseen": _explained(belief, log, unseen, scale),
        "left_out": trained.get("skill", {}),
        "n_left_out": trained.get("n", 0),
    }


def _explained(
    belief: Belief, log: SampleLog, chosen: NDArray[np.bool_], scale: Scale
) -> dict[str, float | None]:
    if chosen.sum() < _FEWEST:
        return {}
    part = Belief(weights=belief.weights[chosen], references=belief.references)
    ids = [prompt.id for prompt, kept in zip(log.prompts, chosen.tolist(), strict=True) if kept]
    return {
        name: row["explained_share"] for name, row in score_belief(part, log.select(ids), scale=scale).items()
    }
