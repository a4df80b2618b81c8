"""The process in which symbolic mathematics runs, so that it can be stopped whenever it takes too long.

Reads one JSON list ``[seconds, operation, *texts]`` per line and answers with one JSON value per line;
started by `planner.answers.symbolic.process` and never imported by it. It ends itself when its time is over
or its reader is gone.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable
from typing import Final

from difficulty.errors import require
from planner.answers.symbolic.proof import canonical, equal

_OPERATIONS: Final[dict[str, Callable[..., object]]] = {"canonical": canonical, "equal": equal}
_MOST_BYTES: Final = 2 << 30  # of address space
_LONGEST_REPLY: Final = 5000  # characters


def serve() -> None:
    """Say that all is loaded, then answer requests from standard input until it closes."""
    replies = sys.stdout
    sys.stdout = sys.stderr  # nothing that a library prints may pass for a reply
    require("sympy", extra="math")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    _reply(replies.write, replies.flush, "ready")
    for line in sys.stdin:
        seconds, operation, *texts = json.loads(line)
        signal.setitimer(
            signal.ITIMER_REAL, seconds + 1.0
        )  # the end of this process, also when nobody kills it
        _reply(replies.write, replies.flush, _value(_OPERATIONS[operation], texts))
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _value(operation: Callable[..., object], texts: list[str]) -> object:
    try:
        return operation(*texts)
    # sympy raises errors of any type on odd input; each of them means "not shown".
    except Exception:  # noqa: BLE001 - as said
        return None


def _reply(write: Callable[[str], object], flush: Callable[[], object], value: object) -> None:
    text = json.dumps(value)
    write((text if len(text) <= _LONGEST_REPLY else "null") + "\n")
    flush()


if __name__ == "__main__":
    serve()
