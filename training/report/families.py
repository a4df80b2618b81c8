"""The report's words on kinds of prompts: what text tells of known families, and what of unseen ones.

Numbers come from `training.evaluation.family_scores`; nothing is computed here but means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.report.markdown import as_text, document, table
from training.report.words import hundredths

_NEXT_TO_NOTHING: Final = 0.03
_MOST_OF_IT: Final = 0.75


def families_section(families: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    """Return the table of explained shares on both splits, and what it means."""
    if not families:
        return ""
    columns = {
        f"{families['n_known']} test prompts of known families": families["known"],
        f"{families['n_unseen']} test prompts of unseen families": families["unseen"],
        f"{families['n_left_out']} families left out in training": families["left_out"],
    }
    shown = {heading: shares for heading, shares in columns.items() if shares}
    if not shown:
        return ""
    rows = [
        [as_text(name), *(hundredths(shares.get(name)) for shares in shown.values())] for name in calibration
    ]
    return document(
        "## Known and unseen families",
        f"The log names families of prompts (`meta.{as_text(families['key'])}`). Share of the "
        "differences in success between prompts that the belief explains, 1 at best, 0 where it tells no "
        "more than the mean:",
        table(["generator", *shown], rows),
        unseen_in_words(families),
    )


def unseen_in_words(families: Mapping[str, Any]) -> str:
    """Say what is known of kinds of prompts that training never saw."""
    unseen = _mean(families["unseen"] or families["left_out"])
    if unseen is None:
        return "The families are too few or too small to tell what is known of unseen ones."
    known = _mean(families["known"])
    if unseen < _NEXT_TO_NOTHING:
        told = "next to nothing"
    elif known is None:
        told = f"{unseen:.0%} of the differences"
    elif unseen >= _MOST_OF_IT * known:
        told = f"about as much as of known ones ({unseen:.0%} of the differences, {known:.0%})"
    else:
        told = f"less than of known ones: {unseen:.0%} of the differences in place of {known:.0%}"
    judged = (
        "all other tables are of known families and hold for these"
        if not families["n_unseen"]
        else f"{families['n_unseen']} of the test prompts that all other tables are of belong to such"
    )
    return (
        f"Of families that training did not see, text tells {told}; {judged}. For new kinds of prompts, "
        "record samples of them and train again."
    )


def _mean(shares: Mapping[str, float | None]) -> float | None:
    known = [share for share in shares.values() if share is not None]
    return sum(known) / len(known) if known else None
