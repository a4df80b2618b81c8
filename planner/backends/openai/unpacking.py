"""The body of a reply as plain bytes, never more of them than the cap: a small reply may unpack to gigabytes.

Plain, gzip and deflate bodies are read; other encodings were not asked for and are refused. Where the bytes
come from is left to `planner.backends.openai.client`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, final

from difficulty.errors import InvalidResponseError

ACCEPTED: Final = "gzip, deflate"
MAX_REPLY_BYTES: Final = 64 * 2**20
_AT_ONCE: Final = 2**18


@final
class Unpacking:
    """Unpacks a body as it comes.

    Parameters
    ----------
    encoding : str
        The header ``Content-Encoding``; empty for plain bytes.
    max_bytes : int
        Unpacked bytes that are taken.

    Raises
    ------
    InvalidResponseError
        When the encoding is not one of those accepted.

    Examples
    --------
    >>> list(Unpacking("gzip").feed(zlib.compress(b"text", wbits=31)))
    [b'text']
    """

    def __init__(self, encoding: str = "", *, max_bytes: int = MAX_REPLY_BYTES) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise InvalidResponseError(f"the reply is packed as {name[:20]!r}, accepted are {ACCEPTED}")
        self._deflate = name == "deflate"
        self._unpacker = zlib.decompressobj(wbits=47) if name in ("gzip", "x-gzip", "deflate") else None
        self._left = self._max_bytes = max_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unpacks to.

        Raises
        ------
        InvalidResponseError
            When it is not what the header says, or more than the cap.
        """
        if self._unpacker is None:
            yield self._counted(data)
            return
        while data:
            try:
                piece = self._unpacker.decompress(data, _AT_ONCE)
            except zlib.error as error:
                if not self._deflate:
                    raise InvalidResponseError(f"the reply cannot be unpacked ({error})") from error
                # Some servers send deflate without its header.
                self._deflate, self._unpacker = False, zlib.decompressobj(wbits=-15)
                continue
            yield self._counted(piece)
            data = self._unpacker.unconsumed_tail

    def _counted(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise InvalidResponseError(f"the reply is larger than {self._max_bytes / 2**20:g} MiB")
        return piece
