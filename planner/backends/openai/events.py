"""Server-sent events as servers really write them: from bytes to the data of each event.

Lines end with ``\\n``, ``\\r\\n`` or ``\\r`` and nothing else (text may hold other line separators);
comments, names, ids and empty data are skipped; data that is spread over several lines is put together. What
the data means is left to `planner.backends.openai.stream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

DONE: Final = b"[DONE]"
# Putting the lines of one event together again and again must not cost the square of their number.
_MOST_LINES: Final = 100


@final
class Events:
    """Cuts a stream into the data of its events.

    Examples
    --------
    >>> events = Events()
    >>> list(events.feed(b'data: {"a": 1}\\r\\n\\r\\nda')), list(events.feed(b"ta: [DONE]\\n"))
    ([b'{"a": 1}'], [b'[DONE]'])
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._open: list[bytes] = []
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data that is complete with this chunk."""
        whole = self._usual(chunk)
        if whole is not None:
            yield from whole
            return
        # A last "\r" may be the first half of an end.
        if b"\n" not in chunk and b"\r" not in chunk:
            self._rest.append(chunk)
            return
        lines = (b"".join(self._rest) + chunk).splitlines(keepends=True)
        self._rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        for line in lines:
            yield from self._line(line.rstrip(b"\r\n"))

    def _usual(self, chunk: bytes) -> list[bytes] | None:
        """Cut whole events of one line each, as servers mostly send them; None for all else."""
        cut = chunk.rfind(b"\n\n") + 2
        if self._open or cut < 2 or b"\n" in chunk[cut:] or b"\r" in chunk:
            return None
        whole = b"".join(self._rest) + chunk[:cut] if self._rest else chunk[:cut]
        events = whole[6:-2].split(b"\n\ndata: ")
        if b"\r" in whole or not whole.startswith(b"data: ") or whole.count(b"\n") != 2 * len(events):
            return None
        self._rest = [chunk[cut:]] if cut < len(chunk) else []
        self._begun = True
        return [data for event in events if (data := event.strip(b" \t"))]

    def end(self) -> Iterator[bytes]:
        """Yield what stands on a last line without an end."""
        line, self._rest = b"".join(self._rest).rstrip(b"\r\n"), []
        yield from self._line(line)
        yield from self._close()

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not self._begun:
            line, self._begun = line.removeprefix(b"\xef\xbb\xbf"), True
        if not line:
            yield from self._close()
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip(b" \t")
        if data == DONE:
            yield from self._close()
            yield data
        elif data or self._open:
            self._open.append(data)
            # Some servers leave out the empty line: an event is over when its braces are.
            if data.endswith(b"}") and len(self._open) < _MOST_LINES:
                whole = b"\n".join(self._open)
                if whole.count(b"{") == whole.count(b"}"):
                    yield from self._close()

    def _close(self) -> Iterator[bytes]:
        """Yield the data of the event that is open."""
        data, self._open = b"\n".join(self._open), []
        if data.strip():
            yield data
