"""Keep linear algebra on one thread while many small products are computed.

Products here are a few hundred rows wide; on two cores, threads inside each of them made planning 10,000
prompts four times slower and training three times. The caller's own setting comes back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@cache
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def one_thread() -> Iterator[None]:
    """Return a context in which BLAS uses one thread.

    Examples
    --------
    >>> with one_thread():
    ...     total = sum(range(4))
    >>> total
    6
    """
    # Asking each library is several times quicker than a limit of threadpoolctl, which describes them first.
    several = [(library, n) for library in _libraries() if (n := library.get_num_threads()) != 1]
    for library, _ in several:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, n_threads in several:
            library.set_num_threads(n_threads)


def on_one_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function run in `one_thread`."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with one_thread():
            return function(*args, **kwargs)

    return run
