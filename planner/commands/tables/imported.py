"""What ``planner import`` says: which column was taken for what, what nothing reads, and what is missing.

It assumes a log that an importer made, whose header tells what was read. Reading is left to
`difficulty.importers`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from planner.commands.terminal.terminal import note, say

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.log.sample_log import SampleLog


_PAID: Final = re.compile(r"cost|price|usd|dollar", re.IGNORECASE)
_GRADED: Final = ("tables", "lm-evaluation-harness", "inspect_ai")  # logs that --grade is for


def summary_of(log: SampleLog) -> dict[str, object]:
    """Return what a log holds, for programs."""
    counts = log.counts().n
    n_recorded = log.n_recorded()
    drawn = n_recorded[n_recorded > 0]
    return {
        "n_prompts": len(log),
        "n_samples": log.n_samples,
        "generators": list(log.generators),
        "samples_per_prompt": [int(drawn.min()), int(drawn.max())] if drawn.size else [0, 0],
        "unknown_verdicts": int(n_recorded.sum() - counts.sum()),
        "missing_lines": int((n_recorded == 0).sum()),
        "about": dict(log.about),
    }


def tell(log: SampleLog) -> None:
    """Say what was taken for what, and what the log lacks."""
    about, summary = log.about, summary_of(log)
    for name in ("columns", "sample_fields"):
        for field, column in _mapping(about.get(name)).items():
            say(f"  {field:<14} <- {'samples: ' if name == 'sample_fields' else ''}{column}", error=True)
    parts = about.get("one_column_each")
    if isinstance(parts, list):
        say(f"  one column each: {', '.join(map(str, parts))}", error=True)
    unused = about.get("unused_columns")
    if isinstance(unused, list):
        note(f"not used: {', '.join(unused)}")
        if any(_PAID.search(str(name)) for name in unused) and not any(map(_priced, log.generators.values())):
            note("what samples cost is told by prices: --generators FILE, with usd_per_mtok_in and _out")
    without = about.get("without_samples")
    if isinstance(without, list):
        note(f"left out, as log-likelihoods are no samples: {', '.join(map(str, without))}")
    if about.get("failed_samples_left_out"):
        note(f"left out: {about['failed_samples_left_out']} samples that failed")
    n_copies = about.get("copies_left_out")
    if n_copies:
        note(f"samples that an earlier log of the same run holds, too, are left out: {n_copies}")
    if about.get("empty_rows_left_out"):
        note(f"left out: {about['empty_rows_left_out']} empty rows")
    unfinished = about.get("unfinished")
    if isinstance(unfinished, list):
        note(f"the run did not finish, so that samples may be missing: {', '.join(map(str, unfinished))}")
    if summary["unknown_verdicts"]:
        remedy = ""
        if not log.counts().n.any() and about.get("imported_from") in _GRADED:
            remedy = _remedy(log)
        note(f"{summary['unknown_verdicts']:,} of {log.n_samples:,} samples have no verdict{remedy}")
    read = [field for name in ("columns", "sample_fields") for field in _mapping(about.get(name))]
    if "text" in read and not log.has_answers:
        note("no answers, by which votes are counted: --extract HOW finds them in the completions")
    least, most = log.n_recorded().min(), log.n_recorded().max()
    if least != most:
        note(f"ragged: {least} to {most} samples for a prompt and generator")
    if not log.has_tokens:
        pools = [log.pool(name) for name in log.generators]
        n = sum(int(pool.n.sum()) for pool in pools)
        n_counted = sum(int((pool.output_tokens >= 0).sum()) for pool in pools)
        told = "take the mean of a prompt's others, or leave it out" if n_counted else "cannot be told"
        note(f"{n - n_counted:,} of {n:,} samples have no tokens; costs in tokens {told}")
    if not log.has_text:
        note("not every prompt has a text; difficulty cannot be read from texts")


def _priced(generator: Generator) -> bool:
    return generator.usd_per_mtok_out is not None


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _remedy(log: SampleLog) -> str:
    """Return what can be done with a log that has no verdicts."""
    named = "--correct COLUMN names verdicts" if log.about.get("unused_columns") else ""
    if log.has_rewards:
        return "; --threshold 1 takes rewards from 1 on as right, or train with --objective reward"
    if any(prompt.gold is not None for prompt in log.prompts):
        return f"; --grade HOW compares answers with the right ones{named and ', '}{named}"
    if log.has_answers:
        return "; name the right answers (--gold) and --grade, or train with --labels agreement"
    if log.has_scores:
        return "; train with --objective reward --reward score, or with --labels verifier"
    return f"{named and '; '}{named}"
