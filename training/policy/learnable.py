"""Whether a log can be learned from: enough prompts with verdicts, on which generators can be compared.

What is wrong is said with what to do about it; learning itself is left to `training.train`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.redaction import refuse_redacted
from difficulty.log.sample_log import SampleLog
from policies.plan.objective import Objective

_MIN_PROMPTS: Final = 20


def check_learnable(log: SampleLog, objective: Objective) -> None:
    """Refuse a log that nothing can be learned from.

    Raises
    ------
    InvalidInputError
        When it is redacted, too few of its prompts have samples of known value, or generators were recorded
        on other prompts than the rest.
    """
    refuse_redacted(log)
    n_labelled = int((log.values().n.sum(axis=1) > 0).sum())
    if not n_labelled:
        if not log.n_recorded().any():
            raise InvalidInputError(
                "the log has runs of chains or searches only, and a policy begins with single samples: write "
                "some of the same prompts and generators on lines of their own (first attempts of chains "
                "will do)"
            )
        if log.has_rewards:
            raise InvalidInputError(
                "samples have rewards, and none is known to be right or wrong: train for rewards "
                "(--objective reward), or say from which reward on a sample is right (planner import LOG "
                "--reward-from reward --threshold 1)"
            )
        ungraded = "verifier" if log.has_scores and not log.has_answers else "agreement"
        raise InvalidInputError(
            "no sample is known to be right or wrong, and a policy learns from nothing else: grade them when "
            "they are imported (planner import --grade), let planner serve mark those that agree "
            f'(log_labels = "agreement"), or train on labels that nobody graded (labels="{ungraded}", '
            f"--labels {ungraded})"
            + ", or on the scores as rewards (--objective reward --reward score)"
            * log.has_scores
        )
    if n_labelled < _MIN_PROMPTS:
        known = "with a reward" if objective == "reward" else "that are known to be right or wrong"
        split = log.about.get("split")
        aside = isinstance(split, dict) and split.get("side") == "train"
        raise InvalidInputError(
            f"only {n_labelled} prompts{' of the train side' * aside} have samples {known}; at least "
            f"{_MIN_PROMPTS} are needed to train a policy: record more prompts, or label their samples"
            + ", or set fewer aside for testing (--test-fraction; 0 trains on all)"
            * aside
        )
    _check_overlap(log)


def check_groups(groups: NDArray[np.str_]) -> None:
    """Refuse prompts of which none can be left out while the others are learned from.

    Raises
    ------
    InvalidInputError
        When all of them are of one group.
    """
    if len(set(groups.tolist())) < 2:
        raise InvalidInputError(
            f"all {len(groups)} prompts are of one group (near-duplicates, or named so by the log), so that "
            "none can be left out to judge what is learned: record prompts that differ, or mend their groups"
        )


def _check_overlap(log: SampleLog) -> None:
    """Refuse generators that were recorded on other prompts than the rest: nothing compares them."""
    known = log.values().n > 0
    usual = int(known.sum(axis=0).argmax())
    shared = (known & known[:, [usual]]).sum(axis=0)
    for name, own, both in zip(log.generators, known.sum(axis=0).tolist(), shared.tolist(), strict=True):
        if both < min(own, _MIN_PROMPTS):
            raise InvalidInputError(
                f"generators {name!r} and {list(log.generators)[usual]!r} have labelled samples of {both} "
                f"prompts in common, and {_MIN_PROMPTS} are needed to compare them: record both on the same "
                "prompts, or train on one of them"
            )
