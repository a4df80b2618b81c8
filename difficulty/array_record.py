"""Records of arrays and numbers that are written as arrays by name, and restored from them.

It assumes that a record checks what it is made of, and finds out here only whether all of it is there. Files
of arrays are left to those who keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.nested import apart, nested
from difficulty.errors import InvalidInputError

_NUMBERS: Final = {"float": "f", "int": "i"}


class ArrayRecord:
    """A dataclass whose fields are arrays, numbers, and parts that are such records, or None.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Line(ArrayRecord):
    ...     slopes: NDArray[np.float64]
    ...     offset: float
    >>> arrays = Line(slopes=np.array([2.0]), offset=0.5).to_arrays()
    >>> arrays
    {'slopes': array([2.]), 'offset': array(0.5)}
    >>> Line.from_arrays(arrays)
    Line(slopes=array([2.]), offset=0.5)
    """

    PARTS: ClassVar[Mapping[str, type[ArrayRecord]]] = {}
    """The fields that are records, and their kinds."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, without pickle."""
        arrays: dict[str, NDArray[Any]] = {}
        for field in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, field.name)
            if isinstance(value, ArrayRecord):
                arrays |= nested(field.name, value.to_arrays())
            elif value is not None:
                arrays[field.name] = np.asarray(value)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore a record from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing or foreign, or they do not fit together.
        """
        own, *parts = apart(arrays, *cls.PARTS)
        kinds = {field.name: str(field.type) for field in fields(cls)}  # type: ignore[arg-type]
        given = set(own) | {name for name, part in zip(cls.PARTS, parts, strict=True) if part}
        needed = {name for name, kind in kinds.items() if not kind.endswith("None")}
        if not needed <= given <= set(kinds):
            raise InvalidInputError(
                f"arrays of {cls.__name__} are of {', '.join(kinds)}; got {sorted(given)}"
            )
        values: dict[str, Any] = dict(own)
        for name, array in own.items():
            if kinds[name] in _NUMBERS:
                if array.dtype.kind != _NUMBERS[kinds[name]] or array.shape != ():
                    raise InvalidInputError(f"{name} of {cls.__name__} must be one number")
                values[name] = array.item()
        for (name, kind), part in zip(cls.PARTS.items(), parts, strict=True):
            values[name] = kind.from_arrays(part) if part else None
        return cls(**values)
