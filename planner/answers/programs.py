"""Find the program in a completion: among fenced blocks, drafts, examples and prose.

Python programs only, recognised by their looks without running or parsing them, in linear time. What a test
calls tells which block is the program, where names are given; helpers from other blocks come along.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, final

from planner.answers.fences import OTHER_LANGUAGES, Piece, pieces_of
from planner.answers.thought import without_thought

_PYTHON: Final = re.compile(
    r"(?:i?python|py|pypy|cython|micropython|sage|sagemath|jupyter|tool_code)[\d.]*(?:-exec)?"
)
# Strings and comments first, so that what stands in them is no name. Possessive: no way back, linear.
_TOKEN: Final = re.compile(
    r"\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+(?:\"\"\"|\Z)|'''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\Z)"
    r"|\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?|#[^\n]*+|(?P<name>\.?[^\W\d]\w*+)|\d\w*+",
    re.DOTALL,
)
_DEFINED: Final = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)[ \t]*[(:\[]", re.MULTILINE)
_ASSIGNED: Final = re.compile(r"^(\w+)[ \t]*+(?::[^=\n]*+)?=(?!=)", re.MULTILINE)
_IMPORTED: Final = re.compile(r"^(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+([^\n#]*+)", re.MULTILINE)
_BOUND_IN_TESTS: Final = re.compile(
    r"(?:\b(?:def|class|import|as|for)[ \t]+(\w+))|(?:^[ \t]*+(\w+)[ \t]*+(?::[^=\n]*+)?=(?!=))", re.MULTILINE
)
_CODE_LINE: Final = re.compile(
    r"[ \t#@)\]}]|(?:async[ \t]+)?(?:def|class)[ \t]+\w+[ \t]*[(:\[]"
    r"|import[ \t]+[\w., \t]+$|from[ \t]+[\w.]+[ \t]+import\b"
    r"|(?:if|elif|for|while|with|match|case)\b[^\n]*:|(?:else|try|except\b[^\n]*|finally)[ \t]*:"
    r"|(?:assert|return|raise|del|global|pass)\b|[\w.\[\], \t]+(?::[^=\n]+)?[-+*/%&|^]?=|[\w.]+\("
)
_PROSE: Final = re.compile(r"^[A-Z][a-z]+[.!:]?$|[^\W\d_][,;:]? [^\W\d_]|^[-*>|=]|^\[/?[A-Z]+\]$|^<[^<>]*>$")
_FUTURE: Final = re.compile(r"^from[ \t]+__future__[ \t]+import[^\n]*\n?", re.MULTILINE)
_QUOTED_MARK: Final = re.compile(r"(?<=[\"'`\\])<(?=/?\s?\w)|<(?=/?\s?[\w:]+\s?>[\"'])")
_HIDDEN: Final = "\ufdd0"  # no character; stands for < while thought is taken out


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    text: str
    rank: int  # 3 a Python block, 2 a block of nobody knows what, 1 text between blocks, 0 something else
    defined: frozenset[str]  # functions and classes
    assigned: frozenset[str]
    imported: frozenset[str]


def program_of(text: str, *, names: Collection[str] = ()) -> str:
    """Return the program that a completion gives, or the whole text where none can be told.

    Parameters
    ----------
    text : str
        A whole completion; thought that is left in it is passed over.
    names : collection of str
        What the program's tests use (`names_called_by`); blocks that define more of them come first.

    Notes
    -----
    Otherwise the last block wins that defines a function or class, Python before other tags, blocks before
    plain text. Functions, classes and imports that it uses and only other blocks define are put before it.

    Examples
    --------
    >>> program_of("Sure:\\n```python\\ndef f():\\n    return 42\\n```\\nTry:\\n```\\nprint(f())\\n```")
    'def f():\\n    return 42\\n'
    """
    text = _QUOTED_MARK.sub(_HIDDEN, text.removeprefix("\ufeff"))
    text = without_thought(text).replace(_HIDDEN, "<")
    pieces = pieces_of(text)
    if len(pieces) == 1 and pieces[0].tag is not None:
        return pieces[0].text
    candidates = [made for made in map(_candidate, pieces) if made is not None]
    if not candidates:
        return text
    wanted = frozenset(names)
    best = max(
        range(len(candidates)),
        key=lambda index: (
            len(wanted & (candidates[index].defined | candidates[index].assigned)),
            not all(name.lower().startswith("test") for name in candidates[index].defined),
            candidates[index].rank,
            index,
        ),
    )
    return _with_helpers(candidates, best, wanted)


def names_called_by(tests: str) -> frozenset[str]:
    """Return the names that a test program uses and does not bind itself.

    Examples
    --------
    >>> sorted(names_called_by("result = add(2, 3)\\nassert result == 5  # as before"))
    ['add', 'assert']
    """
    bound = {name for pair in _BOUND_IN_TESTS.findall(tests) for name in pair}
    return frozenset(_used(tests) - bound)


def _candidate(piece: Piece) -> _Candidate | None:
    text = piece.text
    if piece.tag is None:
        text = _without_prose(text)
    defined = frozenset(_DEFINED.findall(text))
    if piece.tag is None:
        rank = 1
    elif _PYTHON.fullmatch(piece.tag):
        rank = 3
    else:
        rank = 0 if piece.tag in OTHER_LANGUAGES or text.lstrip().startswith((">>>", "$ ")) else 2
    assigned, imported = frozenset(_ASSIGNED.findall(text)), _imports(text)
    if rank < 2 and not (defined or assigned or imported):
        return None
    return _Candidate(text=text, rank=rank, defined=defined, assigned=assigned, imported=imported)


def _with_helpers(candidates: list[_Candidate], best: int, wanted: frozenset[str]) -> str:
    """Put before the chosen block those that define what it or the tests miss."""
    owners: dict[str, int] = {}
    for index in (*range(len(candidates) - 1, best, -1), *range(best)):  # rather the last one before it
        if candidates[index].rank >= 2:
            owners |= dict.fromkeys(candidates[index].defined | candidates[index].imported, index)
    have = set(candidates[best].defined | candidates[best].assigned | candidates[best].imported)
    helpers: set[int] = set()
    missing = sorted(_used(candidates[best].text) | wanted)
    while missing:
        name = missing.pop()
        if name in have or name not in owners:
            continue
        helper = candidates[owners[name]]
        have |= helper.defined | helper.assigned | helper.imported
        if owners[name] not in helpers:
            helpers.add(owners[name])
            missing += sorted(_used(helper.text))
    text = "\n".join(candidates[index].text for index in (*sorted(helpers), best))
    if helpers and (future := _FUTURE.findall(text)):  # these must come first
        return "".join(dict.fromkeys(future)) + _FUTURE.sub("", text)
    return text


def _imports(text: str) -> frozenset[str]:
    """Return the names that imports at the left margin bind."""
    return frozenset(
        part.split()[-1].partition(".")[0]
        for imported in _IMPORTED.findall(text)
        for part in imported.strip("() ").split(",")
        if part.strip()
    )


def _used(text: str) -> set[str]:
    """Return all names outside strings and comments that are not attributes."""
    return {name for match in _TOKEN.finditer(text) if (name := match["name"]) is not None and name[0] != "."}


def _without_prose(text: str) -> str:
    """Return a text without its lines of prose, if it holds code; the lines of strings are kept."""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    quotes = ""
    began = False
    for line in lines:
        inside = bool(quotes)
        for mark in ('"""', "'''"):
            if quotes in ("", mark) and line.count(mark) % 2:
                quotes = "" if quotes else mark
        code = inside or bool(_CODE_LINE.match(line)) or not _PROSE.search(line.rstrip())
        began = began or (bool(_CODE_LINE.match(line)) and line[0] not in " \t#@)]}") or line[0] == "@"
        if began and code:
            kept.append(line)
    return "".join(kept)
