"""What the arrays of a bundle must look like: kinds, shapes and ranges, each refused by name.

Numbers that nothing can mean (values outside [0, 1], infinite tokens, more right samples than samples) are
caught here, so that planning need not look again. How arrays are read is left to `planner.bundle.array_file`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.errors import InvalidBundleError
from planner.bundle.array_file import Arrays

__all__ = ["MAX_NUMBER", "check_adaptive", "check_coordinates", "check_references"]

MAX_NUMBER: Final = 1e15
"""Tokens and samples beyond this are no measurements."""

# Costs in FLOPs are the largest: a thousand samples of a thousand tokens of the largest models have 1e19.
_MAX_COST: Final = 1e24
# One run of a ladder deviates from its mean by a few times the mean.
_MAX_DEVIATION: Final = 1e9
# Arrays are as training writes them: of 64 bits.
_ITEM_BYTES: Final = 8

# Log-odds and scores of text; the kernel squares their differences.
_MAX_COORDINATE: Final = 1e6
_ROUNDING: Final = 1e-6


def check_references(arrays: Arrays, *, n_generators: int, n_allocations: int) -> None:
    """Refuse reference prompts whose shapes, kinds or numbers do not fit together.

    Raises
    ------
    InvalidBundleError
        When they do not.
    """
    if arrays["coordinates"].ndim != 2:
        raise InvalidBundleError("coordinates must be a table with one row per reference prompt")
    n_prompts, n_coordinates = arrays["coordinates"].shape
    generators, menu = (n_prompts, n_generators), (n_prompts, n_allocations)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "prompt_ids": ("U", (n_prompts,)),
        "n": ("i", generators),
        "n_correct": ("i", generators),
        "output_tokens_per_sample": ("f", generators),
        "coordinates": ("f", (n_prompts, n_coordinates)),
        "deployed": ("b", (n_allocations,)),
        "trained": ("u", (arrays["trained"].size,)),
        "value": ("f", menu),
        "samples": ("f", menu),
        "prompt_tokens": ("f", menu),
        "output_tokens": ("f", menu),
    }
    if "verifier_tokens" in arrays:
        expected["verifier_tokens"] = ("f", menu)
    if unknown := sorted(set(arrays) - set(expected)):
        raise InvalidBundleError(f"reference prompts have no {', '.join(unknown)[:200]}")
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        narrow = kind in "fiu" and found.dtype.itemsize != _ITEM_BYTES
        if found.dtype.kind != kind or found.shape != shape or narrow:
            raise InvalidBundleError(
                f"{name} must be of kind {kind!r} (64 bits) and shape {shape}, got {found.dtype.str!r} and "
                f"{found.shape}"
            )
    if not n_prompts or not n_coordinates or not arrays["deployed"].any():
        raise InvalidBundleError("the bundle has no reference prompt or no allocation that may be used")
    n, n_correct = arrays["n"], arrays["n_correct"]
    if np.any((n_correct < 0) | (n_correct > n) | (n > MAX_NUMBER)):
        raise InvalidBundleError("n_correct must lie between 0 and n, on every reference prompt")
    check_coordinates(arrays["coordinates"])
    _check_range(arrays, "value", most=1.0, missing=False)
    _check_range(arrays, "samples", most=MAX_NUMBER, missing=False)
    for name in ("output_tokens_per_sample", "prompt_tokens", "output_tokens", "verifier_tokens"):
        _check_range(arrays, name, most=MAX_NUMBER, missing=True)


def check_coordinates(coordinates: np.ndarray) -> None:
    """Refuse coordinates that are not finite, or far beyond those of any prompt.

    Raises
    ------
    InvalidBundleError
        When they are not.
    """
    if not (np.abs(coordinates) <= _MAX_COORDINATE).all():
        raise InvalidBundleError(f"coordinates must be finite and within ±{_MAX_COORDINATE:g}")


def check_adaptive(arrays: Arrays) -> None:
    """Refuse what the levels of a policy that reacts are worth and cost where it cannot be.

    Raises
    ------
    InvalidBundleError
        When it cannot.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "fi" or array.dtype.itemsize != _ITEM_BYTES:
            raise InvalidBundleError(f"{name[:80]} of the adaptive policy must be numbers of 64 bits")
        if not (np.isnan(array) | (np.abs(array) <= _MAX_COST)).all() and name != "cost_belief":
            raise InvalidBundleError(f"{name[:80]} of the adaptive policy must be within ±{_MAX_COST:g}")
    _check_range(arrays, "value", most=1.0, missing=True)
    _check_range(arrays, "cost", most=_MAX_COST, missing=True)
    _check_range(arrays, "cost_deviation", most=_MAX_COST, missing=True)
    usual, deviation = (np.nanmax(arrays[name], initial=0.0) for name in ("cost", "cost_deviation"))
    if deviation > _MAX_DEVIATION * usual:
        raise InvalidBundleError(
            f"costs of the adaptive policy deviate by {deviation:g} from up to {usual:g}"
        )


def _check_range(arrays: Arrays, name: str, *, most: float, missing: bool) -> None:
    """Refuse numbers below 0 or above `most`; NaN only where it may be missing."""
    if name not in arrays:
        return
    found = arrays[name]
    right = (found >= -_ROUNDING) & (found <= most + _ROUNDING)
    if missing:
        right |= np.isnan(found)
    if not right.all():
        allowed = ", or NaN where not recorded" if missing else ""
        raise InvalidBundleError(f"{name} must lie between 0 and {most:g}{allowed}")
