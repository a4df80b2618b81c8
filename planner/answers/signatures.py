"""What a prompt that asks for a function says of it: its name, the kinds of its arguments, example calls.

Read from definitions, doctests and assertions in the text, as literals only; nothing is executed. A prompt
that shows none of these says nothing. What is made of it is left to `planner.verifiers.program_outputs`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# More of a prompt is not read, more examples are not kept, and longer calls are no examples.
_LONGEST: Final = 20_000
_EXAMPLES: Final = 8
_LONGEST_CALL: Final = 500
_DEFINED: Final = re.compile(r"^[ \t>.]*(?:async[ \t]+)?def[ \t]+([A-Za-z]\w*)[ \t]*\(", re.MULTILINE)
_SHOWN: Final = re.compile(
    r"(?:\bassert|>>>)[ \t]+(?:(?:set|sorted|list|tuple|abs|round|len|str|not|math\.isclose)\b[ \t(]*)*"
    r"([A-Za-z]\w*)[ \t]*\("
)


class AskedFunction(NamedTuple):
    """A function that is asked for.

    Attributes
    ----------
    name : str
        As it is to be called.
    hints : tuple of (str or None)
        The annotation of each argument that has no default; None where there is none.
    examples : tuple of tuple
        Arguments of example calls.
    """

    name: str
    hints: tuple[str | None, ...] = ()
    examples: tuple[tuple[object, ...], ...] = ()


def asked_function(text: str) -> AskedFunction | None:
    """Return the function that a prompt asks for, or None where it shows none.

    The last definition counts, since helpers come first; else the first function that a doctest or an
    assertion calls.

    Examples
    --------
    >>> found = asked_function("def area(w: int, h: int) -> int:\\n    '''\\n    >>> area(6, 7)\\n    42'''")
    >>> found.name, found.hints, found.examples
    ('area', ('int', 'int'), ((6, 7),))
    """
    text = text[:_LONGEST]
    definitions = [(match[1], match.end()) for match in _DEFINED.finditer(text)]
    if definitions:
        name, start = definitions[-1]
        return AskedFunction(name, _hints(_inside(text, start)), tuple(_calls(text, name)))
    shown = _SHOWN.search(text)
    return None if shown is None else AskedFunction(shown[1], (), tuple(_calls(text, shown[1])))


def _inside(text: str, start: int) -> str:
    """Return what stands in a bracket that was opened before `start`, quoted brackets apart."""
    depth, quote = 1, ""
    for place in range(start, min(len(text), start + _LONGEST_CALL)):
        sign = text[place]
        if quote:
            if sign == quote and text[place - 1] != "\\":
                quote = ""
        elif sign in "\"'":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if not depth:
                return text[start:place]
    return ""


def _hints(arguments: str) -> tuple[str | None, ...]:
    tree = _parsed(f"def f({arguments}): pass")
    if tree is None or not isinstance(tree.body[0], ast.FunctionDef):
        return ()
    found = tree.body[0].args
    positional = [*found.posonlyargs, *found.args]
    needed = positional[: len(positional) - len(found.defaults)]
    return tuple(None if one.annotation is None else ast.unparse(one.annotation) for one in needed)


def _calls(text: str, name: str) -> Iterator[tuple[object, ...]]:
    """Yield the arguments of calls that are literals, each once."""
    seen: set[str] = set()
    for match in re.finditer(rf"(?<!def )(?<![\w.]){re.escape(name)}[ \t]*\(", text):
        inside = _inside(text, match.end())
        tree = _parsed(f"f({inside})") if inside and inside not in seen else None
        call = tree.body[0] if tree is not None and len(tree.body) == 1 else None
        if not (isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)) or call.value.keywords:
            continue
        try:
            arguments = tuple(ast.literal_eval(one) for one in call.value.args)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        seen.add(inside)
        yield arguments
        if len(seen) == _EXAMPLES:
            return


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
