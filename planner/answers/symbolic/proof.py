"""Say when two readings are equal, and write a reading in one way.

Equal means shown to be so: the difference of two expressions simplifies to 0, two equations differ by a
constant factor, parts agree one by one. What cannot be shown counts as different, since a false yes is a
wrong label.
"""

from __future__ import annotations

from typing import Any, Final

from difficulty.errors import require
from planner.answers.symbolic.expressions import expression
from planner.answers.symbolic.readings import (
    Equation,
    Range,
    Reading,
    Sequence,
    Several,
    Table,
    Value,
    is_name,
    read,
)
from planner.answers.symbolic.tokens import UnreadableError

_LARGEST: Final = 400  # operations of an expression that is simplified
_MOST_PARTS: Final = 200


def equal(answer: str, reference: str) -> bool:
    r"""Say whether two answers can be shown to have the same value.

    Examples
    --------
    >>> equal("(x+1)^2", "x^2+2x+1"), equal("2x+4y-3=0", "y=-x/2+3/4"), equal("(0,1)", "[0,1]")
    (True, True, False)
    """
    try:
        return _same(read(answer), read(reference))
    except UnreadableError:
        return False


def canonical(answer: str) -> str | None:
    r"""Return one way to write the value of `answer`, in LaTeX, or None when it cannot be read.

    Examples
    --------
    >>> canonical(r"\frac{\sqrt{2}}{2}") == canonical(r"1/\sqrt{2}"), canonical("x = 1 + 1")
    (True, '2')
    """
    try:
        reading = read(answer)
        written = _written(reading)
        again = read(written)
        return written if _same(reading, again) and _written(again) == written else None
    except UnreadableError:
        return None


def _same(first: Reading, second: Reading) -> bool:
    """Compare two readings, in either order alike."""
    match first, second:
        case Value(one), Value(two):
            return _same_value(one, two)
        case Several(), Several():
            return _same_parts(first.parts, second.parts)
        case Table(rows), Table(others):
            return [len(row) for row in rows] == [len(row) for row in others] and all(
                _same_value(one, two)
                for row, other in zip(rows, others, strict=True)
                for one, two in zip(row, other, strict=True)
            )
        case Sequence(), Sequence():
            brackets = (first.opening, first.closing) == (second.opening, second.closing)
            names = not first.names or not second.names or first.names == second.names
            return (
                brackets
                and names
                and len(first.parts) == len(second.parts)
                and all(map(_same, first.parts, second.parts))
            )
        case Range(), Range():
            return first.variable == second.variable and _same(first.interval, second.interval)
        case Range(_, interval), Sequence():
            return _same(interval, second)
        case Sequence(), Range(_, interval):
            return _same(first, interval)
        case (Several() as given, Sequence() as point) | (Sequence() as point, Several() as given):
            named = _coordinates(point)
            return bool(named) and _same_parts(given.parts, named)
        case Equation(), Equation():
            return _same_equation(first, second)
        case Equation(), _:
            return any(_same(side, second) for side in _solved(first))
        case _, Equation():
            return any(_same(first, side) for side in _solved(second))
    return False


def _coordinates(point: Sequence) -> tuple[Reading, ...]:
    """Return ``x = 1, y = 2`` for ``(x, y) = (1, 2)``, and nothing for a tuple without names."""
    if len(point.names) != len(point.parts):
        return ()
    return tuple(
        Equation(expression(name), part) for name, part in zip(point.names, point.parts, strict=True)
    )


def _same_parts(first: tuple[Reading, ...], second: tuple[Reading, ...]) -> bool:
    """Say whether parts agree in some order, each with one other."""
    if len(first) != len(second) or len(first) > _MOST_PARTS:
        return False
    left = list(second)
    for part in first:
        place = next((k for k, other in enumerate(left) if _same(part, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _solved(equation: Equation) -> list[Reading]:
    """Return what an equation says its variable is: the other side, where one side is a variable."""
    left, right = equation.left, equation.right
    if not isinstance(right, Value):
        return [right] if is_name(left) else []
    sides = ((left, right.expression), (right.expression, left))
    return [
        Value(other)
        for one, other in sides
        if is_name(one) and not (one.free_symbols & other.free_symbols and one.is_Symbol)
    ]


def _same_equation(first: Equation, second: Equation) -> bool:
    """Say whether two equations differ by a constant factor, or give the same variable the same parts."""
    if not isinstance(first.right, Value) or not isinstance(second.right, Value):
        return _same_value(first.left, second.left) and _same(first.right, second.right)
    sympy = require("sympy", extra="math")
    one, two = first.left - first.right.expression, second.left - second.right.expression
    if max(one.count_ops(), two.count_ops()) > _LARGEST:
        return False
    one, two = sympy.expand(one), sympy.expand(two)
    if one.is_zero or two.is_zero or not one.free_symbols or one.free_symbols != two.free_symbols:
        return bool(first == second)
    ratio = (
        sympy.cancel(one / two)
        if one.is_rational_function() and two.is_rational_function()
        else sympy.simplify(one / two)
    )
    return bool(ratio.is_number and ratio.is_finite and not ratio.is_zero)


def _same_value(first: Any, second: Any) -> bool:
    """Say whether the difference of two expressions is shown to be 0."""
    if first == second:
        return True
    if first.is_infinite or second.is_infinite:
        return False
    difference = first - second
    if difference.is_Rational:
        return False  # and not 0, since the two differ
    if difference.count_ops() > _LARGEST:
        return False
    if not difference.free_symbols and abs(difference.evalf(30)) > 1e-15 * (1 + abs(second.evalf(30))):
        return False
    sympy = require("sympy", extra="math")
    return bool(sympy.expand(difference) == 0 or sympy.simplify(difference) == 0 or difference.equals(0))


def _written(reading: Reading) -> str:
    match reading:
        case Value(value):
            return _latex(_simplified(value))
        case Several(parts):
            if len({part.variable for part in parts if isinstance(part, Range)}) > 1:
                raise UnreadableError("ranges of several variables")
            return r"\{" + ", ".join(sorted(map(_written_part, parts))) + r"\}"
        case Sequence(opening, parts, closing, _):
            return opening + ", ".join(map(_written, parts)) + closing
        case Range(_, interval):
            return _written(interval)
        case Table(rows):
            lines = (" & ".join(_latex(_simplified(cell)) for cell in row) for row in rows)
            return r"\begin{pmatrix}" + r" \\ ".join(lines) + r"\end{pmatrix}"
        case Equation(left, right):
            solved = _solved(reading)
            if len(solved) == 1:
                return _written(solved[0])
            if not isinstance(right, Value):
                raise UnreadableError("an equation of several parts")
            return _written_equation(left - right.expression)


def _written_part(part: Reading) -> str:
    """Write one of several answers: there an equation keeps its variable."""
    if isinstance(part, Equation) and isinstance(part.right, Value):
        return f"{_latex(part.left)} = {_written(part.right)}"
    return _written(part)


def _written_equation(difference: Any) -> str:
    """Write an equation with whole coefficients and 0 on its right side."""
    sympy = require("sympy", extra="math")
    symbols = sorted(difference.free_symbols, key=lambda symbol: str(symbol.name))
    if not symbols or difference.count_ops() > _LARGEST or not difference.is_polynomial(*symbols):
        raise UnreadableError("no polynomial")
    polynomial = sympy.Poly(difference, *symbols)
    polynomial = polynomial.quo_ground(polynomial.LC())
    if all(coefficient.is_Rational for coefficient in polynomial.coeffs()):
        polynomial = polynomial.clear_denoms(convert=True)[1]
    return f"{_latex(polynomial.as_expr())} = 0"


def _simplified(value: Any) -> Any:
    sympy = require("sympy", extra="math")
    if value.is_Rational or value.is_infinite or value.count_ops() > _LARGEST:
        return value
    symbols = value.free_symbols
    return sympy.expand(value) if symbols and value.is_polynomial(*symbols) else sympy.simplify(value)


def _latex(value: Any) -> str:
    sympy = require("sympy", extra="math")
    if value.is_Integer and abs(int(value)).bit_length() > 10_000:
        raise UnreadableError("too long to write")
    return str(sympy.latex(value, ln_notation=True, inv_trig_style="full"))
