"""The endpoint ``/v1/responses``: which requests are plain, what they are as chat, and how they are answered.

Plain is one text, or messages of text, that stand for themselves: no earlier response, no tools, nothing kept
at the server. Their samples are drawn as chat completions, and the selected one comes back as a Responses
object or as its events. All other requests pass through untouched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Final, NamedTuple

import msgspec

from planner.backends.openai.stated import BROKEN_JSON
from planner.serving.exchange import Answer, json_answer
from planner.serving.fields import as_object, as_text, as_whole, wrong
from planner.serving.refusal import Refusal
from planner.serving.reply import Reply

# What makes an answer depend on more than the request, or more than one text; absent or empty means nothing.
_PASSING: Final = (
    "previous_response_id", "conversation", "background", "tools", "tool_choice", "include", "prompt",
    "store", "max_tool_calls", "top_logprobs", "context_management", "moderation",
)  # fmt: skip
# What has no place in a request for a chat completion.
_DROPPED: Final = frozenset(
    {
        "input", "instructions", "max_output_tokens", "reasoning", "text", "metadata", "truncation",
        "parallel_tool_calls", "stream_options", *_PASSING,
    }
)  # fmt: skip
_ROLES: Final = ("system", "developer", "user", "assistant")
_PARTS: Final = ("input_text", "output_text", "text")
# What a Responses object says of its request.
_ECHOED: Final[Mapping[str, object]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


class AsChat(NamedTuple):
    """A request as one for a chat completion, or the field that makes it pass through."""

    body: Mapping[str, Any]
    passes: str = ""


def as_chat(body: Mapping[str, Any]) -> AsChat:
    """Return a request as one for a chat completion.

    Raises
    ------
    Refusal
        400, naming a field of a wrong kind.

    Examples
    --------
    >>> as_chat({"model": "tiny", "input": "6 x 7?", "max_output_tokens": 9}).body
    {'model': 'tiny', 'messages': [{'role': 'user', 'content': '6 x 7?'}], 'max_completion_tokens': 9}
    >>> as_chat({"model": "tiny", "input": "?", "tools": [{"type": "web_search"}]}).passes
    'tools'
    """
    chat: dict[str, Any] = {"model": body.get("model"), "messages": []}
    chat |= {name: value for name, value in body.items() if name not in _DROPPED}
    limit = as_whole(body.get("max_output_tokens"), "max_output_tokens", least=1)
    if limit is not None:
        chat["max_completion_tokens"] = limit
    for name in _PASSING:
        if body.get(name) not in (None, False, [], {}, 0) and (name, body[name]) != ("tool_choice", "auto"):
            return AsChat(chat, name)
    if body.get("truncation") not in (None, "disabled"):
        return AsChat(chat, "truncation")
    messages = _messages(body.get("input"))
    if messages is None:
        return AsChat(chat, "input")
    instructions = as_text(body.get("instructions"), "instructions")
    first = [{"role": "system", "content": instructions}] if instructions else []
    chat["messages"] = first + messages
    for part, of in (("reasoning", _reasoning), ("text", _format)):
        more = of(body.get(part))
        if more is None:
            return AsChat(chat, part)
        chat |= more
    return AsChat(chat)


def _messages(given: object) -> list[dict[str, Any]] | None:
    """Return the messages of an input, None where it has more than texts."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong("input", "a text or a list of items", given)
    messages = []
    for item in given:
        if not isinstance(item, Mapping) or item.get("type", "message") != "message":
            return None
        content = item.get("content")
        if isinstance(content, list):
            texts = [
                part.get("text") if isinstance(part, Mapping) and part.get("type") in _PARTS else None
                for part in content
            ]
            content = None if any(not isinstance(text, str) for text in texts) else "\n".join(map(str, texts))
        if item.get("role") not in _ROLES or not isinstance(content, str):
            return None
        messages.append({"role": item["role"], "content": content})
    return messages or None


def _reasoning(given: object) -> dict[str, Any] | None:
    """Return what a chat completion takes of ``reasoning``; a summary of thoughts passes through."""
    asked = as_object(given, "reasoning")
    if any(value is not None for name, value in asked.items() if name != "effort"):
        return None
    effort = as_text(asked.get("effort"), "reasoning.effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _format(given: object) -> dict[str, Any] | None:
    """Return what a chat completion takes of ``text``."""
    asked = as_object(given, "text")
    found: dict[str, Any] = {} if asked.get("verbosity") is None else {"verbosity": asked["verbosity"]}
    form = asked.get("format")
    if form is None or (isinstance(form, Mapping) and form.get("type") == "text"):
        return found
    if not isinstance(form, Mapping) or any(name not in ("format", "verbosity") for name in asked):
        return None
    if form.get("type") == "json_object":
        return found | {"response_format": {"type": "json_object"}}
    schema = {name: value for name, value in form.items() if name != "type"}
    return found | {"response_format": {"type": form.get("type"), "json_schema": schema}}


def text_of_response(body: bytes) -> str | None:
    """Return the text of a whole Responses object, None where it has none.

    Examples
    --------
    >>> part = '{"type": "output_text", "text": "42"}'
    >>> text_of_response(f'{{"output": [{{"type": "message", "content": [{part}]}}]}}'.encode())
    '42'
    """
    try:
        value = msgspec.json.decode(body)
    except BROKEN_JSON:
        return None
    items = value.get("output") if isinstance(value, dict) else None
    texts = [
        part["text"]
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict) and item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    return "".join(texts) if texts else None


@dataclass(kw_only=True, slots=True)
class Response:
    """Writes the answer to one request.

    Parameters
    ----------
    body : mapping
        The client's request.
    """

    body: Mapping[str, Any]
    _id: str = field(default_factory=lambda: f"resp_{token_hex(16)}")
    _created: int = field(default_factory=lambda: int(time.time()))
    _n_events: int = 0

    def whole(self, reply: Reply) -> Answer:
        """Return a reply as one object."""
        return json_answer(self._object(reply), headers=reply.headers)

    def begun(self) -> bytes:
        """Return the first events of a stream, before anything is known."""
        opened = self._outside("in_progress") | {"model": self.body.get("model"), "output": [], "usage": None}
        return b"".join(
            self._event(kind, response=opened) for kind in ("response.created", "response.in_progress")
        )

    def events(self, reply: Reply) -> bytes:
        """Return the events of a reply; `begun` has been sent."""
        whole = self._object(reply)
        parts = [
            event for place, item in enumerate(whole["output"]) for event in self._item_events(place, item)
        ]
        return b"".join([*parts, self._event(f"response.{whole['status']}", response=whole)])

    def failed(self, refusal: Refusal) -> bytes:
        """Return the event of a stream that ends without an answer."""
        code = refusal.code or "server_error"
        return self._event("error", code=code, message=refusal.message, param=refusal.param)

    def _item_events(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        thought = item["type"] == "reasoning"
        opened = {**item, "content": []} | ({} if thought else {"status": "in_progress"})
        yield self._event("response.output_item.added", output_index=place, item=opened)
        kind = "reasoning_text" if thought else "output_text"
        more: dict[str, Any] = {} if thought else {"logprobs": []}
        where = {"item_id": item["id"], "output_index": place, "content_index": 0}
        for part in item["content"]:
            text = part["text"]
            empty = {**part, "text": ""}
            yield self._event("response.content_part.added", **where, part=empty)
            if text:
                yield self._event(f"response.{kind}.delta", **where, delta=text, **more)
            yield self._event(f"response.{kind}.done", **where, text=text, **more)
            yield self._event("response.content_part.done", **where, part=part)
        yield self._event("response.output_item.done", output_index=place, item=item)

    def _event(self, kind: str, **content: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._n_events, **content}
        self._n_events += 1
        return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"

    def _object(self, reply: Reply) -> dict[str, Any]:
        cut = reply.finish_reason == "length"
        status = "incomplete" if cut else "completed"
        output: list[dict[str, Any]] = []
        if reply.reasoning:
            thought = {"type": "reasoning_text", "text": reply.reasoning}
            output.append(
                {"id": f"rs_{token_hex(16)}", "type": "reasoning", "summary": [], "content": [thought]}
            )
        if reply.text or not cut:
            said = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
            output.append(
                {
                    "id": f"msg_{token_hex(16)}",
                    "type": "message",
                    "status": status,
                    "role": "assistant",
                    "content": [said],
                }
            )
        return self._outside(status) | {
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "model": reply.model,
            "output": output,
            "usage": _usage(reply.usage),
            "planner": reply.extension,
        }

    def _outside(self, status: str) -> dict[str, Any]:
        body = self.body
        reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "store": False,
            "text": {"format": {"type": "text"}, **text},
            "tool_choice": "auto",
            "tools": [],
            **{
                name: usual if body.get(name) is None else body[name]
                for name, usual in _ECHOED.items()
            },
        }  # fmt: skip


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a usage of a chat completion as this endpoint writes it."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": usage["prompt_tokens_details"],
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": usage["completion_tokens_details"],
        "total_tokens": usage["total_tokens"],
    }
