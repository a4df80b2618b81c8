"""Log-probabilities of a choice, as far as they can be.

Most servers send one for each token, and they are read with the choice; where some are missing, those that
are there count. What cannot be (above 0, not finite) is an error of the choice.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, TypeAlias

import msgspec

from difficulty.errors import InvalidResponseError

# Log-probabilities are rounded; what is above 0 by more than that is none.
_ROUNDING: Final = 1e-3


_Usual: TypeAlias = Annotated[float, msgspec.Meta(le=0)]


class TokenLogprob(msgspec.Struct, gc=False):
    """The log-probability of a token, in nats, as nearly all are; the decoder lets none pass that is not."""

    logprob: _Usual


class Logprobs(msgspec.Struct, gc=False):
    """The log-probabilities of a choice, as chat or legacy completions have them."""

    content: list[TokenLogprob] | None = None
    token_logprobs: list[_Usual] | None = None


class _OddLogprob(msgspec.Struct, gc=False):
    logprob: float | None = None


class _OddLogprobs(msgspec.Struct, gc=False):
    content: list[_OddLogprob] | None = None
    token_logprobs: list[float | None] | None = None


def read_logprobs(held: Logprobs | msgspec.Raw) -> list[float] | None:
    """Return the log-probability of each token, in nats, None where none were sent."""
    if isinstance(held, msgspec.Raw):
        return _checked(_odd_logprobs(held)) if bytes(held).startswith(b"{") else None
    return held.token_logprobs if held.content is None else [token.logprob for token in held.content]


def _odd_logprobs(raw: msgspec.Raw) -> list[float] | None:
    """Return the log-probabilities of those tokens that have one."""
    held = msgspec.json.decode(raw, type=_OddLogprobs)
    values = held.token_logprobs if held.content is None else [token.logprob for token in held.content]
    return None if values is None else [value for value in values if value is not None]


def _checked(known: list[float] | None) -> list[float] | None:
    """Return log-probabilities that can be; rounding may leave them just above 0."""
    if not known:
        return known
    if not max(known) <= 0:
        if not max(known) <= _ROUNDING:
            raise InvalidResponseError(f"a log-probability of {max(known)!r} is above 0")
        known = [min(value, 0.0) for value in known]
    if not math.isfinite(sum(known)):
        raise InvalidResponseError("a log-probability is not finite")
    return known
