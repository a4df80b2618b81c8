"""The address of an OpenAI-compatible server, split into its parts where it can be one.

Whether somebody answers there is left to whoever asks.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from difficulty.errors import InvalidInputError


def split_base_url(url: str, *, name: str = "base_url") -> SplitResult:
    """Return the parts of an address up to ``/v1``, or refuse it.

    Raises
    ------
    InvalidInputError
        When it is none, or holds credentials: it is not shown, since it may hold a key.

    Examples
    --------
    >>> split_base_url("http://127.0.0.1:8000/v1").port
    8000
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        fits = parts.scheme in ("http", "https") and host and parts.username is None and parts.port != 0
    except ValueError:  # a port or a host that can be none
        fits = False
    if not fits or " " in url or not url.isprintable() or parts.path.rstrip("/").endswith("/completions"):
        raise InvalidInputError(
            f"{name} must look like http://127.0.0.1:8000/v1, no credentials, ending before /chat/completions"
        )
    return parts
