"""What ``planner collect`` says in the end: what is recorded, what is missing and why, and what comes next.

Every number comes from the collection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.commands.tables.shared import counted
from planner.commands.terminal.terminal import print_json, say

if TYPE_CHECKING:
    from planner.collection.collected import Collected


def print_collected(done: Collected, *, as_json: bool) -> None:
    """Print what a collection has come to."""
    if as_json:
        told = {name: getattr(done, name) for name in done.__slots__ if name not in ("path", "log")}
        print_json({"out": str(done.path) if done.log is not None else None, **told})
        return
    usage = done.usage
    say(
        f"{done.n_pieces - done.n_missing} of {done.n_pieces} pieces (one prompt, generator and strategy), "
        f"{done.n_samples} samples recorded; {usage.output_tokens:,.0f} output and "
        f"{usage.prompt_tokens:,.0f} prompt tokens in {usage.requests:,.0f} requests"
    )
    if done.failures:
        say("failed for good: " + counted(done.failures))
    if done.n_missing:
        why = f" ({counted(done.missing)})" if done.missing else ""
        say(f"{done.n_missing} pieces are missing{why}: start again with the same arguments to go on")
    if done.log is not None:
        say(repr(done.log))
        if done.log.counts().n.any():
            say(f"Next: planner train {done.path}")
        else:
            say("Nothing is graded, so nothing can be trained on it: collect prompts with answers")
