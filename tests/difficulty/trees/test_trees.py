"""Trees as arrays: rows find their leaves, and arrays that are no trees are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidInputError
from difficulty.trees.descent import Descent, Missing
from difficulty.trees.trees import Trees

# Two trees: feature 1 at 0.5 and then feature 0 at 2; and a single leaf.
ARRAYS: dict[str, Any] = {
    "n_features": np.array(2),
    "root": np.array([0, 5]),
    "feature": np.array([1, -1, 0, -1, -1, -1]),
    "threshold": np.array([0.5, 0, 2.0, 0, 0, 0]),
    "left": np.array([1, -1, 3, -1, -1, -1]),
    "right": np.array([2, -1, 4, -1, -1, -1]),
    "missing": np.array([Missing.LEFT, 0, Missing.RIGHT, 0, 0, 0]),
    "value": np.array([[1.0], [2.0], [4.0], [8.0]]),
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**ARRAYS, **{name: np.array(value) for name, value in changes.items()}}


def chain(depth: int) -> Trees:
    """A tree that asks once more for every row that goes right."""
    n = 2 * depth + 1
    inner = np.arange(n) % 2 == 0
    inner[-1] = False
    nodes = np.arange(n)
    return Trees(
        n_features=1,
        root=np.array([0]),
        feature=np.where(inner, 0, -1),
        threshold=np.where(inner, nodes / 2, 0.0),
        left=np.where(inner, nodes + 1, -1),
        right=np.where(inner, nodes + 2, -1),
        missing=np.zeros(n, dtype=np.int64),
        value=np.arange(depth + 1.0)[:, None],
    )


def test_rows_find_their_leaves() -> None:
    trees = Trees.from_arrays(ARRAYS)
    rows = [[0, 0.5], [2, 0.6], [2.1, 0.6], [np.nan, 0.6], [0, np.nan], [np.inf, np.inf], [-np.inf, 1]]
    assert trees.leaves(rows).tolist() == [[0, 3], [1, 3], [2, 3], [2, 3], [0, 3], [2, 3], [1, 3]]
    assert trees.predict(rows)[:, 0].tolist() == [9, 10, 12, 12, 9, 12, 10]
    assert (trees.n_trees, trees.n_leaves, trees.depth) == (2, 4, 2)
    assert trees.leaves(np.zeros((0, 2))).shape == (0, 2)
    assert trees.predict(np.zeros((0, 2))).shape == (0, 1)


@pytest.mark.parametrize(
    ("missing", "leaves"),
    [
        (Missing.ZERO, {-1.0: 0, 0.0: 0, 1.0: 1, np.nan: 0}),
        (Missing.LEFT, {-1.0: 0, 0.0: 0, 1.0: 1, np.nan: 0}),
        (Missing.RIGHT, {-1.0: 0, 0.0: 0, 1.0: 1, np.nan: 1}),
        (Missing.ZERO_LEFT, {-1.0: 0, 0.0: 0, 1e-36: 0, 1.0: 1, np.nan: 0}),
        (Missing.ZERO_RIGHT, {-1.0: 0, 0.0: 1, -1e-36: 1, 1.0: 1, np.nan: 1}),
    ],
)
def test_missing_features_go_where_the_code_says(missing: Missing, leaves: dict[float, int]) -> None:
    stump = Trees(
        n_features=1,
        root=np.array([0]),
        feature=np.array([0, -1, -1]),
        threshold=np.array([0.5, 0, 0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing=np.array([missing, 0, 0]),
        value=np.zeros((2, 1)),
    )
    found = stump.leaves(np.array(list(leaves))[:, None])[:, 0].tolist()
    assert dict(zip(leaves, found, strict=True)) == leaves


def test_a_row_is_predicted_alike_alone_and_among_many() -> None:
    rng = np.random.default_rng(0)
    trees = chain(60)
    rows = rng.uniform(-5, 70, size=(3000, 1))
    rows[::7] = np.nan
    together = trees.predict(rows)
    assert_array_equal(together, np.concatenate([trees.predict(row[None]) for row in rows]))
    known = np.nan_to_num(rows[:, 0])
    assert_array_equal(together[:, 0], np.ceil(known.clip(0, 60)))


def test_models_are_walked_in_one_go() -> None:
    first, second = Trees.from_arrays(ARRAYS), chain(5)
    rows = np.random.default_rng(0).uniform(-1, 6, size=(40, 2))
    wide = Trees.from_arrays({**second.to_arrays(), "n_features": np.array(2)})
    found = Descent.joined(first, wide).find(rows)
    assert_array_equal(found, np.hstack([first.leaves(rows), first.n_leaves + wide.leaves(rows)]))


def test_trees_survive_their_arrays() -> None:
    trees = Trees.from_arrays(Trees.from_arrays(ARRAYS).to_arrays())
    assert {name: array.tolist() for name, array in trees.to_arrays().items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }


@pytest.mark.parametrize(
    "arrays",
    [
        changed(left=[0, -1, 3, -1, -1, -1]),  # its own child
        changed(right=[2, -1, 0, -1, -1, -1]),  # a cycle
        changed(right=[1, -1, 4, -1, -1, -1]),  # two parents' child
        changed(right=[5, -1, 4, -1, -1, -1]),  # a child in another tree
        changed(left=[1, -1, 10**9, -1, -1, -1]),
        changed(left=[1, -1, -2, -1, -1, -1]),
        changed(left=[1, 2, 3, -1, -1, -1]),  # a leaf with a child
        changed(root=[0, 4]),
        changed(root=[1, 5]),
        changed(root=[0, 0]),
        changed(root=[0, 99]),
        changed(root=np.zeros(0, dtype=np.int64)),
        changed(feature=[2, -1, 0, -1, -1, -1]),
        changed(feature=[-2, -1, 0, -1, -1, -1]),
        changed(feature=[10**18, -1, 0, -1, -1, -1]),
        changed(feature=[1.0, -1, 0, -1, -1, -1]),
        changed(threshold=[np.nan, 0, 2.0, 0, 0, 0]),
        changed(threshold=[0.5, 0, np.inf, 0, 0, 0]),
        changed(threshold=[0.5, 0, 2.0]),
        changed(missing=[9, 0, 0, 0, 0, 0]),
        changed(value=[[1.0], [2.0], [np.inf], [8.0]]),
        changed(value=[[1.0], [2.0], [8.0]]),
        changed(value=[1.0, 2.0, 4.0, 8.0]),
        changed(value=np.zeros((4, 0))),
        changed(n_features=10**18),
        changed(n_features=[2]),
        changed(n_features=2.0),
        changed(surprise=[1]),
        {name: array for name, array in ARRAYS.items() if name != "left"},
        {name: array[:0] if array.ndim else array for name, array in ARRAYS.items()},
    ],
)
def test_arrays_that_are_no_trees_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Trees.from_arrays(arrays)


def test_trees_that_are_too_deep_are_refused() -> None:
    assert chain(200).depth == 200
    with pytest.raises(InvalidInputError, match="at most 200"):
        chain(201)


def test_rows_of_another_width_are_refused() -> None:
    trees = Trees.from_arrays(ARRAYS)
    for rows in ([[1.0]], [1.0, 2.0], np.zeros((2, 3))):
        with pytest.raises(InvalidInputError, match=r"shape \(P, 2\)"):
            trees.predict(rows)
