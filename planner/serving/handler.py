"""One handler for every call: which endpoint, which route, planned or passed through, and what refuses it.

It knows neither sockets nor clients: a proxy and a wrapped client call the same `handle`. Every refusal comes
out as the error object of this protocol; planning one request is left to `planner.serving.route`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from secrets import token_hex
from typing import Any, Final

import msgspec

from difficulty.errors import BackendError, InvalidInputError, VerifierError
from difficulty.logger import logger_of
from planner.serving.body import read_object
from planner.serving.description import openapi, page
from planner.serving.doors import Doors
from planner.serving.exchange import Answer, Call, json_answer
from planner.serving.plannable import Request
from planner.serving.refusal import Refusal
from planner.serving.responses import as_chat
from planner.serving.route import Route
from planner.serving.settings import EVERY_MODEL, Limits
from planner.serving.watch import Seen, Watch
from planner.serving.watched import Watched

_LOG: Final = logger_of("planner.serving")

_PLANNED: Final = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_RESPONSES: Final = "/v1/responses"
_PASSED: Final = re.compile(
    r"/v1/(responses|messages|embeddings|models|chat/completions)(/[\w.:-]+)*", re.ASCII
)
# What passes; a server that answers TRACE would show its client the upstream's key.
_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
# Without a key.
_OPEN: Final = ("/health", "/ready", "/openapi.json", "/docs")
# What servers note where the client went away before its answer.
_GONE: Final = 499
_LINE_ENDS: Final = frozenset("\r\n\0")
_ID: Final = re.compile(r"[\w.:-]{1,128}")


class _Named(msgspec.Struct):
    """The only field that pass-through endpoints are read for."""

    model: str | None = None


class Handler:
    """Answers calls.

    Parameters
    ----------
    routes : mapping of str to Route
        By the model name that clients send.
    limits : Limits
        Hard bounds.
    doors : Doors
        Who may come in.
    watch : Watch, optional
        Told of every call, for metrics.
    """

    def __init__(
        self, routes: Mapping[str, Route], *, limits: Limits, doors: Doors, watch: Watch | None = None
    ) -> None:
        self._routes, self._limits, self._doors, self._watch = dict(routes), limits, doors, watch
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Calls that are worked on now."""
        return self._in_flight

    def greet(self, call: Call) -> None:
        """Refuse a call whose body need not be read: its client may not come in.

        Raises
        ------
        Refusal
            401.
        """
        if call.path not in _OPEN:
            self._doors.client(call)

    async def handle(self, call: Call) -> Answer:
        """Answer a call; only a cancellation comes out as an exception."""
        started = time.perf_counter()
        asked = call.headers.get("x-request-id", "")
        request_id = asked if _ID.fullmatch(asked) else f"req-{token_hex(8)}"
        seen = Seen(endpoint=call.path if call.path in (*_PLANNED, _RESPONSES) else "other")
        self._in_flight += 1
        try:
            answer = await self._answer(call, request_id, seen)
        except Refusal as refusal:
            answer = refusal.answer()
        except InvalidInputError as error:
            answer = Refusal.of(error).answer()
        except (BackendError, VerifierError) as error:
            _LOG.warning("request %s failed: %s", request_id, type(error).__name__)
            answer = Refusal.of(error).answer()
        except BaseException:
            seen.status = _GONE
            self._end(seen, request_id, started)
            raise
        seen.status = answer.status
        ours = answer.header("x-request-id") is None
        headers = (*answer.headers, ("x-request-id", request_id)) if ours else answer.headers
        if isinstance(answer.body, bytes):
            self._end(seen, request_id, started)
            return Answer(status=answer.status, headers=headers, body=answer.body)
        watched = Watched(answer.body, lambda: self._end(seen, request_id, started))
        return Answer(status=answer.status, headers=headers, body=watched)

    def _end(self, seen: Seen, request_id: str, started: float) -> None:
        self._in_flight -= 1
        seen.seconds = time.perf_counter() - started
        if self._watch is not None:
            self._watch.call(seen)
        if seen.thinking_ignored:
            _LOG.warning(
                "request %s route=%s: the upstream ignored the thinking budget of %d samples; set how it "
                "takes one (thinking_field, or fields of the generator)",
                request_id, seen.route, seen.thinking_ignored,
            )  # fmt: skip
        _LOG.info(
            "request %s route=%s status=%d mode=%s samples=%d seconds=%.4f",
            request_id, seen.route, seen.status, seen.mode, seen.samples, seen.seconds,
        )  # fmt: skip

    async def _answer(self, call: Call, request_id: str, seen: Seen) -> Answer:
        for name, value in call.headers.items():
            if not _LINE_ENDS.isdisjoint(value):  # a client in process may send what no socket takes
                raise Refusal(400, f"the header {name} holds a line break; is it a key that a file ends in?")
        if call.path in _OPEN:
            return self._told(call)
        client = self._doors.client(call)
        if call.path == "/metrics" and self._watch is not None:
            _only_read(call)
            return self._watch.page(in_flight=self._in_flight)
        if self._in_flight > self._limits.max_in_flight:
            raise Refusal(
                503, "too many requests are in flight; try again later", code="overloaded", retry_after=1
            )
        if len(call.body) > self._limits.max_body_bytes:
            raise Refusal(413, f"the body is larger than {self._limits.max_body_bytes} bytes")
        if call.path == "/v1/plan":
            return await self._plan(call, client)
        if call.path in _PLANNED and call.method == "POST":
            return await self._completion(call, client, request_id, seen)
        if call.path == _RESPONSES and call.method == "POST":
            return await self._response(call, client, request_id, seen)
        if call.path == "/v1/models" and call.method in ("GET", "HEAD") and EVERY_MODEL not in self._routes:
            return self._models()
        if not _PASSED.fullmatch(call.path) or ".." in call.path:
            raise Refusal(404, f"no such endpoint: {call.method} {call.path[:200]}", code="unknown_url")
        if call.method not in _METHODS:
            raise Refusal(405, f"{call.path[:200]} takes {', '.join(_METHODS)}")
        route = self._route(_model_in(call))
        seen.route, seen.mode = route.name, "pass"
        return await route.forward(call, seen, client=client)

    def _told(self, call: Call) -> Answer:
        """Answer what everybody may ask."""
        _only_read(call)
        if call.path == "/health":
            return json_answer({"status": "ok"})
        if call.path == "/ready":
            return self._ready()
        kind, body = ("text/html", page()) if call.path == "/docs" else ("application/json", openapi())
        return Answer(headers=(("content-type", kind),), body=body)

    async def _response(self, call: Call, client: str, request_id: str, seen: Seen) -> Answer:
        """Answer a request for a response; what is not plain passes through as other endpoints do."""
        try:
            body = read_object(call.body, max_depth=self._limits.max_depth)
        except Refusal:
            body = {}
        model = body.get("model")
        route = self._route(model if isinstance(model, str) else _model_in(call))
        seen.route = route.name
        if not isinstance(model, str) or (route.planning is None and "planner" not in body):
            return await route.forward(call, seen, client=client)
        request = Request(call=call, body=body, chat=True, client=client, as_chat=as_chat(body))
        return await route.answer(request, request_id, seen)

    async def _completion(self, call: Call, client: str, request_id: str, seen: Seen) -> Answer:
        body, route = self._named(call)
        seen.route = route.name
        request = Request(call=call, body=body, chat=_PLANNED[call.path] == "chat", client=client)
        return await route.answer(request, request_id, seen)

    async def _plan(self, call: Call, client: str) -> Answer:
        if call.method != "POST":
            raise Refusal(405, "send a request for a completion with POST: its plan comes back, unspent")
        body, route = self._named(call)
        plain = None if "input" not in body else as_chat(body)
        chat = "messages" in body or plain is not None
        request = Request(call=call, body=body, chat=chat, client=client, as_chat=plain)
        return await route.show(request)

    def _named(self, call: Call) -> tuple[dict[str, Any], Route]:
        """Return the body of a request, and the route that it names."""
        body = read_object(call.body, max_depth=self._limits.max_depth)
        model = body.get("model")
        if not isinstance(model, str):
            raise Refusal(400, "model must be a name; GET /v1/models lists them", param="model")
        return body, self._route(model)

    def _route(self, model: str | None) -> Route:
        routes = self._routes
        if model is not None and model in routes and model != EVERY_MODEL:
            return routes[model]
        if len(routes) == 1 and (model is None or model == "auto"):
            return next(iter(routes.values()))
        if EVERY_MODEL in routes:
            return routes[EVERY_MODEL]
        known = ", ".join(name for name in routes)
        raise Refusal(
            404, f"there is no model {(model or '')[:200]!r}; there are {known}",
            param="model", code="model_not_found",
        )  # fmt: skip

    def _models(self) -> Answer:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "planner"} for name in self._routes
        ]
        return json_answer({"object": "list", "data": models})

    def _ready(self) -> Answer:
        waiting = [name for name, route in self._routes.items() if not route.ready]
        if waiting:
            return json_answer({"status": "waiting", "routes": waiting}, status=503)
        return json_answer({"status": "ok"})


def _only_read(call: Call) -> None:
    if call.method not in ("GET", "HEAD"):
        raise Refusal(405, f"{call.path} is only read, with GET")


def _model_in(call: Call) -> str | None:
    """Return the model that a call names, None where it names none."""
    if not call.body:
        return None
    try:
        call.body.decode()  # what is skipped is not looked into
        return msgspec.json.decode(call.body, type=_Named).model
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refusal(
            400, "the body must be one JSON object in UTF-8, and model a text", param="model"
        ) from None
