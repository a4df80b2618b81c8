"""What the converters share: the options of a conversion, and files of a clone.

A file that a partial clone lacks is left out like an answer that was never recorded. What is in the files is
left to the module of each source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from benchmarks.public.prices import LIST_PRICES, Price
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog

ALL: Final = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What to convert of a source.

    Parameters
    ----------
    models : tuple of str
        Names as the source has them; ``("all",)`` for all, none for the default ones of the source.
    part : str, optional
        Which part of the source; by default its first.
    prices : mapping of str to Price
        By name of the model.
    """

    models: tuple[str, ...] = ()
    part: str | None = None
    prices: Mapping[str, Price] = field(default_factory=lambda: LIST_PRICES)


Convert: TypeAlias = Callable[[Path, Options], SampleLog]


def chosen(options: Options, default: tuple[str, ...], available: list[str], where: Path) -> list[str]:
    """Return the models to convert, sorted.

    Raises
    ------
    InvalidInputError
        When one is not there.
    """
    wanted = set(available if options.models == (ALL,) else options.models or default)
    missing = sorted(wanted - set(available))
    if missing or not wanted:
        raise InvalidInputError(
            f"{where} has no samples of {', '.join(missing) or 'any model'}; it has "
            f"{', '.join(sorted(available)) or 'none'}: give the folder of a whole clone, or other --models"
        )
    return sorted(wanted)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    InvalidInputError
        When it cannot be read, or is no JSON.
    """
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
