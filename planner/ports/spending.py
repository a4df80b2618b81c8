"""What a completion, or a call of a backend that failed, has used: every token that was paid for.

It assumes counts as engines report them. Prices are left to `policies.cost`, booking to `planner.drivers`.
"""

from __future__ import annotations

from dataclasses import fields, replace

from difficulty.errors import BackendError
from planner.ports.ports import Completion
from policies.cost.usage import Usage


def usage_of_completion(completion: Completion) -> Usage:
    """Return the tokens and failed attempts of one completion; its request is counted once, by the caller.

    No more of a prompt can have come from a cache than was sent: a price would fall below 0.
    """
    sent = max(completion.prompt_tokens, 0)
    output, lost = max(completion.output_tokens, 0), max(completion.lost_output_tokens, 0)
    wasted = completion.finish_reason in ("error", "cancelled")
    return Usage(
        samples=1,
        prompt_tokens=sent + max(completion.lost_prompt_tokens, 0),
        cached_prompt_tokens=min(max(completion.cached_prompt_tokens, 0), sent),
        output_tokens=output + lost,
        wasted_tokens=output + lost if wasted else lost,
        requests=completion.failed_requests,
        failed_requests=completion.failed_requests,
    )


def usage_of_failure(error: Exception) -> Usage:
    """Return what the attempts of a call that raised are known to have used."""
    if not isinstance(error, BackendError):
        return Usage(requests=1, failed_requests=1)
    return Usage(
        requests=error.failed_requests,
        failed_requests=error.failed_requests,
        prompt_tokens=error.prompt_tokens,
        output_tokens=error.output_tokens,
        wasted_tokens=error.output_tokens,
    )


def shared(usage: Usage, n: int) -> list[Usage]:
    """Return what each of `n` requests of a call has used: whole tokens and attempts, the first ones more.

    Examples
    --------
    >>> [one.requests for one in shared(Usage(requests=3, failed_requests=3), 2)]
    [2, 1]
    """
    each = [Usage()] * n
    for field in fields(Usage):
        total = getattr(usage, field.name)
        if field.name == "seconds":
            shares = [total / n] * n
        else:
            least, more = divmod(total, n)
            shares = [least + (place < more) for place in range(n)]
        each = [replace(one, **{field.name: share}) for one, share in zip(each, shares, strict=True)]
    return each
