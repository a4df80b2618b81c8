"""Leave out samples that nobody graded, where others of the same prompt and generator were.

What a course is worth is read off all samples of a prompt, so that one without a verdict would cost the
prompt. It assumes that what was graded was not picked by its worth; prompts without a verdict stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import offsets_of
from difficulty.log.columns import LogColumns


def without_ungraded(
    columns: LogColumns, independent: NDArray[np.bool_], known: NDArray[np.bool_]
) -> LogColumns:
    """Return the columns without independent samples that are not `known` beside others that are."""
    lines = columns.lines
    line = np.repeat(np.arange(len(lines.prompt)), np.diff(lines.offsets))
    pair = (lines.prompt.astype(np.int64) * len(columns.generators) + lines.generator)[line]
    n_known = np.bincount(
        pair[independent], weights=known[independent], minlength=int(pair.max(initial=0)) + 1
    )
    kept = known | ~independent | (n_known[pair] == 0)
    if kept.all():
        return columns
    sizes = np.bincount(line[kept], minlength=len(lines.prompt))
    return replace(
        columns,
        lines=replace(lines, offsets=offsets_of(sizes)),
        samples=columns.samples.take(np.flatnonzero(kept)),
    )
