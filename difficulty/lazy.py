"""Names of a package that are imported when they are first asked for.

The stub of a package says where each of its names lives, to type checkers and to this module alike: one line
``from module import name as name`` for each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Lazy(NamedTuple):
    """What a package takes for ``__all__``, ``__getattr__`` and ``__dir__``."""

    names: list[str]
    find: Callable[[str], object]
    list_all: Callable[[], list[str]]


def on_first_use(package: str) -> Lazy:
    """Return what makes a package find the names of its stub.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    """
    module = sys.modules[package]
    with open(f"{module.__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
        lines = [line.split() for line in stub if line.startswith("from ")]
    homes = {name: home for _, home, _, name, *_ in lines}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    def list_all() -> list[str]:
        return sorted([*vars(module), *homes])

    return Lazy(sorted(homes, key=lambda name: (name.islower(), name)), find, list_all)
