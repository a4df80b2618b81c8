"""Results of one call of a backend: completions, or the error that a sample met.

One rule for all backends: a sample that failed while another succeeded becomes a completion that says so;
when nothing succeeded, the first error is raised. Retries are left to the backends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from difficulty.errors import BackendError
from planner.ports.ports import Completion, Metered
from policies.cost.usage import Usage

Drawn: TypeAlias = Completion | BackendError
End: TypeAlias = Literal["completed", "failed", "cancelled"]
_ENDS: Final[Mapping[str, End]] = {"error": "failed", "cancelled": "cancelled"}


class Spent(NamedTuple):
    """Usage of a backend since its construction, failed and cancelled work apart.

    Of requests to a remote server that failed or were cancelled only those tokens are known that had been
    streamed by then; an engine in this process knows them.
    """

    completed: Usage = Usage()
    failed: Usage = Usage()
    cancelled: Usage = Usage()

    def plus(self, end: End, usage: Usage) -> Spent:
        """Return it with more work that ended so."""
        return self._replace(**{end: getattr(self, end) + usage})

    def drawn(self, one: Completion, *, requests: int = 0) -> Spent:
        """Return it with a completion of an engine in this process."""
        usage = Usage(
            samples=1, prompt_tokens=one.prompt_tokens, cached_prompt_tokens=one.cached_prompt_tokens,
            output_tokens=one.output_tokens, requests=requests,
        )  # fmt: skip
        return self.plus(_ENDS.get(one.finish_reason, "completed"), usage)


class Books:
    """What a backend has spent since its construction, as it goes.

    Examples
    --------
    >>> books = Books()
    >>> books.add("failed", Usage(output_tokens=2))
    >>> books.spent.failed.output_tokens
    2
    """

    def __init__(self) -> None:
        self.spent = Spent()

    def add(self, end: End, usage: Usage) -> None:
        """Add what came to its end, failed, or was cancelled."""
        self.spent = self.spent.plus(end, usage)


class Meter:
    """Adds up what one call of a backend has used, for the case that it is cancelled.

    Examples
    --------
    >>> meter = Meter()
    >>> meter.complete(Usage(output_tokens=9))
    >>> meter.cancel(Usage(output_tokens=2), known=True, exact=False)
    >>> meter.read()[0].usage.output_tokens
    11
    """

    def __init__(self) -> None:
        self._usage, self._known, self._exact = Usage(), True, True

    def complete(self, usage: Usage) -> None:
        """Add a request that came to its end."""
        self._usage += usage

    def cancel(self, usage: Usage, *, known: bool, exact: bool) -> None:
        """Add one that was cancelled; its tokens may be known, at least or exactly."""
        self._usage += usage
        self._known, self._exact = self._known and known, self._exact and exact

    def read(self) -> tuple[Metered, ...]:
        """Return the arguments of the `CancelledError`: what was used, or nothing where it is not known."""
        return (Metered(self._usage, self._exact),) if self._known else ()


def assemble(drawn: Sequence[Sequence[Drawn]]) -> list[list[Completion]]:
    """Return the completions of each request, failures as completions with the finish reason ``"error"``.

    Raises
    ------
    BackendError
        The first error, when no sample at all was drawn; its counts are the sums over all of them.

    Examples
    --------
    >>> done = Completion(text="4", prompt_tokens=3, output_tokens=1, finish_reason="stop")
    >>> [[_, failed]] = assemble([[done, BackendError("refused", status=403)]])
    >>> failed.finish_reason, failed.error
    ('error', 'BackendError: refused')
    """
    every = [item for items in drawn for item in items]
    errors = [item for item in every if isinstance(item, BackendError)]
    if errors and len(errors) == len(every):
        # One failed request for n samples appears n times and is counted once.
        each = {id(error): error for error in errors}.values()
        errors[0].failed_requests, errors[0].prompt_tokens, errors[0].output_tokens = (
            sum(error.failed_requests for error in each),
            sum(error.prompt_tokens for error in each),
            sum(error.output_tokens for error in each),
        )
        raise errors[0]
    seen: set[int] = set()
    return [[_completion(item, seen) for item in items] for items in drawn]


def _completion(item: Drawn, seen: set[int]) -> Completion:
    if isinstance(item, Completion):
        return item
    first = id(item) not in seen
    seen.add(id(item))
    return failed_completion(item, counted=first)


def failed_completion(error: BackendError, *, counted: bool = True) -> Completion:
    """Return a sample that failed as a completion that says so.

    Parameters
    ----------
    error : BackendError
        Why.
    counted : bool
        Whether it carries what the failed attempts have used; one of several samples of a request does.
    """
    return Completion(
        text="",
        prompt_tokens=0,
        output_tokens=0,
        finish_reason="error",
        error=f"{type(error).__name__}: {error}",
        failed_requests=error.failed_requests if counted else 0,
        lost_prompt_tokens=error.prompt_tokens if counted else 0,
        lost_output_tokens=error.output_tokens if counted else 0,
    )
