r"""Read one expression, written in LaTeX or plainly, as a sympy expression: ``\frac{x^2}{2}``, ``sqrt(2)/2``.

All of a text is read or none of it, and what can be read in two ways is not read: two numbers side by side,
``1/2x``, a word of letters. Readers of whole solutions guess there (one takes ``A`` for ``a`` and ``2 3`` for
5), which makes unequal answers equal. Which values are refused is left to
`planner.answers.symbolic.operations`.
"""

from __future__ import annotations

from typing import Any, Final

from difficulty.errors import require
from planner.answers.symbolic.operations import applied, binomial, factorial, power, quotient, root
from planner.answers.symbolic.tokens import CONSTANTS, FUNCTIONS, NAMES, UnreadableError, tokens_of

_DEEPEST: Final = 40  # levels of brackets
_PRODUCT: Final = frozenset({"*", "·", "×", r"\cdot", r"\times", r"\ast"})
_QUOTIENT: Final = frozenset({"/", "÷", r"\div"})
_GREEK_NAMES: Final = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell"
)
_GREEK: Final = frozenset(_GREEK_NAMES.split())
APPLIED: Final = frozenset("fghFGPQ")
"""Letters that a bracket makes functions."""
_CLOSING: Final = {
    "(": ")",
    "[": "]",
    "{": "}",
    r"\lfloor": r"\rfloor",
    r"\lceil": r"\rceil",
    r"\lvert": r"\rvert",
}


def expression(text: str) -> Any:
    r"""Return the sympy expression that all of `text` is; decimals are exact.

    Raises
    ------
    UnreadableError
        When it is none, or not surely one.

    Examples
    --------
    >>> expression(r"2\frac{1}{2}"), expression("x**2/4 + sqrt(2)"), expression("0.1")
    (5/2, x**2/4 + sqrt(2), 1/10)
    """
    reader = _Reader(text)
    value = reader.sum()
    if reader.peek():
        raise UnreadableError(text)
    if value.has(reader.sympy.zoo, reader.sympy.nan):
        raise UnreadableError(text)
    return value


class _Reader:
    """Reads tokens from left to right, by precedence."""

    def __init__(self, text: str) -> None:
        self.sympy = require("sympy", extra="math")
        self._tokens = tokens_of(text)
        self._place = 0
        self._depth = 0
        self._bars = 0

    def peek(self, ahead: int = 0) -> str:
        """Return a token without taking it; the empty string at the end."""
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else ""

    def take(self, expected: str | None = None) -> str:
        """Take the next token, which must be `expected` if that is given."""
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise UnreadableError(f"{expected or 'more'} expected, got {token!r}")
        self._place += 1
        return token

    def took(self, *tokens: str) -> bool:
        """Take the next token if it is one of these, and say whether it was."""
        found = self.peek() in tokens
        self._place += found
        return found

    def sum(self) -> Any:
        """Read terms and the signs between them."""
        value = self._signed()
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self._product()
            value = value + term if sign == "+" else value - term
        return value

    def _signed(self) -> Any:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        return sign * self._product()

    def _product(self) -> Any:
        """Read factors; after a plain quotient nothing may stand beside its divisor."""
        value = self._mixed()
        divided = False
        while True:
            if self.took(*_PRODUCT):
                value, divided = value * self._factor_with_sign(), False
            elif self.took(*_QUOTIENT):
                value, divided = quotient(value, self._factor_with_sign()), True
            elif self._begins_factor(self.peek()):
                if divided:
                    raise UnreadableError("1/2x can be read in two ways")
                value = value * self._factor()
            else:
                return value

    def _factor_with_sign(self) -> Any:
        return -self._factor() if self.took("-") else self._factor()

    def _mixed(self) -> Any:
        """Read a factor, or a whole number and the proper fraction right behind it."""
        whole = self._factor()
        if self.peek(-1).isdigit() and self.peek() in (r"\frac", r"\dfrac", r"\tfrac"):
            fraction = self._factor()
            if not (fraction.is_Rational and 0 < fraction < 1):
                return whole * fraction
            return whole + fraction
        return whole

    def _begins_factor(self, token: str) -> bool:
        """Say whether a token can begin a factor that stands beside another one: no number can."""
        if token == "|":
            return self._bars == 0
        return (
            token in ("(", "[", "{", "√", "π", "∞")
            or (token.startswith("\\") and token not in _NO_FACTOR)
            or token.isalpha()
        )

    def _factor(self) -> Any:
        value = self._atom()
        while True:
            if self.took("^", "**"):
                braced = self.peek(1) == r"\circ" and self.took("{")
                if self.took(r"\circ"):
                    value = value * self.sympy.Symbol("degree")
                    if braced:
                        self.take("}")
                else:
                    value = power(value, self._exponent())
            elif self.took("!"):
                value = factorial(value)
            elif self.took("°"):
                value = value * self.sympy.Symbol("degree")
            else:
                return value

    def _exponent(self) -> Any:
        """Read a group, a letter, a command or a number; powers of powers group from the right."""
        sign = -1 if self.took("-") else 1
        value = self._atom()
        if self.took("^", "**"):
            value = power(value, self._exponent())
        return sign * value

    def _atom(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnreadableError("too deep")
        value = self._read_atom()
        self._depth -= 1
        return value

    def _read_atom(self) -> Any:
        token = self.take()
        name = token.removeprefix("\\")
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return self.sympy.Rational(token.replace(",", ""))
        if token in ("(", "[", "{"):
            value = self.sum()
            self.take(_CLOSING[token])
            return value
        if token in ("|", r"\lvert", r"\lfloor", r"\lceil", r"\vert"):
            return self._barred(token)
        if name in CONSTANTS:
            return getattr(self.sympy, CONSTANTS[name])
        if name in FUNCTIONS or name in ("log", "lg", "sqrt", "√"):
            return self._function(name)
        if token in (r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"):
            return quotient(self._argument(), self._argument())
        if token in (r"\binom", r"\dbinom", r"\tbinom"):
            return binomial(self._argument(), self._argument())
        if (len(token) == 1 and token.isalpha()) or (token[0] == "\\" and name in _GREEK):
            return self._letter(name)
        raise UnreadableError(token)

    def _argument(self) -> Any:
        """Read a group in braces, or one token; the digits of ``\\frac12`` are two tokens then."""
        if self.took("{"):
            value = self.sum()
            self.take("}")
            return value
        token = self.peek()
        if token.isdigit() and len(token) > 1:
            self._tokens[self._place : self._place + 1] = [token[0], token[1:]]
        return self._atom()

    def _barred(self, token: str) -> Any:
        closing = _CLOSING.get(token, token)
        self._bars += token == "|"
        value = self.sum()
        self.take(closing)
        self._bars -= token == "|"
        name = {r"\lfloor": "floor", r"\lceil": "ceiling"}.get(token, "Abs")
        return getattr(self.sympy, name)(value)

    def _function(self, name: str) -> Any:
        """Read a function with its base, its power and its argument."""
        if name in ("sqrt", "√"):
            return self._root()
        base = self._argument() if name == "log" and self.took("_") else None
        exponent = None
        if self.took("^", "**"):
            exponent = self._argument() if self.peek() != "-" else self._exponent()
        return applied(name, self._function_argument(), base=base, exponent=exponent)

    def _function_argument(self) -> Any:
        """Read a bracket, or the factors up to the next function or operator."""
        if self.peek() in ("(", "{", "[", "|"):
            value = self._atom()
            if self.peek() in ("^", "**", "!"):
                raise UnreadableError("sin(x)^2 can be read in two ways")
            return value
        value = self._factor()
        while (
            self._begins_factor(self.peek())
            and self.peek().removeprefix("\\") not in NAMES
            and self.peek() != "("
        ):
            value = value * self._factor()
        if self.peek() in _QUOTIENT or self.peek() == "(":
            raise UnreadableError("sin x/2 can be read in two ways")
        return value

    def _root(self) -> Any:
        degree = self.sympy.Integer(2)
        if self.took("["):
            degree = self.sum()
            self.take("]")
        return root(self._atom() if self.peek() == "(" else self._argument(), degree)

    def _letter(self, name: str) -> Any:
        """Read a variable with its index, or a function of that name, or e or i."""
        if self.took("_"):
            name = f"{name}_{self._index()}"
        elif name == "e":
            return self.sympy.E
        elif name == "i":
            return self.sympy.I
        if name in APPLIED and self.took("("):
            argument = self.sum()
            self.take(")")
            return self.sympy.Function(name)(argument)
        return self.sympy.Symbol(name)

    def _index(self) -> str:
        parts = []
        if not self.took("{"):
            parts.append(self.take())
        else:
            while not self.took("}"):
                parts.append(self.take())
        if not all(map(str.isalnum, parts)):
            raise UnreadableError("an index of more than letters and digits")
        return "".join(parts)


_NO_FACTOR: Final = _PRODUCT | _QUOTIENT | frozenset(_CLOSING.values()) | {r"\circ", r"\pm", r"\mp"}
