"""The process in which symbolic mathematics runs, so that it can be stopped whenever it takes too long.

Reads one JSON list ``[operation, *texts]`` per line and answers with one JSON value per line; started by
`planner.answers.mathematics` and never imported by it. It assumes that the caller keeps time and kills it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from difficulty.errors import require

__all__ = ["canonical", "equal", "find", "serve"]


def find(text: str) -> str | None:
    """Return the answer that math-verify finds in a text, as written there.

    Examples
    --------
    >>> find("Therefore the answer is $x^2 + 1$.")
    'x^2 + 1'
    """
    parsed = _parse(text)
    written = [item for item in parsed if isinstance(item, str)]
    return written[-1] if written else None


def canonical(answer: str) -> str | None:
    r"""Return one way to write the value of `answer`, or None when it does not parse.

    Examples
    --------
    >>> canonical(r"\frac{\sqrt{2}}{2}") == canonical(r"1/\sqrt{2}")
    True
    """
    sympy = require("sympy", extra="math")
    values = [item for item in _parse(f"${answer}$") if not isinstance(item, str)]
    if not values:
        return None
    value = values[0]
    if isinstance(value, sympy.Equality):
        value = value.rhs  # "x = 5" answers 5
    if isinstance(value, sympy.Basic):
        value = value.doit()
        value = value.xreplace({f: sympy.Rational(str(f)) for f in value.atoms(sympy.Float)})
        if isinstance(value, sympy.Expr):
            value = sympy.simplify(value)
    return str(value)


def equal(answer: str, reference: str) -> bool:
    r"""Say whether two answers have the same value, as math-verify judges.

    Examples
    --------
    >>> equal("(x+1)^2", "x^2+2x+1")
    True
    """
    verify = require("math_verify", extra="math").verify
    return bool(verify(_parse(f"${reference}$"), _parse(f"${answer}$"), timeout_seconds=None))


def _parse(text: str) -> list[Any]:
    """Parse without math-verify's own timeout, which needs the main thread's alarm signal."""
    parsed: list[Any] = require("math_verify", extra="math").parse(text, parsing_timeout=None)
    return parsed


_OPERATIONS: Final[dict[str, Callable[..., object]]] = {"canonical": canonical, "equal": equal, "find": find}


def serve() -> None:
    """Answer requests from standard input until it closes."""
    logging.disable(logging.WARNING)  # math-verify warns on each call that the timeout is the caller's
    replies = sys.stdout
    sys.stdout = sys.stderr  # nothing that a library prints may pass for a reply
    for line in sys.stdin:
        operation, *texts = json.loads(line)
        replies.write(json.dumps(_OPERATIONS[operation](*texts)) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
