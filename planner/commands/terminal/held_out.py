"""The part of a log that a bundle was not trained on.

It assumes that training recorded its split and the hashes of its prompts in the bundle. Judging on
what is left is up to `training.evaluate`, which refuses prompts that were trained on.
"""

from __future__ import annotations

from typing import NamedTuple

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle


class HeldOut(NamedTuple):
    """The prompts to judge on.

    Attributes
    ----------
    log : SampleLog
        What is left.
    n_left_out : int
        Prompts of the log that are not among them.
    n_renamed : int
        Those of them that were trained on under another id: with the same text, or nearly the same.
    """

    log: SampleLog
    n_left_out: int
    n_renamed: int


def held_out(bundle: PolicyBundle, log: SampleLog) -> HeldOut:
    """Return the prompts of a log that are no training prompts, of their groups, or near-duplicates of them.

    Raises
    ------
    InvalidInputError
        When nothing is left.
    """
    about = bundle.training.get("about")
    split = about.get("split") if isinstance(about, dict) else None
    if isinstance(split, dict) and split.get("digest") == log.digest:
        found = bool(split.get("near_duplicates"))  # splits of earlier releases went by recorded groups alone
        test_side = log.split(
            split["test_fraction"], split["seed"], near_duplicates=found, by=split.get("by")
        )[1]
        return HeldOut(test_side, len(log) - len(test_side), n_renamed=0)
    near = bundle.texts.find([prompt.content for prompt in log.prompts]).near.tolist()
    known = [bundle.was_trained_on(prompt) for prompt in log.prompts]
    renamed = [row >= 0 and not trained for row, trained in zip(near, known, strict=True)]
    left = zip(log.prompts, known, renamed, strict=True)
    kept = [prompt.id for prompt, trained, other in left if not (trained or other)]
    drawn = "n_drawn_from" in bundle.training  # of a large log, so that the others were not trained on
    if not kept or (bundle.training.get("log_digest") == log.digest and not drawn):
        raise InvalidInputError(
            f"the bundle was trained on all {len(log)} prompts of this log, which therefore cannot tell what "
            "it is worth on new ones; evaluate on other prompts, or train again without --test-fraction 0, "
            "which sets some aside"
        )
    return HeldOut(
        log.select(kept) if len(kept) < len(log) else log, len(log) - len(kept), n_renamed=sum(renamed)
    )
