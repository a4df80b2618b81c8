"""Linear algebra on one thread, and the caller's own setting afterwards."""

from __future__ import annotations

from contextlib import ExitStack

from threadpoolctl import ThreadpoolController

from difficulty.arithmetic.threads import one_thread


def test_the_callers_threads_come_back_however_calls_overlap() -> None:
    """As where two threads of a server plan at once, the first to begin ending first."""
    blas = ThreadpoolController().select(user_api="blas")

    def threads() -> set[int]:
        return {library["num_threads"] for library in blas.info()}

    with blas.limit(limits=2):
        first, second = ExitStack(), ExitStack()
        first.enter_context(one_thread())
        assert threads() == {1}
        second.enter_context(one_thread())
        first.close()
        second.close()
        assert threads() == {2}
