"""Refuse logs of a server whose patterns took out what a policy is learned from: answers, or all of a prompt.

It assumes logs that `planner serve` keeps, where a mark stands for what was taken out, and prompts are
grouped by what they were before. Taking out is left to `planner.serving.request_log`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from difficulty.errors import InvalidLogError

if TYPE_CHECKING:
    from difficulty.log.sample_log import SampleLog

REMOVED: Final = "[removed]"
"""What stands in the place of what was taken out."""
SERVER: Final = "planner serve"
"""Source of such a log, in its header."""

# Share of the prompts that may look like another one by what was taken out.
_MOST_ALIKE: Final = 0.5


def refuse_redacted(log: SampleLog) -> None:
    """Refuse a server's log of which nothing can be learned, because of what was taken out.

    Raises
    ------
    InvalidLogError
        When answers had something taken out, so that different ones look alike, or most prompts look like
        another one that they were not.
    """
    if not _from_server(log.about):
        return
    n_answers = sum(any(REMOVED in answer for answer in log.answers(prompt.id)) for prompt in log.prompts)
    if n_answers:
        raise InvalidLogError(
            f"{n_answers} of {len(log)} prompts have answers that something was taken out of (log_removes): "
            "different answers look alike, so that votes and verdicts mean nothing; take patterns that leave "
            "answers whole, and keep a new log"
        )
    groups: dict[str, set[str]] = {}
    for prompt in log.prompts:
        groups.setdefault(prompt.content or "", set()).add(prompt.group)
    n_alike = sum(
        REMOVED in (prompt.content or "") and len(groups[prompt.content or ""]) > 1 for prompt in log.prompts
    )
    if n_alike > _MOST_ALIKE * len(log):
        raise InvalidLogError(
            f"{n_alike} of {len(log)} prompts look like another one, since log_removes took out what told "
            "them apart: such texts do not tell difficulty; take narrower patterns, and keep a new log"
        )


def _from_server(about: Mapping[str, object]) -> bool:
    merged = about.get("merged")
    parts = merged if isinstance(merged, list) else [about]
    return any(isinstance(part, Mapping) and part.get("source") == SERVER for part in parts)
