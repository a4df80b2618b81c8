"""A server's key: sent to the server, and nowhere else.

It is not shown by ``repr`` or ``vars``, is left out of pickles, and is taken out of texts that a server sends
back. Where a key comes from is left to the caller; nothing here reads the environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from difficulty.errors import InvalidInputError

_REMOVED: Final = "[key removed]"
# Servers without keys are given words like "none" or "EMPTY", which texts may hold for other reasons.
_SHORTEST_REMOVED: Final = 8


@final
class Secret:
    """A key, or none.

    Parameters
    ----------
    key : str, optional
        The key.

    Examples
    --------
    >>> Secret("sk-1234567890")
    Secret('…')
    >>> Secret("sk-1234567890").removed_from("you sent Bearer sk-1234567890")
    'you sent [key removed]'
    """

    __slots__ = ("_reveal",)

    def __init__(self, key: str | None) -> None:
        # A closure: no attribute of this object has the key as its value.
        self._reveal: Callable[[], str | None] = lambda: key

    @property
    def known(self) -> bool:
        """Whether there is a key.

        Raises
        ------
        InvalidInputError
            When the key was left out of a pickle.
        """
        return self._reveal() is not None

    def header(self) -> str:
        """Return the value of the ``Authorization`` header.

        Raises
        ------
        InvalidInputError
            When the key was left out of a pickle.
        """
        return f"Bearer {self._reveal() or 'none'}"

    def removed_from(self, text: str) -> str:
        """Return a text without the key, where a server has sent it back."""
        key = self._reveal()
        if not key or key not in text:
            return text
        text = text.replace(f"Bearer {key}", _REMOVED)
        return text.replace(key, _REMOVED) if len(key) >= _SHORTEST_REMOVED else text

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> tuple[Callable[[], Secret], tuple[()]]:
        return (_without_key, ()) if self._reveal() is None else (_left_out, ())


def _without_key() -> Secret:
    return Secret(None)


def _left_out() -> Secret:
    secret = Secret(None)
    secret._reveal = _refuse
    return secret


def _refuse() -> str | None:
    raise InvalidInputError(
        "this backend came out of a pickle, which never holds its key; make the backend where it is used, "
        "e.g. from a BackendSpec with key_variable"
    )
