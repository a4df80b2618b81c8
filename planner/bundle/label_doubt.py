"""What labels do not tell, in words and numbers: how far off they may be, and what that may cost.

It reads the record that training left. Where the numbers come from is said in `training.labels.rivals`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

# From so many graded prompts on, what is said rests on them.
_CHECKED: Final = 20
_WHY: Final = {
    "agreement": "wrong answers that agree look right, and models that make the same mistakes agree",
    "verifier": "what the verifier takes for right counts as right, its mistakes included",
    "judge": "what the judge takes for right counts as right, its mistakes included",
}


def label_doubt(record: Mapping[str, Any]) -> str:
    """Return how far off a policy may be that was trained on labels; empty where nothing is recorded.

    Parameters
    ----------
    record : mapping
        ``training["labels"]`` of a bundle.

    Examples
    --------
    >>> right = {"labels": 0.41, "interval": [0.19, 0.63]}
    >>> rivals = {"best": "tiny", "n_graded": 0, "right": right, "may_lose": 0.14}
    >>> told = label_doubt({"by": "agreement", "rivals": rivals}).split(". ")
    >>> told[1]
    'Single samples of tiny are right .41 of the time by labels, and may be .19 to .63 in truth'
    >>> told[2]
    'A policy that knew the right answers may get up to 14 more of 100 prompts right'
    """
    rivals = record.get("rivals") or {}
    right = rivals.get("right")
    if not right:
        return ""
    n, checked = rivals["n_graded"], rivals["n_graded"] >= _CHECKED
    by = f"only {n} graded prompts check these labels" if n else "nobody checked these labels"
    by = f"labels were checked on {n} graded prompts" if checked else by
    text = f"{by}: {_WHY[record['by']]}"
    if right["interval"] is None:
        return f"{text}. How far off that is, nobody knows"
    low, high = (_share(end) for end in right["interval"])
    single = f"Single samples of {rivals['best']} are right"
    if checked:
        text += f". {single} {low} to {high} of the time"
    else:
        text += (
            f". {single} {_share(right['labels'])} of the time by labels, and may be {low} to {high} in truth"
        )
    lost = math.ceil(round(100 * rivals["may_lose"], 6))
    text += f". A policy that knew the right answers may get up to {lost} more of 100 prompts right"
    if checked:
        return text
    return f"{text}. So far off were labels on other logs; to know, grade prompts by lot and train again"


def _share(number: float) -> str:
    return f"{number:.2f}".removeprefix("0") if number < 1 else "1"
