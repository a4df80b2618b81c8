"""What policies are called in reports, tables and figures."""

from __future__ import annotations

from typing import Final

OURS: Final = "learned policy"
STATIC: Final = "best static mix"
BEST_RULE: Final = "best of the tuned rules"
MOST_DRAWN: Final = 3
"""Generators in the figure of beliefs."""
