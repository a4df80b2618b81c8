"""Operations on sympy expressions that refuse values which cannot exist or would not fit into memory.

They assume expressions of `planner.answers.symbolic.expressions`, which reads them from a text.
"""

from __future__ import annotations

from typing import Any, Final

from difficulty.errors import require
from planner.answers.symbolic.tokens import FUNCTIONS, TRIGONOMETRIC, UnreadableError

_MOST_BITS: Final = 200_000  # of an integer power
_LARGEST_FACTORIAL: Final = 5000


def quotient(top: Any, bottom: Any) -> Any:
    """Return a fraction."""
    if bottom.is_zero:
        raise UnreadableError("no value")
    return top / bottom


def power(base: Any, exponent: Any) -> Any:
    """Return a power."""
    if base.is_zero and not exponent.is_positive:
        raise UnreadableError("no value")
    if base.is_Rational and exponent.is_Rational and base not in (0, 1, -1):
        bits = max(int(base.p).bit_length(), int(base.q).bit_length())
        if abs(exponent) * bits > _MOST_BITS:
            raise UnreadableError("too large")
    return base**exponent


def root(value: Any, degree: Any) -> Any:
    """Return a root, the real one of a negative number where there is one."""
    sympy = require("sympy", extra="math")
    if degree.is_Integer and degree % 2 == 1 and value.is_negative:
        return -sympy.root(-value, degree)
    if degree.is_zero:
        raise UnreadableError("no value")
    return sympy.root(value, degree)


def factorial(value: Any) -> Any:
    """Return a factorial."""
    if value.is_number and not (value.is_Integer and 0 <= value <= _LARGEST_FACTORIAL):
        raise UnreadableError("no factorial, or too large")
    return require("sympy", extra="math").factorial(value)


def binomial(top: Any, bottom: Any) -> Any:
    """Return a binomial coefficient."""
    if not (top.is_number or bottom.is_number) or abs(top) + abs(bottom) <= _LARGEST_FACTORIAL:
        return require("sympy", extra="math").binomial(top, bottom)
    raise UnreadableError("too large")


def applied(name: str, value: Any, *, base: Any = None, exponent: Any = None) -> Any:
    """Return a function of a value; a logarithm may have a base, and `exponent` is a power of the whole."""
    sympy = require("sympy", extra="math")
    if name == "exp" and value.is_number and abs(value.evalf()) > _MOST_BITS:
        raise UnreadableError("too large")
    if name in ("log", "lg", "ln") and value.is_zero:
        raise UnreadableError("no value")
    if name == "log" and base is None:  # of base e for some and 10 for others
        result = sympy.Function("log_of_some_base")(value)
    elif name in ("log", "lg"):
        result = sympy.log(value, base if base is not None else 10)
    elif exponent == -1 and name in TRIGONOMETRIC:
        return getattr(sympy, f"a{name}")(value)
    else:
        result = getattr(sympy, FUNCTIONS[name])(value)
    return result if exponent is None else power(result, exponent)
