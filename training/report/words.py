"""Numbers of a report in words: multiples, differences, and what was never reached.

A multiple of 0 means that a target is never reached; it is written as that. What the numbers mean is said
where they are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def times(value: float | None) -> str:
    """Return one end of a multiple: a number, ``never`` for 0, ∞ where only ours gets there.

    Examples
    --------
    >>> times(1.234), times(0.0), times(None)
    ('1.23', 'never', '∞')
    """
    if value is None:
        return "∞"
    return f"{value:.2f}" if value > 0 else "never"


def ends(interval: Sequence[float | None]) -> str:
    """Return the ends of an interval of multiples.

    Examples
    --------
    >>> ends([0.0, 1.5]), ends([None, None])
    ('[never, 1.50]', '[∞, ∞]')
    """
    low, high = interval
    return f"[{times(low)}, {times(high)}]"


def multiple(row: Mapping[str, Any]) -> str:
    """Return a multiple with its interval.

    Examples
    --------
    >>> multiple({"multiple": 1.5, "interval": [1.2, 1.8]})
    '1.50 [1.20, 1.80]'
    >>> multiple({"multiple": 0.0, "interval": [0.0, 1.1], "reached": 0.12, "missing": 0.008})
    'never reached (12 % of replicates get there, .008 missing)'
    >>> multiple({"multiple": None, "interval": [None, None], "both_fail": True})
    'neither gets there'
    """
    if row.get("both_fail"):
        return "neither gets there"
    value = row["multiple"]
    if value == 0 and "reached" in row:
        return f"never reached ({reached(row)})"
    if value is None:
        return "only ours gets there"
    return f"{times(value)} {ends(row['interval'])}"


def reached(row: Mapping[str, Any]) -> str:
    """Return in how many replicates a target is reached, and what is missing at best."""
    missing = f"{row['missing']:.3f}".removeprefix("0")
    return f"{100 * row['reached']:.0f} % of replicates get there, {missing} missing"


def difference(value: float | None, interval: Sequence[float | None]) -> str:
    """Return a difference with its interval; a dash where there is none.

    Examples
    --------
    >>> difference(0.0123, [-0.001, 0.0256]), difference(None, [None, None])
    ('+0.012 [-0.001, +0.026]', '–')
    """
    if value is None:
        return "–"
    low, high = ("–" if end is None else f"{end:+z.3f}" for end in interval)
    return f"{value:+z.3f} [{low}, {high}]"


def hundredths(value: float | None) -> str:
    """Return a number to two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def shares(value: float, interval: Sequence[float | None], word: str = "") -> str:
    """Return a share in percent, a word of what, and its interval.

    Examples
    --------
    >>> shares(0.5, [0.412, None]), shares(-0.001, [-0.01, 0.1], "less")
    ('50 % [41 %, –]', '0 % less [-1 %, 10 %]')
    """
    told, low, high = (
        "–" if part is None else f"{100 * part:.0f} %".replace("-0 %", "0 %") for part in (value, *interval)
    )
    return f"{told}{word and f' {word}'} [{low}, {high}]"


def named(values: Sequence[str]) -> str:
    """Join words by commas and a last "and".

    Examples
    --------
    >>> named(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(values[:-1]), values[-1]) if part)
