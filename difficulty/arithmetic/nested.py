"""Arrays of a part among the arrays of the whole, told apart by what their names begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


def nested(part: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Name the arrays of a part after it.

    Examples
    --------
    >>> import numpy as np
    >>> nested("trees", {"value": np.array([1.0])})
    {'trees.value': array([1.])}
    """
    return {f"{part}.{name}": array for name, array in arrays.items()}


def apart(arrays: Mapping[str, NDArray[Any]], *parts: str) -> tuple[dict[str, NDArray[Any]], ...]:
    """Return the arrays of no part, then those of each part under their own names.

    Examples
    --------
    >>> import numpy as np
    >>> apart({"trees.value": np.array([1.0]), "base": np.array([0.5])}, "trees")
    ({'base': array([0.5])}, {'value': array([1.])})
    """
    found: dict[str, dict[str, NDArray[Any]]] = {part: {} for part in ("", *parts)}
    for name, array in arrays.items():
        part, _, own = name.partition(".")
        if own and part in parts:
            found[part][own] = array
        else:
            found[""][name] = array
    return tuple(found.values())
