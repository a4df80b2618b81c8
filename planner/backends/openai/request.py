"""What is sent to an OpenAI-compatible server for one request.

Fields that the protocol shares are sent to every server; what only some engines know (thinking budgets,
continuation flags) goes by the style that the user set. Sending is left to `planner.backends.openai.backend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from difficulty.errors import InvalidInputError
from planner.backends.openai.learning import ServerTraits
from planner.backends.openai.nested import filled, merged, placed
from planner.backends.prompt_text import messages_of, text_of
from planner.ports.ports import SampleRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestStyle:
    """How requests are written for one server; the parameters are those of `OpenAIBackend`.

    Beside them, `headers` go with every request, and `url` is a whole address in place of the usual one.

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
    generator_bodies: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None

    def model_of(self, request: SampleRequest) -> str:
        """Return the model's name as the server knows it."""
        model = request.generator.model or self.model
        if model is None:
            raise InvalidInputError(
                f"generator {request.generator.name!r} names no model; set its model or the backend's"
            )
        return model

    def body(self, request: SampleRequest, *, n: int, seed: int, traits: ServerTraits) -> dict[str, object]:
        """Return the fields of one request.

        Raises
        ------
        InvalidInputError
            When a prefix, an effort or a thinking budget is asked for that this server has no way to take.
        """
        generator = request.generator
        body: dict[str, object] = {"model": self.model_of(request)}
        if traits.seeds:
            body["seed"] = seed
        body |= self.extra_body
        optional = {
            "n": n if n > 1 else None,
            traits.limit_field: request.most_output_tokens,
            "temperature": generator.temperature,
            "top_p": generator.top_p,
            "stop": list(request.stop) or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        own, holds_budget = filled(self.generator_bodies.get(generator.name, {}), generator.thinking_tokens)
        body = merged(body, own)
        if generator.thinking_tokens is not None and not holds_budget:
            if self.thinking_field is None:
                raise InvalidInputError(
                    f"generator {generator.name!r} has a thinking budget; set thinking_field"
                )
            body = merged(body, placed(self.thinking_field, generator.thinking_tokens))
        if self.api == "completions":
            if generator.reasoning_effort is not None:
                raise InvalidInputError("reasoning_effort needs the chat endpoint; use api='chat'")
            return body | {"prompt": self.prompt_text(request)} | ({"logprobs": 0} if traits.logprobs else {})
        if generator.reasoning_effort is not None:
            body["reasoning_effort"] = generator.reasoning_effort
        return body | self._chat(request) | ({"logprobs": True} if traits.logprobs else {})

    @property
    def path(self) -> str:
        """The endpoint below the base address."""
        return "/chat/completions" if self.api == "chat" else "/completions"

    def prompt_text(self, request: SampleRequest) -> str:
        """Return all text that the server reads, as the completions endpoint takes it."""
        if self.api == "chat" and request.prompt.messages:
            said = (message.get("content") for message in request.prompt.messages)
            return "".join(text for text in (*said, *request.prefix) if isinstance(text, str))
        return text_of(request) + "".join(request.prefix)

    def only_text(self, request: SampleRequest) -> bool:
        """Whether the server reads nothing but text, whose length bounds its tokens."""
        messages = () if self.api == "completions" else request.prompt.messages or ()
        return all(isinstance(message.get("content"), str) for message in messages)

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
