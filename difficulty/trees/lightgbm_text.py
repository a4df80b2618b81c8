"""Read the text form of a LightGBM model into checked arrays, without LightGBM.

LightGBM's own reader trusts what it reads: a text with a cycle, or a child out of range, hangs or kills the
process. Here nothing is trusted, and what is not needed for raw scores is not looked at. It assumes one score
per row and numeric features; models with categorical features, linear leaves or several classes are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.trees.descent import LARGEST, ZERO, Missing
from difficulty.trees.trees import MAX_TREES, Trees

if TYPE_CHECKING:
    import lightgbm

_MAX_CHARACTERS: Final = 64_000_000
# What must be so in the header and in each tree, where it is said at all.
_HEADER: Final = {"num_class": "1", "num_tree_per_iteration": "1"}
_TREE: Final = {"num_cat": "0", "is_linear": "0"}
_CATEGORICAL: Final = 1
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


def trees_of_booster(booster: lightgbm.Booster, *, n_trees: int | None = None) -> Trees:
    """Return the trees of a model that LightGBM has just grown; by default all of them.

    Raises
    ------
    InvalidInputError
        When the model has other than numeric features, several classes, or no tree.
    """
    return read_lightgbm(booster.model_to_string(num_iteration=n_trees))


def read_lightgbm(text: str) -> Trees:
    """Return the trees of a model's text, as `lightgbm.Booster.model_to_string` writes it.

    Parameters
    ----------
    text : str
        At most 64 million characters.

    Raises
    ------
    InvalidInputError
        When the text is cut or is no such model, or its trees are none.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidInputError(f"the text of a LightGBM model is longer than {_MAX_CHARACTERS:,} characters")
    blocks = _blocks(text)
    header = next(blocks)
    if "average_output" in header or any(header.get(key, right) != right for key, right in _HEADER.items()):
        raise InvalidInputError("models of LightGBM must give one score, the sum of their trees")
    n_features = _count(header, "max_feature_idx") + 1
    parts: list[Mapping[str, NDArray[Any]]] = []
    root = [0]
    for block in blocks:
        parts.append(_nodes(block, first=root[-1]))
        root.append(root[-1] + len(parts[-1]["feature"]))
        if len(parts) > MAX_TREES:
            raise InvalidInputError(f"a LightGBM model has more than {MAX_TREES:,} trees")
    if not parts:
        raise InvalidInputError("a LightGBM model has no trees")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Trees(n_features=n_features, root=np.array(root[:-1], dtype=np.int64), **joined)


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """Yield the entries of the header and of each tree; the end must be marked."""
    block: dict[str, str] = {}
    for place, line in enumerate(text.split("\n")):
        if place == 0:
            if line.strip() != "tree":
                break
        elif line.startswith("Tree=") or line.strip() == "end of trees":
            yield block
            block = {}
            if not line.startswith("Tree="):
                return
        elif line.strip():
            key, _, value = line.strip().partition("=")
            block[key] = value
    raise InvalidInputError("this is no whole text of a LightGBM model")


def _nodes(block: Mapping[str, str], *, first: int) -> dict[str, NDArray[Any]]:
    """Return the nodes of a tree: LightGBM's decisions in its order, and then its leaves."""
    if any(block.get(key, right) != right for key, right in _TREE.items()):
        raise InvalidInputError("models of LightGBM must have numeric features and constant leaves")
    n_leaves = _count(block, "num_leaves")
    if n_leaves < 1:
        raise InvalidInputError("a tree of a LightGBM model has no leaf")
    n_inner = n_leaves - 1
    value = _numbers(block, "leaf_value", n_leaves, np.float64)
    kinds = _numbers(block, "decision_type", n_inner, np.int64)
    types = kinds >> _MISSING_SHIFT
    if np.any(kinds & _CATEGORICAL) or np.any((types < 0) | (types >= len(_MISSING))):
        raise InvalidInputError("a LightGBM model decides by something else than a number's size")

    def children(name: str) -> NDArray[np.int64]:
        child = _numbers(block, name, n_inner, np.int64)
        if np.any((child < -n_leaves) | (child >= n_inner)):
            raise InvalidInputError(f"{name} of a LightGBM model is out of range")
        return first + np.where(child >= 0, child, n_inner - 1 - child)

    def then(leaves: int, inner: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([inner, np.full(n_leaves, leaves, dtype=inner.dtype)])

    return {
        "feature": then(-1, _numbers(block, "split_feature", n_inner, np.int64)),
        "threshold": then(0, _thresholds(_numbers(block, "threshold", n_inner, np.float64))),
        "left": then(-1, children("left_child")),
        "right": then(-1, children("right_child")),
        "missing": then(0, _MISSING[types, (kinds & _DEFAULT_LEFT) // _DEFAULT_LEFT]),
        "value": value[:, None],
    }


def _thresholds(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return thresholds at which all numbers go where LightGBM sends them.

    It takes tiny numbers for 0, and parts all numbers from what is missing at infinity.
    """
    tiny = np.abs(threshold) <= ZERO
    threshold = np.where(tiny, np.where(threshold < 0, np.nextafter(-ZERO, -np.inf), ZERO), threshold)
    return threshold.clip(-LARGEST, LARGEST)


def _count(block: Mapping[str, str], key: str) -> int:
    """Return a number of things, of at most nine digits."""
    text = block.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInputError(f"{key} of a LightGBM model is no count: {text[:40]!r}")
    return int(text)


def _numbers(
    block: Mapping[str, str], key: str, n: int, kind: type[np.int64] | type[np.float64]
) -> NDArray[Any]:
    """Return as many numbers as there should be."""
    words = block.get(key, "").split()
    if len(words) != n:
        raise InvalidInputError(f"{key} of a LightGBM model has {len(words)} entries, {n} are due")
    try:
        return np.array(words, dtype=kind) if words else np.zeros(0, dtype=kind)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{key} of a LightGBM model is not made of numbers") from error
