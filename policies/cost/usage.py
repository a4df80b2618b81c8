"""What was spent, as a value that adds.

Every token is counted once: `output_tokens` holds all tokens that an engine generated, reasoning tokens
included, and `wasted_tokens` says how many of those were cancelled or failed. Prices are left to
`policies.cost.cost_model`.
"""

from __future__ import annotations

from dataclasses import dataclass


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
        # Written out: drivers add usages for every request, and a loop over fields takes ten times as long.
        return Usage(
            samples=self.samples + other.samples,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_prompt_tokens=self.cached_prompt_tokens + other.cached_prompt_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            wasted_tokens=self.wasted_tokens + other.wasted_tokens,
            verifier_tokens=self.verifier_tokens + other.verifier_tokens,
            predictor_tokens=self.predictor_tokens + other.predictor_tokens,
            requests=self.requests + other.requests,
            failed_requests=self.failed_requests + other.failed_requests,
            seconds=self.seconds + other.seconds,
        )

    def __radd__(self, other: object) -> Usage:
        """Make ``sum(usages)`` work, which starts from the integer 0."""
        return self if other == 0 else NotImplemented

    def __sub__(self, other: Usage) -> Usage:
        return self + other * -1

    def __mul__(self, times: float) -> Usage:
        return Usage(
            samples=self.samples * times,
            prompt_tokens=self.prompt_tokens * times,
            cached_prompt_tokens=self.cached_prompt_tokens * times,
            output_tokens=self.output_tokens * times,
            wasted_tokens=self.wasted_tokens * times,
            verifier_tokens=self.verifier_tokens * times,
            predictor_tokens=self.predictor_tokens * times,
            requests=self.requests * times,
            failed_requests=self.failed_requests * times,
            seconds=self.seconds * times,
        )

    __rmul__ = __mul__
