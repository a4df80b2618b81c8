"""Turn trees that LightGBM has just grown into checked arrays, which predict as it does without it.

It reads the text that a booster of this process writes of itself, never a stranger's. It assumes one score
per row and numeric features; models with categorical features, linear leaves or several classes are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.trees.descent import LARGEST, ZERO, Missing
from difficulty.trees.trees import Trees

if TYPE_CHECKING:
    import lightgbm

# What must be so in the header and in each tree, where it is said at all.
_HEADER: Final = {"num_class": "1", "num_tree_per_iteration": "1"}
_TREE: Final = {"num_cat": "0", "is_linear": "0"}
_DEFAULT_LEFT: Final = 2
_MISSING_SHIFT: Final = 2
# By LightGBM's type of missing values (none, zero, NaN), and by whether they go right or left.
_MISSING: Final = np.array(
    [
        [Missing.ZERO, Missing.ZERO],
        [Missing.ZERO_RIGHT, Missing.ZERO_LEFT],
        [Missing.RIGHT, Missing.LEFT],
    ]
)


def trees_of_boosters(*boosters: lightgbm.Booster, n_trees: int | None = None) -> Trees:
    """Return the trees of models that LightGBM has just grown on the same features, one after the other; by
    default all of them.

    Raises
    ------
    InvalidInputError
        When a model has other than numeric features, several classes, or no tree.
    """
    parts: list[Mapping[str, NDArray[Any]]] = []
    root = [0]
    for booster in boosters:
        text, _, _ = booster.model_to_string(num_iteration=n_trees).partition("end of trees")
        header, *blocks = (_entries(block) for block in text.split("\nTree="))
        if "average_output" in header or any(
            header.get(key, right) != right for key, right in _HEADER.items()
        ):
            raise InvalidInputError("models of LightGBM must give one score, the sum of their trees")
        if not blocks:
            raise InvalidInputError("a LightGBM model has no trees")
        for block in blocks:
            parts.append(_nodes(block, first=root[-1]))
            root.append(root[-1] + len(parts[-1]["feature"]))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Trees(n_features=boosters[0].num_feature(), root=np.array(root[:-1], dtype=np.int64), **joined)


def _entries(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.split("\n"))
    return {key: value for key, mark, value in pairs if mark or key}


def _nodes(block: Mapping[str, str], *, first: int) -> dict[str, NDArray[Any]]:
    """Return the nodes of a tree: LightGBM's decisions in its order, and then its leaves."""
    if any(block.get(key, right) != right for key, right in _TREE.items()):
        raise InvalidInputError("models of LightGBM must have numeric features and constant leaves")
    n_leaves = int(block["num_leaves"])

    def numbers(key: str, kind: type[np.int64] | type[np.float64] = np.int64) -> NDArray[Any]:
        return np.array(block.get(key, "").split(), dtype=kind)

    def children(name: str) -> NDArray[np.int64]:
        child = numbers(name)
        return first + np.where(child >= 0, child, n_leaves - 2 - child)

    def then(leaves: int, inner: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([inner, np.full(n_leaves, leaves, dtype=inner.dtype)])

    kinds = numbers("decision_type")
    goes_left = (kinds & _DEFAULT_LEFT) // _DEFAULT_LEFT
    return {
        "feature": then(-1, numbers("split_feature")),
        "threshold": then(0, _thresholds(numbers("threshold", np.float64))),
        "left": then(-1, children("left_child")),
        "right": then(-1, children("right_child")),
        "missing": then(0, _MISSING[kinds >> _MISSING_SHIFT, goes_left]),
        "value": numbers("leaf_value", np.float64)[:, None],
    }


def _thresholds(threshold: FloatArray) -> FloatArray:
    """Return thresholds at which all numbers go where LightGBM sends them.

    It takes tiny numbers for 0, and parts all numbers from what is missing at infinity.
    """
    tiny = np.abs(threshold) <= ZERO
    threshold = np.where(tiny, np.where(threshold < 0, np.nextafter(-ZERO, -np.inf), ZERO), threshold)
    return threshold.clip(-LARGEST, LARGEST)
