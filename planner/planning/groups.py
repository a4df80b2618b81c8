"""Groups of rollouts for prompts that a bundle knows by their text: what is believed before the first epoch.

The belief about a prompt is that of the reference prompts it resembles, with their recorded counts. How many
rollouts follow from it is left to `policies.groups`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice
from difficulty.arithmetic.rows import row_shares
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from policies.groups.group_planner import GroupPlanner
from policies.groups.rate_belief import RateBelief
from policies.groups.values import GroupValue


def first_groups(
    weights: Iterable[NDArray[np.float32]],
    references: ReferencePrompts,
    *,
    generator: str | None,
    floor: int,
    cap: int,
    everybody: bool,
    value: GroupValue,
) -> GroupPlanner:
    """Return the planner of groups before the first epoch.

    Parameters
    ----------
    weights : iterable of ndarray of float32, shape (N, T)
        How much prompts resemble the reference prompts, some prompts at a time.
    references : ReferencePrompts
        Recorded counts and lengths.
    generator : str, optional
        Whose rollouts they are; needed where there are several.
    floor, cap, everybody, value
        As in `policies.groups.group_planner.GroupPlanner.start`.

    Raises
    ------
    InvalidInputError
        When there are several generators and none is named, or there are no prompts.
    UnknownGeneratorError
        When the generator is none of them.
    """
    names = references.generators
    if generator is None and len(names) > 1:
        raise InvalidInputError(f"say whose rollouts they are, with generator=: one of {', '.join(names)}")
    name = names[0] if generator is None else generator
    check_choice("generator", name, names, error=UnknownGeneratorError)
    at = names.index(name)
    known = np.flatnonzero(references.n[:, at] > 0)
    recorded = RateBelief.flat(len(known)).seen(references.n[known, at], references.n_correct[known, at])
    tokens = references.output_tokens[known, at]
    lengths = np.where(np.isnan(tokens), np.nanmean(tokens) if np.isfinite(tokens).any() else 1.0, tokens)
    shares, expected = [], []
    for part in weights:
        mine = row_shares(part[:, known].astype(np.float64))
        shares.append(mine @ recorded.shares)
        expected.append(mine @ lengths)
    if not shares:
        raise InvalidInputError("groups need at least one prompt")
    return GroupPlanner.start(
        replace(recorded, shares=np.concatenate(shares)),
        floor=floor,
        cap=cap,
        everybody=everybody,
        value=value,
        tokens_per_rollout=np.concatenate(expected) if np.isfinite(tokens).any() else None,
    )
