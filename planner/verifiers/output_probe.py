"""Call the function of a program on generated inputs, and say in a few characters what came out.

Runs after the program, in its process and module (`planner.verifiers.program_process`), so it imports the
standard library only and puts nothing into the module but what it says. Equal behaviour on all inputs gives
equal words; a program can only speak for itself. Starting it is left to `planner.verifiers.program_outputs`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import itertools
import math
import random
import signal
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

# Processor time of one call, whatever else the machine does; and how many may take all of it.
_SECONDS: Final = 0.5
_PATIENCE: Final = 3
# What is read of one output, of an iterator, and how deep.
_LONGEST: Final = 100_000
_MANY: Final = 1_000
_DEEP: Final = 20
_TEXTS: Final = (
    "",
    "a",
    "abc",
    "Hello World",
    "racecar",
    "123",
    "a,b;c",
    "(()())",
    "the cat the dog",
    "xYz 9",
    "Level",
)
_LISTS: Final = frozenset(
    {"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence", "Iterator"}
)
_FAILED: Final = "!"
_LATE: Final = "!!"
_KINDS: Final = ("int", "list[int]", "str", "list[str]")


class _TooLong(BaseException):
    """A call took all of its time."""


def said_of(names: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return what the function of a program does: ``"DIGEST OK N"``, or nothing where there is none.

    Parameters
    ----------
    names : mapping
        Of the module that the program ran in.
    asked : mapping
        ``name`` and ``hints`` of the function that the prompt shows, or None; ``examples``, arguments of
        example calls; ``n``, how many inputs.
    """
    function = _function(names, asked["name"])
    if function is None:
        return ""
    hints = asked["hints"] or _own_hints(function)
    rng = random.Random(f"{asked['name'] or ''}{hints}{asked['examples']}")
    n = asked["n"]
    if asked["examples"]:
        return _said(function, _like(asked["examples"], n, rng))
    if hints is None:
        return ""
    if all(hint is not None for hint in hints):
        return _said(function, _made([str(hint) for hint in hints], n, rng))
    # Nobody says what it takes: the first kind of argument that it can mostly do with.
    for kind in _KINDS:
        said = _said(function, _made([hint or kind for hint in hints], n, rng))
        if said and 2 * int(said.split()[1]) >= n:
            return said
    return ""


def _function(names: Mapping[str, Any], wanted: str | None) -> Callable[..., Any] | None:
    found = names.get(wanted) if wanted else None
    if callable(found):
        return found  # type: ignore[no-any-return]
    own = [
        value
        for name, value in names.items()
        if isinstance(value, types.FunctionType)
        and value.__code__.co_filename == "program.py"
        and not name.startswith(("_", "test"))
        and name != "main"
    ]
    return max(own, key=lambda value: value.__code__.co_firstlineno, default=None)


def _own_hints(function: Callable[..., Any]) -> list[str | None] | None:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None
    hints: list[str | None] = []
    for one in parameters:
        if one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if one.kind is one.KEYWORD_ONLY:
            return None
        hint = None if one.annotation is one.empty else one.annotation
        hints.append(hint if hint is None or isinstance(hint, str) else inspect.formatannotation(hint))
    return hints


def _made(hints: list[str], n: int, rng: random.Random) -> list[tuple[Any, ...]] | None:
    """Return n inputs by their annotations; None where one says nothing."""
    try:
        nodes = [ast.parse(hint, mode="eval").body for hint in hints]
        return _each_once(lambda: tuple(_value(node, rng) for node in nodes), n)
    except (ValueError, SyntaxError, RecursionError):
        return None


def _each_once(make: Callable[[], tuple[Any, ...]], n: int) -> list[tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for _ in range(8 * n):
        made = make()
        found.setdefault(repr(made), made)
        if len(found) == n:
            break
    return list(found.values())


def _value(node: ast.expr, rng: random.Random) -> Any:
    """Return a value of an annotation."""
    inner: list[ast.expr] = []
    if isinstance(node, ast.Subscript):
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        node = node.value
    if isinstance(node, ast.BinOp):
        return _value(rng.choice([node.left, node.right]), rng)
    if isinstance(node, ast.Constant):
        return None if node.value is None else _value(ast.parse(str(node.value), mode="eval").body, rng)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    first = inner[0] if inner else _named("int")
    if name == "Optional":
        return rng.choice([None, _value(first, rng), _value(first, rng)])
    if name == "Union":
        return _value(rng.choice(inner), rng)
    if name in _LISTS:
        items = [_value(first, rng) for _ in range(_size(rng))]
        if len(items) > 1 and rng.random() < 0.5:  # what comes twice is where programs differ
            items[rng.randrange(1, len(items))] = items[0]
        return items
    if name in ("tuple", "Tuple"):
        endless = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
        return tuple(_value(one, rng) for one in (inner if inner and not endless else [first] * _size(rng)))
    if name in ("set", "Set", "frozenset", "FrozenSet"):
        made = {_value(first, rng) for _ in range(_size(rng))}
        return made if name.lower() == "set" else frozenset(made)
    if name in ("dict", "Dict", "Mapping"):
        key, value = inner if len(inner) == 2 else (ast.Name(id="str"), _named("int"))
        return {_value(key, rng): _value(value, rng) for _ in range(_size(rng))}
    if name == "int" or name in ("Any", "object"):
        return rng.choice((0, 1, 2, 3, 7, 10, -1, -6, rng.randint(-50, 100), rng.randint(1, 30)))
    if name in ("float", "complex"):
        return rng.choice((0.0, 1.5, -2.25, 3.0, 10.5, round(rng.uniform(-20, 20), 2)))
    if name == "str":
        return rng.choice((*_TEXTS, "".join(rng.choices("abcde ", k=rng.randint(1, 9)))))
    if name == "bool":
        return rng.random() < 0.5
    if name == "bytes":
        return bytes(rng.choices(range(97, 103), k=rng.randint(0, 6)))
    raise ValueError(f"nothing is known of {name!r}")


def _named(name: str) -> ast.expr:
    return ast.parse(name, mode="eval").body


def _size(rng: random.Random) -> int:
    return rng.choice((0, 1, 2, 3, 4, 6))


def _like(examples: list[tuple[Any, ...]], n: int, rng: random.Random) -> list[tuple[Any, ...]]:
    """Return the examples, and inputs that differ a little from them."""
    first = list(examples)[: max(n // 2, 1)]
    seen = {repr(tuple(one)) for one in first}
    more = _each_once(lambda: tuple(_changed(one, rng) for one in rng.choice(first)), 2 * n)
    return [*map(tuple, first), *(one for one in more if repr(one) not in seen)][:n]


def _changed(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.25:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, max(value - 1, 0), 2 * value, value + rng.randint(2, 9), value // 2))
    if isinstance(value, float):
        return rng.choice((value + 1, value / 2, round(value * 1.5, 3)))
    if isinstance(value, str):
        letters = list(value)
        rng.shuffle(letters)
        return rng.choice(
            (value[::-1], value + value, value[1:], value[:-1], "".join(letters), value.swapcase())
        )
    if isinstance(value, (list, tuple)):
        items = list(value)
        how = rng.randrange(5)
        if how == 0:
            rng.shuffle(items)
        elif how == 1:
            items.reverse()
        elif how == 2 and len(items) > 1:
            del items[rng.randrange(len(items))]
        elif how == 3 and items:
            items.append(rng.choice(items))
        else:
            items = [_changed(one, rng) for one in items]
        return type(value)(items)
    if isinstance(value, dict):
        return {key: _changed(one, rng) for key, one in value.items() if len(value) < 2 or rng.random() < 0.8}
    if isinstance(value, (set, frozenset)):
        return type(value)(_changed(one, rng) for one in sorted(value, key=repr))
    return value


def _said(function: Callable[..., Any], inputs: list[tuple[Any, ...]] | None) -> str:
    """Return the digest of what comes out, how many inputs brought anything, and how many there were."""
    if not inputs:
        return ""
    digest, n_fine, patience = hashlib.sha256(), 0, _PATIENCE
    for arguments in inputs:
        words = _outcome(function, arguments) if patience > 0 else _LATE
        patience -= words == _LATE
        n_fine += words not in (_LATE, _FAILED)
        digest.update(f"{len(words)}:{words}".encode(errors="replace"))
    return f"{digest.hexdigest()[:24]} {n_fine} {len(inputs)}"


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Return one output in one way of writing; errors of all kinds are one."""

    def stop(*_: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    random.seed(0)
    try:
        result = function(*arguments)
        words = _words(result) if result is not None else f"None after {_words(arguments)}"
    except _TooLong:
        return _LATE
    except BaseException:  # noqa: BLE001 - the program's code raises what it likes, and all of it is failure
        return _FAILED
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return words


def _words(value: Any, depth: int = 0) -> str:
    """Return a value in words that are equal where ``==`` is, for plain values."""
    if depth > _DEEP:
        return "..."
    deeper = depth + 1
    if isinstance(value, (bool, int)):
        return hex(int(value))
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value):
            return hex(int(value))
        return f"{value:.9g}"
    if isinstance(value, (str, bytes)):
        return repr(value[:_LONGEST])
    if isinstance(value, (list, tuple)):
        ends = "[]" if isinstance(value, list) else "()"
        return f"{ends[0]}{_joined(_words(one, deeper) for one in value)}{ends[1]}"
    if isinstance(value, (set, frozenset)):
        return f"{{{_joined(sorted(_words(one, deeper) for one in value))}}}"
    if isinstance(value, dict):
        pairs = (f"{_words(key, deeper)}: {_words(one, deeper)}" for key, one in value.items())
        return f"{{{_joined(sorted(pairs))}}}"
    if value is None or value is Ellipsis:
        return str(value)
    if callable(getattr(value, "tolist", None)):
        return _words(value.tolist(), deeper)
    if isinstance(value, Iterable):
        return f"<{_joined(_words(one, deeper) for one in itertools.islice(value, _MANY))}>"
    return f"{type(value).__name__}{_words(getattr(value, '__dict__', None), deeper)}"


def _joined(parts: Iterable[str]) -> str:
    found, size = [], 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size > _LONGEST:
            break
    return ", ".join(found)
