"""What was spent, as a value that adds.

Every token is counted once: `output_tokens` holds all tokens that an engine generated, reasoning tokens included, and
`wasted_tokens` says how many of those were cancelled or failed. Prices are left to `policies.cost`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Usage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens, requests and seconds that were spent (or are expected to be).

    Parameters
    ----------
    samples : float
        Completions drawn, cancelled and failed ones included.
    prompt_tokens : float
        Prompt tokens that an engine processed, `cached_prompt_tokens` included.
    cached_prompt_tokens : float
        The part of `prompt_tokens` that came from a prefix cache.
    output_tokens : float
        Tokens generated, `wasted_tokens` included.
    wasted_tokens : float
        The part of `output_tokens` that belongs to cancelled or failed samples.
    verifier_tokens, predictor_tokens : float
        Tokens read by verifiers and by the difficulty predictor's language model.
    requests, failed_requests : float
        Requests sent, and the part of them that failed.
    seconds : float
        Wall-clock seconds.

    Examples
    --------
    >>> total = Usage(samples=1, output_tokens=90) + Usage(samples=2, output_tokens=180)
    >>> total.samples, total.output_tokens
    (3, 270)
    """

    samples: float = 0
    prompt_tokens: float = 0
    cached_prompt_tokens: float = 0
    output_tokens: float = 0
    wasted_tokens: float = 0
    verifier_tokens: float = 0
    predictor_tokens: float = 0
    requests: float = 0
    failed_requests: float = 0
    seconds: float = 0

    def __add__(self, other: Usage) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)})

    def __radd__(self, other: object) -> Usage:
        """Make ``sum(usages)`` work, which starts from the integer 0."""
        return self if other == 0 else NotImplemented

    def __mul__(self, times: float) -> Usage:
        return Usage(**{f.name: getattr(self, f.name) * times for f in fields(Usage)})

    __rmul__ = __mul__
