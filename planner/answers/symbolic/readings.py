r"""Read an answer of several parts: lists, tuples, intervals, unions, matrices, equations, inequalities.

The brackets and commas are read here, each part by `planner.answers.symbolic.expressions`. It assumes an
answer that is not of words (`planner.answers.words`); when two readings are equal is left to
`planner.answers.symbolic.proof`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from planner.answers.numbers import canonical_number, join_thousands
from planner.answers.symbolic.expressions import APPLIED, expression
from planner.answers.symbolic.tokens import UnreadableError
from planner.answers.text import LAYOUT, undressed
from planner.answers.words import are_words


@dataclass(frozen=True, slots=True)
class Value:
    """One expression."""

    expression: Any


@dataclass(frozen=True, slots=True)
class Several:
    """Answers in no order: a list, a set, a union, a value with ``\\pm``."""

    parts: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts in order within brackets: a tuple or an interval; with the names of ``(x, y) =`` where given."""

    opening: str
    parts: tuple[Reading, ...]
    closing: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The values of one variable in an interval; infinite bounds are open."""

    variable: str
    interval: Sequence


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that are equal; `right` may be of several parts."""

    left: Any
    right: Reading


@dataclass(frozen=True, slots=True)
class Table:
    """A matrix, row by row."""

    rows: tuple[tuple[Any, ...], ...]


Reading: TypeAlias = Value | Several | Sequence | Range | Equation | Table

_UPRIGHT: Final = re.compile(r"\\(?:mathrm|text|mathit|operatorname|rm)\s?\{\s?([A-Za-z]+)\s?\}")
_CONNECTIVE: Final = re.compile(
    r"\\text\s?\{\s?,?\s?(and|or)\s?\}|\s,?\s?(?:and|or|\\lor|\\vee)\s|(?<=[0-9)}])\s?,\s?(?:and|or)\s"
)
_EMPTY: Final = re.compile(r"\\emptyset|\\varnothing|∅|\\\{\s*\\\}|\{\s*\}")
_MATRIX: Final = re.compile(r"\\begin\{([pbBvV]?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end\{\1\}", re.DOTALL)
_ORDER: Final = {
    **dict.fromkeys(("<", r"\lt"), "<"),
    **dict.fromkeys((">", r"\gt"), ">"),
    **dict.fromkeys(("<=", r"\leq", r"\le", r"\leqslant", "≤"), "<="),
    **dict.fromkeys((">=", r"\geq", r"\ge", r"\geqslant", "≥"), ">="),
}
_RELATION: Final = re.compile(r"<=|>=|[<>≤≥]|\\(?:leqslant|geqslant|leq|geq|le|ge|lt|gt)(?![A-Za-z])")
_SIGN_OF_TWO: Final = re.compile(r"\\pm(?![A-Za-z])|±|\+/-|\+-")
_MEMBER: Final = re.compile(r"^([A-Za-z])\s?(?:\\in(?![A-Za-z])|∈)\s?")
_POINT: Final = re.compile(r"\(\s?([A-Za-z](?:\s?,\s?[A-Za-z])+)\s?\)")
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_DEEPEST: Final = 8


def read(text: str, depth: int = 0) -> Reading:
    r"""Return what an answer says.

    Raises
    ------
    UnreadableError
        When it cannot be read as a whole.

    Examples
    --------
    >>> read("2, x+1")
    Several(parts=(Value(expression=2), Value(expression=x + 1)))
    >>> read("x<2").variable, read("x<2").interval.parts
    ('x', (Value(expression=-oo), Value(expression=2)))
    """
    if depth > _DEEPEST:
        raise UnreadableError("too deep")
    if depth == 0:
        text = _prepared(text)
    text = text.strip()
    if not text or are_words(text):
        raise UnreadableError(text)
    if _EMPTY.fullmatch(text):
        return Several(())
    matrix = _MATRIX.fullmatch(text)
    if matrix:
        return _table(matrix[1], matrix[2])
    member = _MEMBER.match(text)
    if member:
        return read(text[member.end() :], depth + 1)
    for separator in (r"\cup", "∪", ";", ","):
        parts = _split(text, separator)
        if len(parts) > 1:
            return _several(parts, depth)
    if _RELATION.search(text):
        return _range(text)
    sides = _split(text, "=")
    if len(sides) > 1:
        return _equation(sides, depth)
    return _bracketed(text, depth) or _with_two_signs(text) or _value(text)


def _prepared(text: str) -> str:
    """Drop what only decorates, and write "and" as a comma."""
    text = _UPRIGHT.sub(
        lambda match: f" {match[1]} " if match[1] in ("and", "or") else match[1],
        join_thousands(undressed(text)),
    )
    return _CONNECTIVE.sub(" , ", LAYOUT.sub(" ", text)).replace(r"\{", r"\{ ").replace(r"\}", r" \}")


def _split(text: str, separator: str) -> list[str]:
    """Cut a text at a separator that stands in no bracket; a comma of thousands is none."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if text[place] in _OPENING:
            depth += 1
        elif text[place] in _CLOSING:
            depth -= 1
        elif (
            depth == 0
            and text.startswith(separator, place)
            and not (separator == "," and _of_thousands(text, place))
        ):
            parts.append(text[start:place])
            place += len(separator)
            start = place
            continue
        place += 1
    return [*parts, text[start:]]


def _of_thousands(text: str, place: int) -> bool:
    return re.search(
        r"(?:^|[^0-9,.])[0-9]{1,3}(?:,[0-9]{3})*$", text[max(0, place - 40) : place]
    ) is not None and bool(re.match(r",[0-9]{3}(?![0-9])", text[place:]))


def _several(parts: list[str], depth: int) -> Several:
    """Read a list; ``x = 2, 3`` and ``x = 2, x = 3`` name the variable once or each time."""
    read_parts = [read(part, depth + 1) for part in parts]
    variables = [part.left for part in read_parts if isinstance(part, Equation) and is_name(part.left)]
    same = bool(variables) and all(variable == variables[0] for variable in variables)
    first = read_parts[0]
    named_once = same and len(variables) == 1 and isinstance(first, Equation) and is_name(first.left)
    if same and (named_once or len(variables) == len(read_parts)):
        read_parts = [part.right if isinstance(part, Equation) else part for part in read_parts]
    flat: list[Reading] = []
    for part in read_parts:
        flat += part.parts if isinstance(part, Several) else (part,)
    return Several(tuple(flat))


def _range(text: str) -> Reading:
    """Read ``x < 2`` or ``0 < x <= 1`` of one variable with bounds that are numbers."""
    sides = [expression(side) for side in _RELATION.split(text)]
    signs = [_ORDER[sign] for sign in _RELATION.findall(text)]
    if len(signs) == 1 and is_name(sides[1]):
        sides, signs = sides[::-1], [signs[0].translate(_TURNED)]
    if len(signs) == 1 and signs[0][0] == "<":
        sides, signs = [-expression("oo"), *sides], ["<", *signs]
    elif len(signs) == 1:
        sides, signs = [expression("oo"), *sides], [">", *signs]
    if [sign[0] for sign in signs] == [">", ">"]:
        sides, signs = sides[::-1], [sign.translate(_TURNED) for sign in signs[::-1]]
    if [sign[0] for sign in signs] != ["<", "<"]:
        raise UnreadableError(text)
    low, variable, high = sides
    opening, closing = ("[" if "=" in signs[0] else "("), ("]" if "=" in signs[1] else ")")
    if not variable.is_Symbol or not (low.is_number and high.is_number):
        raise UnreadableError(text)
    return Range(variable.name, Sequence(opening, (Value(low), Value(high)), closing))


_TURNED: Final = str.maketrans("<>", "><")


def _equation(sides: list[str], depth: int) -> Reading:
    """Read an equation; of a chain of equal sides the last one counts where the first is a variable."""
    right = read(sides[-1], depth + 1)
    names = _POINT.fullmatch(sides[0].strip())
    if names and isinstance(right, Sequence):
        return replace(right, names=tuple(names[1].replace(" ", "").split(",")))
    left = expression(sides[0])
    if len(sides) > 2 and not is_name(left):
        raise UnreadableError("a chain of equations")
    if isinstance(right, Value | Several | Sequence | Table):
        return Equation(left, right)
    raise UnreadableError("an equation within an equation")


def _bracketed(text: str, depth: int) -> Reading | None:
    """Read a set or a tuple or an interval; a bracket around one part is none of these."""
    if text.startswith(r"\{") and text.endswith(r"\}"):
        inside = text[2:-2]
        if "|" in inside or r"\mid" in inside:
            raise UnreadableError("a set by its property")
        found = read(inside, depth + 1)
        return Several(tuple(dict.fromkeys(found.parts)) if isinstance(found, Several) else (found,))
    if len(text) < 2 or text[0] not in "([{" or text[-1] not in ")]}":
        return None
    inside = text[1:-1]
    if _closes_early(inside):
        return None
    parts = _split(inside, ",")
    if len(parts) < 2:
        return None
    read_parts = tuple(read(part, depth + 1) for part in parts)
    if text[0] == "{" and text[-1] == "}":
        return Several(tuple(dict.fromkeys(read_parts)))
    return Sequence(text[0], read_parts, text[-1])


def _closes_early(inside: str) -> bool:
    """Say whether the bracket before `inside` closes within it."""
    depth = 0
    for character in inside:
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth < 0:
            return True
    return False


def _with_two_signs(text: str) -> Reading | None:
    signs = _SIGN_OF_TWO.findall(text)
    if not signs:
        return None
    if len(signs) > 1:
        raise UnreadableError("more than one sign of two")
    return Several((_value(_SIGN_OF_TWO.sub("+", text)), _value(_SIGN_OF_TWO.sub("-", text))))


def _value(text: str) -> Value:
    number = canonical_number(text)
    return Value(expression(text if number is None else number))


def _table(kind: str, body: str) -> Table:
    if kind[0] in "vV":
        raise UnreadableError("a determinant")
    rows = tuple(
        tuple(_value(cell).expression for cell in row.split("&")) for row in body.split(r"\\") if row.strip()
    )
    if not rows or len({len(row) for row in rows}) > 1:
        raise UnreadableError("no matrix")
    return Table(rows)


def is_name(side: Any) -> bool:
    """Say whether a side of an equation is a variable, or a function applied to something, as in ``f(x)``."""
    return bool(side.is_Symbol) or (bool(side.is_Function) and type(side).__name__ in APPLIED)
