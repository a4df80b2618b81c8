"""Keep linear algebra on one thread while many small products are computed.

Products here are a few hundred rows wide; on two cores, threads inside each of them made planning 10,000
prompts four times slower and training three times. The caller's own setting comes back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread.

    Examples
    --------
    >>> with one_thread():
    ...     total = sum(range(4))
    >>> total
    6
    """
    limit: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limit


def on_one_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function run in `one_thread`."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with one_thread():
            return function(*args, **kwargs)

    return run
