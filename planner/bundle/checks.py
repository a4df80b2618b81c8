"""What the arrays of a bundle must look like: kinds, shapes and ranges, each refused by name.

Numbers that nothing can mean (values off their scale, infinite tokens, more right samples than samples) are
caught here, so that planning need not look again. How arrays are read is left to `planner.bundle.array_file`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.errors import InvalidBundleError
from difficulty.scale import UNIT, Scale
from planner.bundle.array_file import Arrays
from policies.table.table import BY_SLOT

MAX_NUMBER: Final = 1e15
"""Tokens and samples beyond this are no measurements."""
TABLE: Final = "table."
"""Begins the names of the arrays of the table."""

_ROUNDING: Final = 1e-6


def check_references(
    arrays: Arrays, *, n_generators: int, n_courses: int, n_slots: int, scale: Scale = UNIT
) -> None:
    """Refuse reference prompts whose shapes, kinds or numbers do not fit together.

    Values must lie on `scale`. Sums of shares of rewards are real numbers; counts of successes are whole.

    Raises
    ------
    InvalidBundleError
        When they do not.
    """
    value = arrays[f"{TABLE}value"]
    n_prompts = len(value) if value.ndim == 2 else 0
    generators, by_course, by_slot = (n_prompts, n_generators), (n_prompts, n_courses), (n_prompts, n_slots)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "n": ("i8", generators),
        "n_correct": ("f8" if arrays["n_correct"].dtype.kind == "f" else "i8", generators),
        "output_tokens_per_sample": ("f8", generators),
        "length": ("f8", generators),
        "deployed": ("b1", (n_courses,)),
        "trained": ("u8", (arrays["trained"].size,)),
    }
    expected |= {f"{TABLE}{name}": ("f4", by_course) for name in ("value", "rounds")}
    expected |= {f"{TABLE}{name}": ("f4", by_slot) for name in BY_SLOT}
    if unknown := sorted(set(arrays) ^ set(expected)):
        raise InvalidBundleError(f"reference prompts lack, or do not have, {', '.join(unknown)[:200]}")
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        if found.dtype.str[1:] != kind or found.shape != shape:
            raise InvalidBundleError(
                f"{name} must be of kind {kind!r} and shape {shape}, got {found.dtype.str!r} and "
                f"{found.shape}"
            )
    if not n_prompts or not arrays["deployed"].any():
        raise InvalidBundleError("the bundle has no reference prompt or no course that may be used")
    n, n_correct = arrays["n"], arrays["n_correct"]
    if not np.all((n_correct >= 0) & (n_correct <= n) & (n <= MAX_NUMBER)):
        raise InvalidBundleError("n_correct must lie between 0 and n, on every reference prompt")
    _check_range(arrays, f"{TABLE}value", least=scale.lower, most=scale.upper, missing=False)
    for name in (f"{TABLE}rounds", f"{TABLE}samples", f"{TABLE}requests"):
        _check_range(arrays, name, most=MAX_NUMBER, missing=False)
    lengths = [f"{TABLE}{name}" for name in BY_SLOT if name not in ("samples", "requests")]
    for name in ("output_tokens_per_sample", "length", *lengths):
        _check_range(arrays, name, most=MAX_NUMBER, missing=True)


def _check_range(arrays: Arrays, name: str, *, least: float = 0.0, most: float, missing: bool) -> None:
    """Refuse numbers below `least` or above `most`; NaN only where it may be missing."""
    found = arrays[name]
    near = _ROUNDING * (most - least if least else 1.0)
    right = (found >= least - near) & (found <= most + near)
    if missing:
        right |= np.isnan(found)
    if not right.all():
        allowed = ", or NaN where not recorded" if missing else ""
        raise InvalidBundleError(f"{name} must lie between {least:g} and {most:g}{allowed}")
