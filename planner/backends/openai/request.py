"""What is sent to an OpenAI-compatible server for one request, and what its refusals teach about it.

Fields that the protocol shares are sent to every server; what only some engines know (thinking budgets,
continuation flags) goes by the style that the user set. Sending is left to `planner.backends.openai.backend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from difficulty.errors import InvalidInputError
from planner.backends.prompt_text import messages_of, text_of
from planner.ports.ports import SampleRequest

__all__ = ["RequestStyle", "ServerTraits", "learn_from_refusal"]


class ServerTraits(NamedTuple):
    """What was found out about a server.

    `native_n`: all samples of a prompt come from one request. `logprobs`: log-probabilities are sent.
    `limit_field`: name of the token limit. `streams`: replies can come in pieces; `running_usage`: with the
    counts in each. `notes`: each finding in words.
    """

    native_n: bool
    logprobs: bool
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    streams: bool = True
    running_usage: bool = True
    notes: tuple[str, ...] = ()

    def single(self, reason: str) -> ServerTraits:
        """Return these traits with one request per sample from now on."""
        return self._replace(native_n=False, notes=(*self.notes, f"one request per sample: {reason}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestStyle:
    """How requests are written for one server; the parameters are those of `OpenAIBackend`.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> generator = Generator(name="tiny", temperature=0.8, max_output_tokens=64)
    >>> request = SampleRequest(prompt=Prompt(text="6*7?"), generator=generator, n=2, seed=5)
    >>> body = RequestStyle(model="tiny").body(request, n=2, seed=5, traits=ServerTraits(True, False))
    >>> body["n"], body["seed"], body["max_tokens"], body["messages"]
    (2, 5, 64, [{'role': 'user', 'content': '6*7?'}])
    """

    model: str | None = None
    api: Literal["chat", "completions"] = "chat"
    continuation: Literal["flags", "prefill", "none"] = "flags"
    thinking_field: str | None = "thinking_token_budget"
    extra_body: Mapping[str, object] = field(default_factory=dict)

    def model_of(self, request: SampleRequest) -> str:
        """Return the model's name as the server knows it."""
        model = request.generator.model or self.model
        if model is None:
            raise InvalidInputError(
                f"generator {request.generator.name!r} names no model; set its model or the backend's"
            )
        return model

    def body(self, request: SampleRequest, *, n: int, seed: int, traits: ServerTraits) -> dict[str, object]:
        """Return the fields of one request, ``model`` excepted.

        Raises
        ------
        InvalidInputError
            When a prefix, an effort or a thinking budget is asked for that this server has no way to take.
        """
        generator = request.generator
        body: dict[str, object] = {"seed": seed, **self.extra_body}
        if n > 1:
            body["n"] = n
        limits = [x for x in (request.max_output_tokens, generator.max_output_tokens) if x is not None]
        if limits:
            body[traits.limit_field] = min(limits)
        if generator.temperature is not None:
            body["temperature"] = generator.temperature
        if generator.top_p is not None:
            body["top_p"] = generator.top_p
        if request.stop:
            body["stop"] = list(request.stop)
        if generator.thinking_tokens is not None:
            if self.thinking_field is None:
                raise InvalidInputError(
                    f"generator {generator.name!r} has a thinking budget; set thinking_field"
                )
            body[self.thinking_field] = generator.thinking_tokens
        if self.api == "completions":
            if generator.reasoning_effort is not None:
                raise InvalidInputError("reasoning_effort needs the chat endpoint; use api='chat'")
            return body | {"prompt": self.prompt_text(request)} | ({"logprobs": 0} if traits.logprobs else {})
        if generator.reasoning_effort is not None:
            body["reasoning_effort"] = generator.reasoning_effort
        return body | self._chat(request) | ({"logprobs": True} if traits.logprobs else {})

    def prompt_text(self, request: SampleRequest) -> str:
        """Return all text that the server reads, as the completions endpoint takes it."""
        if self.api == "chat" and request.prompt.messages:
            return (request.prompt.content or "") + "".join(request.prefix)
        return text_of(request) + "".join(request.prefix)

    def echo(self, request: SampleRequest) -> str:
        """Return what a server that continues a last assistant message may send again."""
        return "".join(request.prefix) if self.api == "chat" and self.continuation == "prefill" else ""

    def _chat(self, request: SampleRequest) -> dict[str, object]:
        messages = messages_of(request)
        if not request.prefix:
            return {"messages": messages}
        if self.continuation == "none":
            raise InvalidInputError("this server cannot continue a prefix; use another strategy or endpoint")
        messages = [*messages, {"role": "assistant", "content": "".join(request.prefix)}]
        if self.continuation == "prefill":
            return {"messages": messages}
        return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def learn_from_refusal(
    traits: ServerTraits, message: str, *, n: int, streamed: bool = False
) -> ServerTraits | None:
    """Return what a refusal (HTTP 400 or 422) teaches, or None when another try would not help.

    Parameters
    ----------
    traits : ServerTraits
        What is known.
    message : str
        What the server says.
    n : int
        Samples asked for.
    streamed : bool
        Whether the reply was to come in pieces.

    Examples
    --------
    >>> learn_from_refusal(ServerTraits(True, True), "'logprobs' is not supported", n=1).logprobs
    False
    >>> learn_from_refusal(ServerTraits(True, True), "unknown model", n=1) is None
    True
    """
    if streamed and traits.running_usage and "continuous_usage_stats" in message:
        return traits._replace(running_usage=False, notes=(*traits.notes, "running counts are refused"))
    if streamed and traits.streams and "stream" in message:
        return traits._replace(streams=False, notes=(*traits.notes, "streaming is refused"))
    if traits.logprobs and "logprobs" in message:
        return traits._replace(logprobs=False, notes=(*traits.notes, "log-probabilities are refused"))
    if traits.limit_field == "max_tokens" and "max_completion_tokens" in message:
        return traits._replace(limit_field="max_completion_tokens", notes=(*traits.notes, "limit renamed"))
    if n > 1 and any(name in message for name in ("'n'", '"n"', "`n`", "n must", "best_of", "n >")):
        return traits.single("n is refused")
    return None
