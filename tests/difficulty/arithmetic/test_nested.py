"""Arrays of parts lie among those of the whole, and are told apart again."""

from __future__ import annotations

import numpy as np

from difficulty.arithmetic.nested import apart, nested

ONE, TWO = np.array([1.0]), np.array([2.0])


def test_parts_come_back_under_their_own_names() -> None:
    whole = {"base": ONE, **nested("trees", {"value": TWO, "ends.first": ONE})}
    assert list(whole) == ["base", "trees.value", "trees.ends.first"]
    assert apart(whole, "trees", "forest") == ({"base": ONE}, {"value": TWO, "ends.first": ONE}, {})


def test_what_only_looks_like_a_part_is_none() -> None:
    arrays = {"trees.": ONE, "trees": ONE, "treesvalue": ONE, "other.value": TWO}
    own, trees = apart(arrays, "trees")
    assert own == arrays
    assert trees == {}
