"""What the operator of a server sets: clients' keys, upstreams, routes and limits.

It is read from TOML and refuses what it does not know. Keys are never in it: it names environment variables.
A client can choose a route by its name, and never an address.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError
from planner.backends.openai.base_url import split_base_url
from planner.backends.openai.nested import check_fields
from planner.serving.route_settings import RouteSettings

EVERY_MODEL: Final = "*"
"""Name of the route that takes every model which no other route names; the client's name is sent on."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hard bounds on what clients may do.

    Parameters
    ----------
    max_body_bytes, max_depth : int
        Size of a request, and how deep its JSON may be nested.
    max_samples : int
        Samples that one request may draw.
    max_in_flight : int
        Requests that are worked on at a time; more are refused with 503.
    deadline_seconds : float
        Longest time for one request; a planned one ends with the best answer so far.
    keep_alive_seconds : float
        How often a stream that waits for its answer shows a sign of life.
    client_seconds : float
        Longest time that a client may take to send its request, or to take a piece of its answer.
    max_held_bytes : int
        Bodies of all requests that come in or are worked on; more are refused with 503.
    """

    max_body_bytes: int = 16 * 2**20
    max_depth: int = 64
    max_samples: int = 64
    max_in_flight: int = 2048
    deadline_seconds: float = 600.0
    keep_alive_seconds: float = 5.0
    client_seconds: float = 60.0
    max_held_bytes: int = 512 * 2**20

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_number(f"limits.{name}", getattr(self, name), "above 0")


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible server, or several that serve the same models.

    Parameters
    ----------
    base_urls : tuple of str
        Addresses up to ``/v1``; requests go round robin to those that answer.
    key_variable : str, optional
        Environment variable of its key. Without it a client's own key is sent on, unless the server has keys
        of its own.
    timeout_seconds : float
        Limit for one request, above 0.
    max_concurrency : int
        Samples of plans in flight, at least 1.
    max_retries : int
        Further tries of a sample that failed.
    fields : mapping
        Request fields that go with every sample of plans, nested as the server wants them;
        ``"{thinking_tokens}"`` in them stands for the generator's thinking budget.
    thinking_field : str
        Field for thinking budgets that have no place in them, dots going into nested objects.
    """

    base_urls: tuple[str, ...]
    key_variable: str | None = None
    timeout_seconds: float = 600.0
    max_concurrency: int = 1024
    max_retries: int = 2
    fields: dict[str, Any] = {}
    thinking_field: str = "thinking_token_budget"

    def __post_init__(self) -> None:
        check_fields(self.fields, where="fields of an upstream")
        if not all(self.thinking_field.split(".")):
            raise InvalidInputError(
                f"thinking_field must be names joined by dots, got {self.thinking_field!r}"
            )
        if not self.base_urls:
            raise InvalidInputError("an upstream needs at least one address in base_urls")
        for url in self.base_urls:
            split_base_url(url, name="base_urls")
        if not self.timeout_seconds > 0 or self.max_concurrency < 1 or self.max_retries < 0:
            raise InvalidInputError(
                "timeout_seconds must be above 0, max_concurrency at least 1 and max_retries at least 0"
            )

    def key(self) -> str | None:
        """Return the key from the environment.

        Raises
        ------
        InvalidInputError
            When the variable is not set.
        """
        if self.key_variable is None:
            return None
        return _from_environment(self.key_variable)


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client's key, and what it may spend.

    Parameters
    ----------
    key_variable : str
        Environment variable that holds the key.
    limit : float, optional
        Cost that it may spend on each route that plans, in a window; without a window, ever.
    window_seconds : float, optional
        Length of its windows.
    """

    key_variable: str
    limit: float | None = None
    window_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("limit", "window_seconds"):
            check_number(f"{name} of a key", getattr(self, name), "above 0", optional=True)

    def key(self) -> str:
        """Return the key from the environment."""
        return _from_environment(self.key_variable)


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the operator sets.

    Parameters
    ----------
    upstreams : mapping of str to UpstreamSettings
        By name.
    routes : mapping of str to RouteSettings
        By the model name that clients send; ``"*"`` takes all others, and ``"auto"`` means the only one.
    keys : mapping of str to KeySettings
        Clients' keys by a name for logs; without any, everybody who can connect is served.
    limits : Limits
        Hard bounds.
    reload_seconds : float
        How often bundles are looked at for a new version, which is then taken without dropping a request; 0
        for never.

    Raises
    ------
    InvalidInputError
        When a route names an upstream that is not there.
    """

    upstreams: dict[str, UpstreamSettings]
    routes: dict[str, RouteSettings]
    keys: dict[str, KeySettings] = {}
    limits: Limits = Limits()
    reload_seconds: float = 10.0

    def __post_init__(self) -> None:
        check_number("reload_seconds", self.reload_seconds, ">= 0")
        if not self.routes:
            raise InvalidInputError("a server needs at least one route")
        for name, route in self.routes.items():
            asked = [one for one in (route.judge, route.clusters) if one is not None]
            named = [route.upstream, *(one.upstream for one in (*route.generators.values(), *asked))]
            for upstream in named:
                if upstream is not None and upstream not in self.upstreams:
                    raise InvalidInputError(
                        f"route {name!r} names the upstream {upstream!r}; there are "
                        f"{', '.join(self.upstreams) or 'none'}"
                    )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ServeSettings:
        """Read a TOML file.

        Raises
        ------
        InvalidInputError
            When it is not TOML, has unknown keys, or a value that cannot be meant.
        """
        text = Path(path).read_bytes()
        try:
            plain: dict[str, Any] = tomllib.loads(text.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"{path} is not TOML: {error}") from None
        return cls.from_plain(plain, where=str(path))

    @classmethod
    def from_plain(cls, plain: dict[str, Any], *, where: str = "settings") -> ServeSettings:
        """Return the settings that plain values hold.

        Examples
        --------
        >>> settings = ServeSettings.from_plain({
        ...     "upstreams": {"local": {"base_urls": ["http://127.0.0.1:8000/v1"]}},
        ...     "routes": {"tiny": {"upstream": "local", "mode": "off"}},
        ... })
        >>> settings.limits.max_samples
        64
        """
        try:
            return msgspec.convert(plain, cls)
        except msgspec.ValidationError as error:
            cause = error.__cause__
            raise InvalidInputError(f"{where}: {cause if cause is not None else error}") from None


def _from_environment(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key and key.isascii() and key.isprintable()):
        raise InvalidInputError(
            f"the environment variable {variable} must hold a key of printable ASCII characters"
        )
    return key
