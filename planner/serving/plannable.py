"""Read a request for a completion: its prompt, how its samples are drawn, and whether it can be planned.

Requests for more than one text (tools, images, audio, several choices, log-probabilities, JSON that nobody
can vote on) pass through with exactly one call; fields that are wrong are refused by name. Fields that
nobody here knows are sent on with every sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from difficulty.errors import InvalidPromptError
from difficulty.prompt import Prompt
from planner.serving.exchange import Call, beside
from planner.serving.fields import as_number, as_object, as_text, as_whole, wrong
from planner.serving.responses import AsChat
from planner.serving.selecting import Votes

NO_VOTES: Final = Votes(json=False, calls=False)
"""Nothing but plain answers can be compared."""

# What the samples' requests are written with by others, or what means nothing to them.
_WRITTEN: Final = frozenset(
    {
        "model", "messages", "prompt", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens",
        "temperature", "top_p", "seed", "planner", "logprobs", "top_logprobs", "reasoning_effort", "echo",
    }
)  # fmt: skip
_NEVER: Final = (
    "tools", "functions", "tool_choice", "function_call", "audio", "prediction", "web_search_options",
    "top_logprobs", "logprobs", "suffix", "echo", "best_of", "prompt_logprobs",
)  # fmt: skip
_TOOLS: Final = ("tools", "tool_choice")
_ROLES: Final = ("system", "developer", "user", "assistant")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A call for a completion and its body, read as JSON.

    Parameters
    ----------
    call : Call
        The call.
    body : mapping
        Its body.
    chat : bool
        Chat messages, or a plain prompt.
    client : str
        Name of the client's key.
    as_chat : AsChat, optional
        What a request of the endpoint ``/v1/responses`` is as one for a chat completion.
    """

    call: Call
    body: Mapping[str, Any]
    chat: bool
    client: str = ""
    as_chat: AsChat | None = None

    @property
    def asks(self) -> Mapping[str, Any]:
        """The body as one for a completion."""
        return self.body if self.as_chat is None else self.as_chat.body

    @property
    def drawing_call(self) -> Call:
        """The call that samples are drawn for."""
        if self.as_chat is None:
            return self.call
        end = "/chat/completions"
        return replace(self.call, path=f"/v1{end}", url=beside(self.call.url, end))


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a request asks for.

    Parameters
    ----------
    prompt : Prompt, optional
        None where it cannot be planned.
    passes : str
        The field that makes it pass through with one call; empty where it can be planned.
    fields : mapping
        Fields that go with every sample.
    temperature, top_p, max_output_tokens, reasoning_effort, seed
        As the client set them.
    stream, include_usage : bool
        Whether the answer comes in pieces, and with its usage.
    """

    prompt: Prompt | None = None
    passes: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    seed: int | None = None
    stream: bool = False
    include_usage: bool = False


def read_request(request: Request, *, votes: Votes = NO_VOTES) -> Asked:
    """Return what a request asks for.

    Parameters
    ----------
    request : Request
        The request.
    votes : Votes
        Which kinds of answers can be compared.

    Raises
    ------
    Refusal
        400, naming a field of a wrong kind.

    Examples
    --------
    >>> call = Call(method="POST", path="/v1/chat/completions")
    >>> messages = [{"role": "user", "content": "6 x 7?"}]
    >>> body = {"model": "tiny", "messages": messages, "top_k": 20, "max_tokens": 9}
    >>> asked = read_request(Request(call=call, body=body, chat=True))
    >>> asked.prompt.text, asked.fields, asked.max_output_tokens
    ('6 x 7?', {'top_k': 20}, 9)
    >>> read_request(Request(call=call, body=body | {"tools": [{}]}, chat=True)).passes
    'tools'
    """
    body = request.asks
    limit = as_whole(body.get("max_completion_tokens"), "max_completion_tokens", least=1)
    if limit is None:
        limit = as_whole(body.get("max_tokens"), "max_tokens", least=1)
    n = as_whole(body.get("n"), "n", least=1)
    options = as_object(body.get("stream_options"), "stream_options")
    effort = as_text(body.get("reasoning_effort"), "reasoning_effort")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise wrong("stream", "true or false", stream)
    if request.as_chat is not None and request.as_chat.passes:
        prompt, passes = None, request.as_chat.passes
    else:
        prompt, passes = _prompt(request, votes)
    return Asked(
        prompt=prompt,
        passes=passes or _passing(body, n, votes),
        fields={name: value for name, value in body.items() if name not in _WRITTEN and value is not None},
        temperature=as_number(body.get("temperature"), "temperature"),
        top_p=as_number(body.get("top_p"), "top_p"),
        max_output_tokens=limit,
        reasoning_effort=None if effort in (None, "auto") else effort,
        seed=as_whole(body.get("seed"), "seed", least=-(2**63)),
        stream=bool(stream),
        include_usage=bool(options.get("include_usage")),
    )


def _passing(body: Mapping[str, Any], n: int | None, votes: Votes) -> str:
    for name in _NEVER:
        if votes.calls and name in _TOOLS:
            continue
        if body.get(name) not in (None, False, [], {}):
            return name
    if n is not None and n > 1:
        return "n"
    if body.get("modalities") not in (None, ["text"]):
        return "modalities"
    form = body.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    if form is not None and kind != "text" and not votes.json:
        return "response_format"
    # Samples at temperature 0 are all alike.
    return "temperature" if body.get("temperature") == 0 else ""


def _prompt(request: Request, votes: Votes) -> tuple[Prompt | None, str]:
    """Return the prompt, or the field that passes."""
    name = "messages" if request.chat else "prompt"
    value = request.asks.get(name)
    try:
        if request.chat:
            return _of_messages(value, votes)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str):
            return Prompt(text=value), ""
    except InvalidPromptError:
        return None, name
    if value is None or isinstance(value, dict | bool | int | float):
        raise wrong(name, "a text or a list", value)
    return None, name


def _of_messages(value: object, votes: Votes) -> tuple[Prompt | None, str]:
    if not isinstance(value, list) or not value:
        raise wrong("messages", "a list of at least one message", value)
    users = []
    for message in value:
        if not isinstance(message, dict):
            raise wrong("messages", "a list of objects", message)
        content = message.get("content")
        if votes.calls and (message.get("role") == "tool" or message.get("tool_calls")):
            # What was called before, and what came of it, goes on as it is.
            continue
        if message.get("role") not in _ROLES or message.get("tool_calls") or message.get("function_call"):
            return None, "messages"
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
            if len(parts) != len(content) or not all(isinstance(part.get("text"), str) for part in parts):
                return None, "messages"
            content = "\n".join(part["text"] for part in parts)
        if not isinstance(content, str):
            return None, "messages"
        if message["role"] in ("user", "assistant"):
            users.append((message["role"], content))
    # One question after instructions is the question; of a conversation everything counts.
    text = users[0][1] if len(users) == 1 and users[0][0] == "user" else None
    prompt = Prompt(text=text, messages=tuple(value))
    return (prompt, "") if prompt.content and prompt.content.strip() else (None, "messages")
