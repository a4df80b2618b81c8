"""How long samples are: what one may use at most, and what those of a generator have come to so far.

Lengths spread about as much as their mean, which is all that is assumed of them. What may be sent is left to
`planner.drivers.ledger`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from policies.cost.usage import Usage


class Draw(NamedTuple):
    """What one sample may use, the cap on its output that it has to be sent with, and whether each may turn
    out to be a request of its own, which sends the prompt again."""

    generator: str
    prompt: float
    tokens: float
    cap: int | None
    apart: bool = False

    def usage(self, n: int) -> Usage:
        """Return what `n` of them may use."""
        sent = n if self.apart else 1
        return Usage(
            samples=n, prompt_tokens=sent * self.prompt, output_tokens=n * self.tokens, requests=sent
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """Output tokens per sample of one generator so far."""

    most: float = 0.0
    samples: float = 0.0
    tokens: float = 0.0

    @property
    def mean(self) -> float:
        """Mean length."""
        return self.tokens / self.samples

    @property
    def usual(self) -> float:
        """Mean plus two standard errors: output lengths spread about as much as their mean."""
        return self.mean * (1 + 2 / math.sqrt(self.samples))

    @property
    def bound(self) -> float:
        """A length that hardly any sample reaches."""
        hardly = 8 * self.mean * (1 + 8 / math.sqrt(self.samples))
        return float(math.ceil(max(hardly, 1.5 * self.most, 1.0)))

    def add(self, lengths: Sequence[float]) -> Seen:
        """Return these and further lengths."""
        return Seen(max(self.most, *lengths), self.samples + len(lengths), self.tokens + sum(lengths))
