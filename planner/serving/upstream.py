"""The servers behind the proxy: requests are sent on as they are, round robin over addresses that answer.

Bytes of bodies and of streams are not touched. When an address rests is left to `planner.serving.address`,
which request goes to which upstream to the routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Literal, Self

from difficulty.errors import require
from planner.backends.openai import OpenAIBackend
from planner.backends.openai.client import in_parts, open_session
from planner.backends.openai.secret import Secret
from planner.ports.ports import Backend
from planner.serving.address import Address
from planner.serving.exchange import Answer, Call, end_to_end
from planner.serving.refusal import Refusal
from planner.serving.sampling import Sampling
from planner.serving.settings import UpstreamSettings

# Replies up to this size are read whole, so that they are sent with their length.
_WHOLE: Final = 2**20
_WRITTEN: Final = ("content-type", "accept", "accept-encoding", "content-encoding")
# A server that knows a key of this kind would answer all samples of a request by the first.
_ONCE: Final = ("idempotency-key",)
_OURS: Final = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie")
# Which account of the operator's pays is not for clients to say.
_ACCOUNT: Final = ("openai-organization", "openai-project", "x-goog-user-project")


class Upstream:
    """An upstream.

    Parameters
    ----------
    name : str
        For logs and messages; addresses are not told to clients.
    settings : UpstreamSettings
        Addresses and limits.
    sends_clients_keys : bool
        Whether a client's own key is sent on where the upstream has none configured.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        *,
        sends_clients_keys: bool = False,
    ) -> None:
        self.name, self.settings = name, settings
        self.logprobs = False  # a route that selects by them asks for them
        self.secret = Secret(settings.key())
        self.addresses = [Address(url) for url in settings.base_urls]
        self.sends_clients_keys = sends_clients_keys and not self.secret.known
        self._turn = 0
        self._session: Any = None
        self._backends: dict[tuple[str, str, bool], OpenAIBackend] = {}
        self._held = AsyncExitStack()

    async def start(self) -> None:
        """Keep the connections of samples open between requests."""
        for address in self.addresses:
            for api in ("chat", "completions"):
                await self._held.enter_async_context(self.backend(address, api))

    async def close(self) -> None:
        """Close all connections."""
        await self._held.aclose()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def choose(self) -> Iterator[Address]:
        """Yield the addresses that may be tried, the next in turn first.

        Raises
        ------
        Refusal
            503, when all of them rest.
        """
        self._turn += 1
        start = self._turn % len(self.addresses)
        ready = [one for one in self.addresses[start:] + self.addresses[:start] if not one.rests]
        if not ready:
            wait = min(one.seconds_left for one in self.addresses)
            raise Refusal(
                503,
                f"upstream {self.name!r} does not answer; try again later",
                code="upstream_unavailable",
                retry_after=wait,
            )
        return iter(ready)

    def headers(self, call: Call) -> dict[str, str]:
        """Return the headers that go to the upstream: the client's without its keys, and its own key."""
        given = dict(end_to_end(call.headers.items()))
        sent = {
            name: value
            for name, value in given.items()
            if name not in _OURS and not name.startswith("x-planner-")
        }
        if self.secret.known:
            sent = {name: value for name, value in sent.items() if name not in _ACCOUNT}
            sent["authorization"] = self.secret.header()
            for name in ("api-key", "x-api-key"):
                if name in given:
                    sent[name] = self.secret.header().removeprefix("Bearer ")
        elif self.sends_clients_keys:
            sent |= {name: given[name] for name in _OURS if name in given and name != "cookie"}
        return sent

    async def forward(self, call: Call, *, body: bytes | None = None) -> Answer:
        """Send a call on and return what comes, byte for byte.

        Parameters
        ----------
        call : Call
            The client's.
        body : bytes, optional
            In place of the call's own.

        Raises
        ------
        Refusal
            403 for what all clients of the upstream's key share, 502 where no address can be reached, 503
            where all rest, 504 where none answers in time.
        """
        if self.secret.known and _is_shared(call):
            raise Refusal(
                403, "this shows or changes what all clients of this server share; ask its operator"
            )
        aiohttp = require("aiohttp", extra="serve")
        if self._session is None:
            seconds = self.settings.timeout_seconds
            self._session = open_session(aiohttp, sock_connect=30.0, sock_read=seconds)
        path = call.path.removeprefix("/v1") + (f"?{call.query}" if call.query else "")
        headers, content = self.headers(call), call.body if body is None else body
        headers.setdefault("accept-encoding", "identity")
        for address in self.choose():
            try:
                async with asyncio.timeout(self.settings.timeout_seconds):
                    response = await self._session.request(
                        call.method,
                        _encoded(address.base_url + path),
                        data=in_parts(content) if content else None,
                        headers=headers,
                        allow_redirects=False,
                        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                    )
                    return await self._answer(aiohttp, address, response)
            except aiohttp.ClientConnectorError:
                address.failed()
            except TimeoutError:
                address.failed()
                raise Refusal(504, f"upstream {self.name!r} did not answer in time") from None
            except (aiohttp.ClientError, OSError):
                # It may have begun to work on it: nobody but the client may decide to ask again.
                address.failed()
                raise Refusal(502, f"upstream {self.name!r} broke off") from None
        raise Refusal(502, f"upstream {self.name!r} cannot be reached", code="upstream_unreachable")

    def drawing(self, call: Call, fields: Mapping[str, object]) -> Backend:
        """Return what draws samples for a call from the addresses that answer."""
        sent = self.headers(call)
        headers = {
            name: value
            for name, value in sent.items()
            if name not in (*_WRITTEN, *_ONCE) and not (name == "authorization" and self.secret.known)
        }
        return Sampling(self, call.path, fields, headers)

    def backend(self, address: Address, api: Literal["chat", "completions"]) -> OpenAIBackend:
        """Return what draws samples from one address, the same one every time."""
        key = (address.base_url, api, self.logprobs)
        known = self._backends.get(key)
        if known is None:
            known = self._backends[key] = OpenAIBackend(
                base_url=address.base_url,
                api_key=self.settings.key(),
                api=api,
                n_choices="single",
                logprobs=self.logprobs,
                max_concurrency=self.settings.max_concurrency,
                max_retries=self.settings.max_retries,
                timeout_seconds=self.settings.timeout_seconds,
            )
        return known

    async def _answer(self, aiohttp: Any, address: Address, response: Any) -> Answer:
        if response.status >= 500 and response.status != 501:
            address.failed()
        else:
            address.answered()
        headers = end_to_end((name.decode(), value.decode("latin-1")) for name, value in response.raw_headers)
        pieces = _Pieces(aiohttp, address, response, self.name)
        length = response.content_length
        if length is None and response.content_type != "application/json":
            return Answer(status=response.status, headers=headers, body=pieces)
        if length is not None and length > _WHOLE:
            return Answer(status=response.status, headers=headers, body=pieces)
        # Servers that do not say how long a reply is send no stream for all that: what it has used is in it.
        begun = bytearray()
        try:
            async for piece in pieces:
                begun += piece
                if len(begun) > _WHOLE:
                    return Answer(status=response.status, headers=headers, body=pieces.after(bytes(begun)))
        except BaseException:
            await pieces.aclose()
            raise
        body = bytes(begun)
        if response.status >= 400:  # some servers say which key they refuse
            body = self.secret.removed_from(body.decode("latin-1")).encode("latin-1")
        return Answer(status=response.status, headers=headers, body=body)


def _is_shared(call: Call) -> bool:
    """Return whether a call shows what others have asked, or changes what others use."""
    if call.method in ("GET", "HEAD"):
        return call.path in ("/v1/chat/completions", "/v1/responses")
    return call.path.startswith("/v1/models")


class _Pieces:
    """A reply as it comes; where nobody listens any more, the upstream is told by the connection."""

    def __init__(self, aiohttp: Any, address: Address, response: Any, name: str) -> None:
        self._broken = (aiohttp.ClientError, OSError)
        self._address, self._response, self._name = address, response, name
        self._begun = b""

    def after(self, begun: bytes) -> Self:
        """Begin once more with what has come already."""
        self._begun = begun
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        try:
            data: bytes = await self._response.content.readany()
        except self._broken:
            self._address.failed()
            await self.aclose()
            raise Refusal(502, f"upstream {self._name!r} broke off") from None
        if not data:
            self._response.release()
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Drop what has not come yet; does nothing once all has come."""
        self._response.close()


def _encoded(url: str) -> Any:
    """Return an address whose path and query are sent as the client wrote them."""
    from yarl import URL

    return URL(url, encoded=True)
