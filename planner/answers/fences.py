"""Cut a completion at its fences: what stands in each block of code, its tag, and the text between blocks.

It reads the ways in which models write fences: backticks or tildes, indented, quoted, on one line, cut off or
without a partner. Time is linear in the text. Which block matters is left to `planner.answers.programs`.
"""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import dataclass
from typing import Final, final

# Tags of blocks that are no Python programs; a tag that nobody knows may be one.
OTHER_LANGUAGES: Final = frozenset({
    "asm", "assembly", "bash", "bat", "batch", "c", "c#", "c++", "clojure", "cmd", "coffee", "console",
    "cpp", "cs", "csharp", "css", "csv", "dart", "diff", "docker", "dockerfile", "elixir", "error",
    "erlang", "f#", "fortran", "fsharp", "go", "golang", "graphql", "groovy", "haskell", "html", "ini",
    "input", "java", "javascript", "js", "json", "json5", "jsonc", "jsonl", "jsx", "julia", "kotlin",
    "latex", "less", "log", "lua", "makefile", "math", "matlab", "mermaid", "mysql", "none", "objc",
    "ocaml", "out", "output", "pascal", "patch", "perl", "php", "plain", "plaintext", "postgresql",
    "powershell", "ps1", "pycon", "r", "requirements", "result", "rs", "ruby", "rust", "sass", "scala",
    "scheme", "scss", "sh", "shell", "shell-session", "sql", "stderr", "stdin", "stdout", "svg", "swift",
    "tex", "terminal", "text", "toml", "traceback", "ts", "tsx", "txt", "typescript", "vb", "vue", "xml",
    "yaml", "yml", "zsh",
})  # fmt: skip

_LINE: Final = re.compile(r"^(?P<indent>[ \t]*+(?:>[ \t]?)*+[ \t]*+)(?P<fence>`{3,}|~{3,})(?P<rest>.*)$")
_AFTER_TEXT: Final = re.compile(r"^(?P<text>[^`]*[^`\s][ \t]*)(?P<fence>`{3,})(?P<rest>[ \t]*+[\w+#.-]*)$")
_TAG: Final = re.compile(r"^[\s{.]*(?:lang(?:uage)?[-=])?([\w+#-]+(?:\.\d+)?)?")
_TRANSPARENT: Final = frozenset({"markdown", "md", "mdx", "rst"})
_QUOTED: Final = re.compile(r"('''|\"\"\")[ \t]*(?:python\d?|py)")  # quotes in place of backticks
_QUOTES: Final = re.compile(r"\\.|\"\"\"|'''|\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|#.*")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A block of code, or text between blocks.

    Parameters
    ----------
    text : str
        Without fences, indentation of the fence taken away.
    tag : str, optional
        The tag of a block in lower case, empty where it has none; None for text between blocks.
    """

    text: str
    tag: str | None = None


def pieces_of(text: str) -> tuple[Piece, ...]:
    """Return blocks and the text between them, in order; what is blank is left out.

    Parameters
    ----------
    text : str
        A completion of any length.

    Examples
    --------
    >>> [(piece.tag, piece.text) for piece in pieces_of("So:\\n~~~py\\nx = 1\\n~~~\\nDone.")]
    [(None, 'So:\\n'), ('py', 'x = 1\\n'), (None, 'Done.')]
    """
    text = text.replace("\r\n", "\n")
    cutter = _Cutter(text)
    for line in io.StringIO(text):
        cutter.read(line)
    return cutter.finish()


class _Cutter:
    """Reads line by line; knows if a block is open, and if a string in it is."""

    def __init__(self, text: str) -> None:
        self._pieces: list[Piece] = []
        self._lines: list[str] = []
        self._fence = ""  # of the open block, or empty
        self._indent = ""
        self._tag = ""
        self._string = ""  # the quotes of an open triple-quoted string
        self._outer: list[str] = []  # fences of open blocks that hold other blocks
        self._text = text
        self._at = 0  # where in the text the line begins
        self._next_quotes = -1  # where the open string may end, as far as was looked
        self._last_fence = max(text.rfind("```"), text.rfind("~~~"))

    def read(self, line: str) -> None:
        """Take the next line."""
        bare = line.rstrip()
        found = _LINE.match(bare) if "```" in bare or "~~~" in bare else None
        if not self._fence:
            self._read_outside(line, bare, found)
        elif self._fence[0] in "'\"":
            if bare == self._fence and not self._string:
                self._end_block()
            else:
                self._lines.append(line)
                self._follow_strings(bare)
        elif found is not None and self._closes(found):
            rest = found["rest"].strip()
            self._end_block()
            if (
                rest and " " not in rest and found["fence"][0] == "`"
            ):  # a new block; the last was never closed
                self._open(found["fence"], _tag(rest), found["indent"])
            elif rest:
                self._lines.append(f"{rest}\n")
        elif found is None and not self._string and self._ends_in_fence(bare):
            self._lines.append(bare[: -len(self._fence)] + "\n")
            self._end_block()
        else:
            self._lines.append(line)
            self._follow_strings(bare)
        self._at += len(line)

    def finish(self) -> tuple[Piece, ...]:
        """End what is open and return all pieces."""
        if self._fence:
            self._end_block()
        else:
            self._end_text()
        return tuple(self._pieces)

    def _read_outside(self, line: str, bare: str, found: re.Match[str] | None) -> None:
        if found is not None:
            rest = found["rest"].strip()
            if self._outer and not rest and found["fence"] == self._outer[-1]:
                self._outer.pop()
                return
            if rest.endswith(found["fence"]) and found["fence"][0] == "`":  # a block on one line
                self._end_text()
                content = rest[: -len(found["fence"])].strip()
                tag, _, code = content.partition(" ")
                short = re.fullmatch(r"\w+", tag) and code
                self._add(Piece(text=f"{code if short else content}\n", tag=tag.lower() if short else ""))
                return
            if _tag(rest) in _TRANSPARENT:
                self._outer.append(found["fence"])
                return
            self._open(found["fence"], _tag(rest), found["indent"])
            return
        if (quoted := _QUOTED.fullmatch(bare)) is not None:
            self._open(quoted[1], "python")
            return
        after = _AFTER_TEXT.match(bare) if bare.count("```") == 1 else None
        if after is not None:
            self._lines.append(after["text"] + "\n")
            self._open(after["fence"], _tag(after["rest"]))
            return
        self._lines.append(line)

    def _open(self, fence: str, tag: str, indent: str = "") -> None:
        """End the text before a block and begin the block."""
        self._end_text()
        self._fence, self._tag, self._indent = fence, tag, indent

    def _closes(self, found: re.Match[str]) -> bool:
        fence = found["fence"]
        if fence[0] != self._fence[0] or len(fence) < len(self._fence):
            return False
        deeper = len(found["indent"].expandtabs(4)) - len(self._indent.expandtabs(4))
        if not self._string:
            return deeper <= 3
        # A fence in a docstring belongs to it, if the docstring and the block have their ends further on.
        if self._next_quotes < self._at:
            end = self._text.find(self._string, self._at)
            self._next_quotes = end if end >= 0 else len(self._text)
        return deeper <= 0 and self._next_quotes > self._last_fence

    def _ends_in_fence(self, bare: str) -> bool:
        return bare.endswith(self._fence) and not bare.endswith(self._fence[0] * (len(self._fence) + 1))

    def _follow_strings(self, bare: str) -> None:
        """Keep track of triple-quoted strings over the end of a line."""
        if self._tag in OTHER_LANGUAGES or not (self._string or '"""' in bare or "'''" in bare):
            return
        at = 0
        while True:
            if self._string:
                at = bare.find(self._string, at) + 3
                if at < 3:
                    return
                self._string = ""
            for found in _QUOTES.finditer(bare, at):
                if found[0].startswith("#"):
                    return
                if found[0] in ('"""', "'''"):
                    at, self._string = found.end(), found[0]
                    break
            else:
                return

    def _end_block(self) -> None:
        body = "".join(self._lines)
        if ">" in self._indent:
            body = re.sub(r"^[ \t]*>[ \t]?", "", body, flags=re.MULTILINE)
        elif self._indent:
            body = re.sub(rf"^[ \t]{{1,{len(self._indent)}}}", "", body, flags=re.MULTILINE)
        self._add(Piece(text=textwrap.dedent(body) if body[:1] in " \t" else body, tag=self._tag))
        self._lines, self._fence, self._string = [], "", ""

    def _end_text(self) -> None:
        self._add(Piece(text="".join(self._lines)))
        self._lines = []

    def _add(self, piece: Piece) -> None:
        if piece.text.strip():
            self._pieces.append(piece)


def _tag(info: str) -> str:
    """Return the first word of what stands behind a fence, in lower case."""
    found = _TAG.match(info)
    return (found[1] or "").lower() if found else ""
