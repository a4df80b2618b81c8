"""What models cost per million tokens, in dollars, unless the reader says otherwise.

These are list prices of spring 2025, rounded and from memory: they are in none of the sources and change
often. A TOML file with the same names replaces or completes them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, NamedTuple

from difficulty.errors import InvalidInputError


class Price(NamedTuple):
    """Dollars per million prompt tokens and output tokens."""

    usd_per_mtok_in: float
    usd_per_mtok_out: float


LIST_PRICES: Final = {
    "claude-3.5-sonnet": Price(3, 15),
    "claude-sonnet-4": Price(3, 15),
    "deepseek-r1": Price(0.55, 2.19),
    "gemma-3-27b-it": Price(0.1, 0.2),
    "llama-3.3-70b-instruct": Price(0.12, 0.3),
    "llama-4-maverick": Price(0.2, 0.6),
    "llama-4-scout": Price(0.08, 0.3),
    "mistral-small-3.1-24b-instruct": Price(0.1, 0.3),
    "o3-mini": Price(1.1, 4.4),
    "qwq-32b": Price(0.15, 0.2),
}


def read_prices(path: Path) -> dict[str, Price]:
    """Return the list prices with those of a file in their place.

    Parameters
    ----------
    path : Path
        A table per model, with ``usd_per_mtok_in`` and ``usd_per_mtok_out``.

    Raises
    ------
    InvalidInputError
        When the file is no such TOML.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} is no file of prices: {error}") from error
    found = dict(LIST_PRICES)
    for name, row in content.items():
        if (
            not isinstance(row, dict)
            or set(row) != set(Price._fields)
            or not all(isinstance(value, (int, float)) for value in row.values())
        ):
            raise InvalidInputError(
                f"{path}: the table of {name!r} must have the numbers {' and '.join(Price._fields)}, and no "
                f"others; got {row!r}"
            )
        found[name] = Price(**row)
    return found
