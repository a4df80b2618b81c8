"""Who may come in: clients' keys, apart from those of the upstreams.

Keys are held as digests and compared in constant time. What a key may spend is left to the purses.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from planner.serving.exchange import Call
from planner.serving.refusal import Refusal


class Doors:
    """Knows clients by their keys; without any key everybody may come in.

    Parameters
    ----------
    keys : mapping of str to str
        Key by the client's name.

    Examples
    --------
    >>> doors = Doors({"app": "secret-1"})
    >>> doors.client(Call(method="GET", path="/", headers={"authorization": "Bearer secret-1"}))
    'app'
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: sha256(key.encode()).digest() for name, key in keys.items()}

    def client(self, call: Call) -> str:
        """Return the name of the client, empty where everybody may come in.

        Raises
        ------
        Refusal
            401, when it has no key or an unknown one.
        """
        if not self._digests:
            return ""
        given = call.headers.get("authorization", "")
        key = given[7:].strip() if given[:7].lower() == "bearer " else call.headers.get("x-api-key", "")
        digest = sha256(key.encode("utf-8", "replace")).digest()
        found = ""
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        if not found:
            raise Refusal(
                401, "no such key; send one in the header Authorization: Bearer …", code="invalid_api_key"
            )
        return found
