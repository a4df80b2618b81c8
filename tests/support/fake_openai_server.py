"""A small OpenAI-compatible server on the loopback, honest by default, able to misbehave as real ones do."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the server does with one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut_after: int | None = None
    hang_after: int | None = None
    chunks: Iterable[bytes] | None = None  # in the place of a body: sent until they end or nobody listens


def completion(
    body: dict[str, Any],
    *,
    honour_n: bool = True,
    usage: str | None = "sum",
    logprobs: bool = True,
    finish: str = "stop",
    message: dict[str, Any] | None = None,
) -> Response:
    """Answer honestly: choice ``i`` says its seed, ``seed + i``, one token per character."""
    chat = "messages" in body
    n = body.get("n", 1) if honour_n else 1
    limit = body.get("max_tokens", body.get("max_completion_tokens", 1000))
    choices = []
    tokens = []
    for index in range(n):
        text = f"answer {body['seed'] + index}"[:limit]
        tokens.append(len(text))
        choice: dict[str, Any] = {"index": index, "finish_reason": "length" if len(text) == limit else finish}
        choice |= {"message": message or {"role": "assistant", "content": text}} if chat else {"text": text}
        if logprobs and body.get("logprobs") is not None and body.get("logprobs") is not False:
            values = [-0.5] * len(text)
            choice["logprobs"] = (
                {"content": [{"token": "x", "logprob": value} for value in values]}
                if chat
                else {"token_logprobs": values}
            )
        choices.append(choice)
    reply: dict[str, Any] = {"id": "1", "object": "chat.completion", "choices": choices}
    if usage is not None:
        counted = sum(tokens) if usage == "sum" else tokens[0]
        prompt = 7 if "prompt" in body else 9
        reply["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": counted,
            "total_tokens": prompt + counted,
        }
        reply["usage"]["prompt_tokens_details"] = {"cached_tokens": 2}
    return in_pieces(reply) if body.get("stream") else Response(body=json.dumps(reply).encode())


def in_pieces(reply: dict[str, Any], *, hang_after: int | None = None) -> Response:
    """Send a reply token by token, the usage last; or hang after so many tokens."""
    events: list[dict[str, Any]] = []
    for choice in reply["choices"]:
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        for at, letter in enumerate(text or ""):
            part: dict[str, Any] = {"index": choice["index"], "finish_reason": None}
            part |= {"delta": {"content": letter}} if "message" in choice else {"text": letter}
            if "logprobs" in choice:
                part["logprobs"] = {key: [values[at]] for key, values in choice["logprobs"].items()}
            events.append({"choices": [part]})
        end: dict[str, Any] = {"delta": {}} if "message" in choice else {"text": ""}
        events.append({"choices": [end | {key: choice[key] for key in ("index", "finish_reason")}]})
    if "usage" in reply:
        events.append({"choices": [], "usage": reply["usage"]})
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]
    whole = b": a comment\n\n" + b"".join(lines)
    until = None if hang_after is None else len(whole) - sum(map(len, lines[hang_after:]))
    return Response(body=whole, headers={"Content-Type": "text/event-stream"}, hang_after=until)


def refusal(message: str, *, status: int = 400, headers: dict[str, str] | None = None) -> Response:
    """Refuse as servers do, with an error object."""
    return Response(
        body=json.dumps({"error": {"message": message}}).encode(), status=status, headers=headers or {}
    )


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the usual 5, connections that come together may hang for a minute


Behaviour = Callable[[dict[str, Any], int], Response]


class FakeOpenAIServer:
    """Serves on a free port in a thread; `requests` has the bodies that arrived, `headers` their headers."""

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.behave: Behaviour = behave or (lambda body, _index: completion(body))
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = threading.Event()
        self.release = threading.Event()
        self.halfway = threading.Event()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    index = len(owner.requests)
                    owner.requests.append(body | {"_path": self.path})
                    owner.headers.append({key.lower(): value for key, value in self.headers.items()})
                    owner._at_once += 1
                    owner.most_at_once = max(owner.most_at_once, owner._at_once)
                owner.arrived.set()
                try:
                    self._answer(owner.behave(body, index))
                finally:
                    with owner._lock:
                        owner._at_once -= 1

            def _answer(self, response: Response) -> None:
                if response.hang:
                    owner.release.wait(timeout=30)
                    self.close_connection = True
                    return
                self.send_response(response.status)
                for key, value in ({"Content-Type": "application/json"} | response.headers).items():
                    self.send_header(key, value)
                if response.chunks is not None:
                    self._send_until_nobody_listens(response.chunks)
                    return
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body[: response.hang_after or response.cut_after])
                if response.hang_after is not None:
                    self.wfile.flush()
                    owner.halfway.set()
                    owner.release.wait(timeout=30)
                    self.close_connection = True
                if response.cut_after is not None:
                    self.wfile.flush()
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True

            def _send_until_nobody_listens(self, chunks: Iterable[bytes]) -> None:
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                with suppress(ConnectionError):
                    for chunk in chunks:
                        self.wfile.write(chunk)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test output clean."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """Base address of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()
