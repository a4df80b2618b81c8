"""Check what only the samples of a line together can show: whole chains, and no more cached than was sent.

It assumes columns of samples and the offsets of their lines. Where the line stands in a file is left to those
who report it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_cached(
    prompt_tokens: NDArray[np.float64], cached: NDArray[np.float64] | None, offsets: NDArray[np.int64]
) -> tuple[int, str] | None:
    """Find the first line with a sample that got more prompt tokens from a cache than it sent.

    Examples
    --------
    >>> check_cached(np.array([5.0, 5.0]), np.array([5.0, 6.0]), np.array([0, 2]))
    (0, 'cached_prompt_tokens is a part of prompt_tokens and must be at most 5, got 6')
    """
    bad = np.flatnonzero(cached > prompt_tokens) if cached is not None else np.zeros(0, np.int64)
    if not bad.size or cached is None:
        return None
    first = int(bad[0])
    return int(np.searchsorted(offsets, first, side="right")) - 1, (
        f"cached_prompt_tokens is a part of prompt_tokens and must be at most {prompt_tokens[first]:.0f}, "
        f"got {cached[first]:.0f}"
    )


def check_chains(
    chain: NDArray[np.int32], step: NDArray[np.int32], offsets: NDArray[np.int64]
) -> tuple[int, str] | None:
    """Find the first line whose chains are broken.

    Parameters
    ----------
    chain, step : ndarray of int32, shape (S,)
        -1 where absent.
    offsets : ndarray of int64, shape (L + 1,)
        Samples of each line.

    Returns
    -------
    tuple of int and str, or None
        Line, counted from 0, and what is wrong with it.

    Examples
    --------
    >>> offsets = np.array([0, 2])
    >>> check_chains(np.array([0, 0]), np.array([0, 1]), offsets) is None
    True
    >>> check_chains(np.array([0, 0]), np.array([0, 2]), offsets)[1]
    'the steps of chain 0 must be 0, 1, 2, ... without gap or repeat; got 0, 2'
    """
    in_chain = chain >= 0
    if not in_chain.any() and not (step >= 0).any():
        return None
    bad = np.flatnonzero(in_chain != (step >= 0))
    first = offsets.shape[0] if bad.size == 0 else int(np.searchsorted(offsets, bad[0], side="right")) - 1
    for line in np.unique(np.searchsorted(offsets, np.flatnonzero(in_chain), side="right") - 1).tolist():
        if line >= first:
            break
        here = slice(int(offsets[line]), int(offsets[line + 1]))
        if not in_chain[here].all():
            return (
                line,
                "some samples have 'chain' and some do not; put independent samples on their own line",
            )
        for number in np.unique(chain[here]).tolist():
            steps = np.sort(step[here][chain[here] == number])
            if not np.array_equal(steps, np.arange(steps.shape[0])):
                got = ", ".join(map(str, steps.tolist()))
                return (
                    line,
                    f"the steps of chain {number} must be 0, 1, 2, ... without gap or repeat; got {got}",
                )
    if bad.size:
        present, absent = ("chain", "step") if in_chain[bad[0]] else ("step", "chain")
        return first, f"a sample has {present!r} without {absent!r}; a revision needs both"
    return None
