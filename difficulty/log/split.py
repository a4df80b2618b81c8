"""Split the groups of a log in two, so that near-duplicates stay on one side.

The side of a group depends on its name, the seed and the sizes of the other groups, never on the order of
prompts. What is done with the two sides is left to the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError


def held_out_groups(groups: Sequence[str], *, test_fraction: float, seed: int) -> frozenset[str]:
    """Choose the groups of the test side.

    Groups are put in the order of a hash of seed and name; the test side takes the first of them until it has
    `test_fraction` of the prompts, as nearly as whole groups allow.

    Parameters
    ----------
    groups : sequence of str, length P
        Group of each prompt.
    test_fraction : float
        In (0, 1).
    seed : int

    Raises
    ------
    InvalidInputError
        When `test_fraction` is out of range or there are fewer than two groups.

    Examples
    --------
    >>> len(held_out_groups([f"g{i}" for i in range(10)], test_fraction=0.4, seed=0))
    4
    """
    check_number("test_fraction", test_fraction, "in (0, 1)")
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise InvalidInputError(
            f"a split needs at least 2 groups of prompts; the log has {len(sizes)}: record prompts that "
            "differ, or mend their groups where they are no near-duplicates"
        )
    order = sorted(sizes, key=lambda group: sha256(f"{seed}\0{group}".encode()).digest())
    wanted = test_fraction * len(groups)
    taken, total = 1, sizes[order[0]]
    while taken < len(order) - 1:
        size = sizes[order[taken]]
        if abs(total + size - wanted) > abs(total - wanted):
            break
        total += size
        taken += 1
    return frozenset(order[:taken])
