"""From what a backend or verifier returned to what a flow may see, and what it cost.

Every completion that was paid for is counted, also those that failed, were cancelled or were not asked for; a
reply that breaks the protocol becomes a failure and never an answer or a score. What is no reply at all is
the mistake of whoever wrote the plug-in, and is raised.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Final, NamedTuple, get_args

from difficulty.errors import BudgetSpentError, InvalidInputError
from planner.ports.outcome import OutcomeError
from planner.ports.ports import (
    Backend,
    Completion,
    FinishReason,
    SampleRequest,
    ScoreRequest,
    Scores,
    Verifier,
)
from planner.ports.spending import usage_of_completion
from planner.strategies.flow import Failure
from policies.cost.usage import Usage

_FINISHES: Final[tuple[str, ...]] = get_args(FinishReason)


class Singly(NamedTuple):
    """Whether each sample is a request of its own, which sends the prompt again: surely, or perhaps."""

    surely: bool
    perhaps: bool


def sent_singly(backend: Backend) -> Singly:
    """Return what a backend says of its requests: ``draws_singly``, and ``may_draw_singly`` while it cannot
    know.
    """
    surely = bool(getattr(backend, "draws_singly", False))
    return Singly(surely, surely or bool(getattr(backend, "may_draw_singly", False)))


class Draws(NamedTuple):
    """One reply per sample asked for, what all of it cost, how many came too many, and what failed tries and
    these have used beside the samples asked for."""

    replies: tuple[Completion | Failure, ...]
    usage: Usage
    surplus: int
    beside: Usage

    @property
    def lengths(self) -> list[float]:
        """The output tokens of what came back whole, or cut by its cap."""
        return [reply.output_tokens for reply in self.replies if isinstance(reply, Completion)]


class Marks(NamedTuple):
    """Scores, one per completion, or why there are none; what they cost, and by whose prices (empty: those of
    the samples)."""

    reply: tuple[float, ...] | Failure
    usage: Usage
    generator: str = ""


async def sampled(backend: Backend, requests: Sequence[SampleRequest]) -> Sequence[Sequence[Completion]]:
    """Ask a backend, and return what is a reply.

    Raises
    ------
    InvalidInputError
        When it returned something else, so that no run with this backend can go well.
    """
    name = f"{type(backend).__name__}.sample"
    rows = await _rows(backend.sample(requests), name, "Completion")
    for row in rows:
        for one in row:
            if not isinstance(one, Completion):
                raise InvalidInputError(
                    f"{name} must return a Completion for each sample, got {type(one).__name__} "
                    "(Completion(text=..., prompt_tokens=..., output_tokens=..., finish_reason='stop'))"
                )
            if one.finish_reason not in _FINISHES:
                raise InvalidInputError(
                    f"{name}: finish_reason must be one of {', '.join(_FINISHES)}; got {one.finish_reason!r}"
                )
            counts: tuple[object, ...] = (one.prompt_tokens, one.output_tokens)
            if not all(isinstance(count, Integral) for count in counts):
                raise InvalidInputError(
                    f"{name} must count tokens in whole numbers, got {one.prompt_tokens!r} of the prompt and "
                    f"{one.output_tokens!r} of the output; 0 where nobody counts, with budgets in samples"
                )
    return rows


async def scored(verifier: Verifier, requests: Sequence[ScoreRequest]) -> Sequence[Sequence[float]]:
    """Ask a verifier, and return what is a reply; raises as `sampled`."""
    return await _rows(verifier.score(requests), f"{type(verifier).__name__}.score", "float")


async def _rows(reply: Any, name: str, what: str) -> Sequence[Sequence[Any]]:
    if not inspect.isawaitable(reply):
        raise InvalidInputError(f"{name} must be asynchronous: write `async def`")
    rows = await reply
    if not (hasattr(rows, "__len__") and all(hasattr(row, "__len__") for row in rows)):
        raise InvalidInputError(
            f"{name} must return a list for each request, one {what} for each sample asked for; got "
            f"{type(rows).__name__}"
        )
    return rows  # type: ignore[no-any-return]  # its elements are checked by whoever knows what they are


def read_completions(completions: Sequence[Completion], *, n: int, seconds: float = 0.0) -> Draws:
    """Read the reply to a request for `n` samples.

    Parameters
    ----------
    completions : sequence of Completion
        What the backend returned; missing ones become failures, surplus ones are paid for and dropped.
    n : int
        Samples asked for.
    seconds : float
        Wall-clock seconds of the request.

    Examples
    --------
    >>> completion = Completion(text="42", prompt_tokens=9, output_tokens=3, finish_reason="stop")
    >>> draws = read_completions([completion], n=2)
    >>> draws.usage.output_tokens, draws.replies[1].kind
    (3, 'InvalidResponseError')
    """
    replies = [_reply(completion) for completion in completions[:n]]
    missing = n - len(replies)
    if missing:
        reason = f"the backend returned {len(completions)} of {n} completions"
        replies += [Failure(kind="InvalidResponseError", reason=reason)] * missing
    usage = sum(
        (usage_of_completion(completion) for completion in completions), Usage(requests=1, seconds=seconds)
    )
    surplus = max(len(completions) - n, 0)
    dropped = sum(max(completion.output_tokens, 0) for completion in completions[n:])
    lost = sum(max(completion.lost_output_tokens, 0) for completion in completions)
    beside = Usage(samples=surplus, output_tokens=dropped + lost)
    return Draws(tuple(replies), usage + Usage(wasted_tokens=dropped), surplus, beside)


def read_scores(scores: Sequence[float], *, n: int) -> Marks:
    """Read the reply to a request for `n` scores; too few, too many or not finite ones are a failure."""
    usage, generator, unfit = Usage(), "", "the verifier returned NaN or infinity"
    if isinstance(scores, Scores):
        usage, generator = Usage(verifier_tokens=scores.verifier_tokens) + scores.usage, scores.generator
        unfit = scores.reason or unfit
    if len(scores) != n:
        reason = f"the verifier returned {len(scores)} scores for {n} completions"
        return Marks(Failure(kind="VerifierError", reason=reason), usage, generator)
    if not all(math.isfinite(score) for score in scores):
        return Marks(Failure(kind="VerifierError", reason=unfit), usage, generator)
    return Marks(tuple(float(score) for score in scores), usage, generator)


def failure_of(error: Exception) -> Failure:
    """Return the failure that an exception of a backend or verifier means."""
    if isinstance(error, BudgetSpentError):
        return Failure(kind="BudgetSpent", reason=error.reason, refused=True)
    return Failure(kind=type(error).__name__, reason=str(error) or "no reason given")


def _reply(completion: Completion) -> Completion | Failure:
    if completion.finish_reason == "error":
        error = OutcomeError.parse(completion.error or "the backend gave no reason")
        return Failure(kind=error.kind, reason=error.reason)
    if completion.finish_reason == "cancelled":
        return Failure(kind="Cancelled", reason="the sample was cancelled")
    if completion.output_tokens < 0 or completion.prompt_tokens < 0:
        return Failure(kind="InvalidResponseError", reason="the backend returned a negative token count")
    return completion
