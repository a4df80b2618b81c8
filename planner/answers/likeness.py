"""Whether two short texts say the same, told by their words alone: a port, and the rule that is built in.

The built-in rule compares pieces of words and never takes for alike what differs in a number or in a "not".
It knows no meaning: "large" and "big" are different words. An embedding endpoint knows more
(`planner.answers.embedded`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol, final

from difficulty.arguments import check_number

__all__ = ["LexicalLikeness", "Likeness"]

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d[\d.,]*\d|\d")
_FILLERS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        a an the is are was were be been it its this that these those of in on at to for by with and as so i
        we you he she they think believe would should answer therefore thus hence just very really also there
        """,
    )
)
_NOT: Final = frozenset(
    re.findall(
        r"\w+",
        """
        not no never none neither nor without cannot false wrong incorrect unlikely
        nein nicht kein keine pas jamais aucun nunca ningún
        """,
    )
)
_PIECE: Final = 3
# Texts that are compared word by word; longer ones by their beginning and end.
_LONGEST: Final = 4000


class Likeness(Protocol):
    """Says whether two texts say the same."""

    def alike(self, first: str, second: str) -> bool:
        """Return whether they do; the same for both orders."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LexicalLikeness:
    """Texts are alike where their words are, by cosine of counts of pieces of three letters.

    Parameters
    ----------
    threshold : float
        Least cosine, in (0, 1].

    Notes
    -----
    A text whose content words all stand in the other one is alike too, so that "Paris" and "The capital is
    Paris" are one answer. Texts with other numbers, or of which one denies, are never alike.

    Examples
    --------
    >>> likeness = LexicalLikeness()
    >>> likeness.alike("Paris.", "The capital is Paris"), likeness.alike("It is 41", "It is 42")
    (True, False)
    """

    threshold: float = 0.6

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, "in (0, 1]")

    def alike(self, first: str, second: str) -> bool:
        """Return whether two texts say the same."""
        fewer, more = sorted((_read(first), _read(second)), key=lambda text: len(text.words))
        if fewer.denies != more.denies:
            return False
        if fewer.numbers != more.numbers:
            # A remark that has numbers adds to an answer that needs none.
            return bool(fewer.words) and not fewer.numbers and fewer.words < more.words
        if not (fewer.words or fewer.numbers):
            # Nothing but fillers on one side: as they stand.
            return first.strip() == second.strip()
        return fewer.words <= more.words or _cosine(fewer, more) >= self.threshold


class _Text(NamedTuple):
    """What is compared: content words, numbers, pieces with their counts and norm, and whether it denies."""

    words: frozenset[str]
    numbers: frozenset[str]
    pieces: dict[str, int]
    norm: float
    denies: bool


@lru_cache(maxsize=4096)
def _read(text: str) -> _Text:
    plain = unicodedata.normalize("NFKC", text).casefold()
    if len(plain) > _LONGEST:
        plain = f"{plain[: _LONGEST // 2]} {plain[-_LONGEST // 2 :]}"
    found = _WORD.findall(plain)
    numbers = frozenset(_number(word) for word in found if word[0].isdigit())
    words = [word for word in found if not word[0].isdigit()]
    denials = sum(word in _NOT or word.endswith(("n't", "n’t")) for word in words)
    content = [word for word in words if word not in _FILLERS and word not in _NOT]
    pieces: Counter[str] = Counter()
    for word in content:
        padded = f" {word} "
        pieces.update(padded[at : at + _PIECE] for at in range(max(len(padded) - _PIECE + 1, 1)))
    norm = math.sqrt(sum(count**2 for count in pieces.values()))
    return _Text(frozenset(content), numbers, dict(pieces), norm, denials % 2 == 1)


def _number(written: str) -> str:
    digits = written.replace(",", "").rstrip(".")
    return (digits.rstrip("0").rstrip(".") or "0") if "." in digits else digits.lstrip("0") or "0"


def _cosine(one: _Text, other: _Text) -> float:
    if not one.norm or not other.norm:
        return 0.0
    few, many = sorted((one.pieces, other.pieces), key=len)
    return sum(count * many.get(piece, 0) for piece, count in few.items()) / (one.norm * other.norm)
