"""Find the lines of some prompts of a log, in an order that somebody asks for.

It assumes checked columns. Cutting the columns down to these lines is left to `difficulty.log.columns`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.columns import LogColumns


def lines_of_prompts(columns: LogColumns, prompt_ids: Iterable[str]) -> NDArray[np.int64]:
    """Return the numbers of the lines of some prompts, in the order of `prompt_ids`.

    Raises
    ------
    InvalidInputError
        When an id is not in the log or is given twice, or none is given.
    """
    place = {prompt.id: index for index, prompt in enumerate(columns.prompts)}
    rank = np.full(len(place), -1, dtype=np.int64)
    n_selected = 0
    for prompt_id in prompt_ids:
        index = place.get(prompt_id)
        if index is None:
            raise InvalidInputError(f"prompt {prompt_id!r} is not in the log, which has {len(place)} prompts")
        if rank[index] >= 0:
            raise InvalidInputError(f"prompt {prompt_id!r} is selected twice; select each prompt once")
        rank[index] = n_selected
        n_selected += 1
    if not n_selected:
        raise InvalidInputError("select at least one prompt; a log cannot be empty")
    line_rank = rank[columns.lines.prompt]
    lines = np.flatnonzero(line_rank >= 0)
    kept = line_rank[lines]
    _, first = np.unique(kept, return_index=True)
    if (np.diff(first) < 0).any():  # only another order of prompts moves lines
        lines = lines[np.argsort(kept, kind="stable")]
    return lines
