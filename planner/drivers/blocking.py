"""Run a coroutine function to its end, for callers who know no event loop.

The signature stays the same, so that defaults stand in one place. Inside a running loop it refuses: blocking
there would stop everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import cleandoc
from typing import Any, ParamSpec, TypeVar

from difficulty.errors import InvalidInputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def blocking(
    function: Callable[Arguments, Coroutine[Any, Any, Result]],
) -> Callable[Arguments, Result]:
    """Return the blocking twin of a coroutine function, whose name begins with ``a``.

    Examples
    --------
    >>> async def adouble(number: int) -> int:
    ...     return 2 * number
    >>> double = blocking(adouble)
    >>> double(21), double.__name__
    (42, 'double')
    """
    asynchronous = function.__name__
    name = asynchronous.removeprefix("a")

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise InvalidInputError(
                f"an event loop is running here: use `await {asynchronous}(...)` instead of {name}"
            )
        return asyncio.run(function(*args, **kwargs))

    run.__name__ = name
    run.__qualname__ = function.__qualname__.removesuffix(asynchronous) + name
    run.__doc__ = f"""{cleandoc(function.__doc__ or "")}

Notes
-----
It waits for the end; inside a running event loop use ``await {asynchronous}(...)``.
"""
    return run
