"""Write the answer of a planned request: one normal completion, whole or as a stream, with the true usage.

The usage is that of everything that was spent; what the plan came to stands in the field ``planner`` and in
headers. Selecting is done before; nothing here looks into a text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, Protocol

import msgspec

from planner.ports.outcome import Candidate, Outcome
from planner.serving.exchange import Answer, json_answer
from planner.serving.refusal import Refusal
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is said to the client.

    Parameters
    ----------
    chat : bool
        Chat or plain completion.
    model : str
        Name of the model.
    text, finish_reason : str
        The answer, and how it ended.
    reasoning : str, optional
        Thinking that came with it.
    refusal : str, optional
        What is said in the place of an answer that is withheld.
    calls : tuple of mapping
        Calls of tools that came with it.
    usage : mapping
        As the field ``usage``.
    extension : mapping
        As the field ``planner``.
    headers : tuple of pairs
        Those of the plan.
    """

    chat: bool
    model: str
    text: str
    finish_reason: str
    reasoning: str | None
    usage: dict[str, Any]
    extension: dict[str, Any]
    headers: tuple[tuple[str, str], ...]
    calls: tuple[Mapping[str, object], ...] = ()
    refusal: str | None = None

    def whole(self) -> Answer:
        """Return it as one object."""
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": self.finish_reason}
        if self.chat:
            content = self.text or (None if self.calls or self.refusal else "")
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": self.refusal}
            if self.calls:
                message["tool_calls"] = list(self.calls)
            if self.reasoning:
                message["reasoning_content"] = self.reasoning
            choice["message"] = message
        else:
            choice["text"] = self.text
        body = self._outside(streamed=False) | {
            "choices": [choice],
            "usage": self.usage,
            "planner": self.extension,
        }
        return json_answer(body, headers=self.headers)

    def events(self, *, include_usage: bool) -> bytes:
        """Return it as the events of a stream."""
        outside = self._outside(streamed=True)

        def piece(delta: dict[str, Any], finish: str | None = None, **more: object) -> bytes:
            choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
            if self.chat:
                choice["delta"] = delta
            else:
                choice["text"] = delta.get("content", "")
            return event(outside | {"choices": [choice], **more})

        parts = []
        if self.chat:
            parts.append(piece({"role": "assistant", "content": ""}))
        if self.chat and self.reasoning:
            parts.append(piece({"reasoning_content": self.reasoning}))
        if self.text:
            parts.append(piece({"content": self.text}))
        if self.chat and self.refusal:
            parts.append(piece({"refusal": self.refusal}))
        if self.calls:
            calls = [{"index": place, **call} for place, call in enumerate(self.calls)]
            parts.append(piece({"tool_calls": calls}))
        parts.append(piece({}, self.finish_reason, planner=self.extension))
        if include_usage:
            parts.append(event(outside | {"choices": [], "usage": self.usage}))
        return b"".join([*parts, DONE])

    def _outside(self, *, streamed: bool) -> dict[str, Any]:
        kind = "chat.completion" if self.chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if self.chat else 'cmpl'}-{token_hex(12)}",
            "object": f"{kind}.chunk" if streamed and self.chat else kind,
            "created": int(time.time()),
            "model": self.model,
        }


def event(value: object) -> bytes:
    """Return a value as one event of a stream."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def usage_field(usage: Usage, *, reasoning_tokens: int) -> dict[str, Any]:
    """Return a usage as the protocol writes it; verifier tokens are in ``planner``, apart.

    Examples
    --------
    >>> usage_field(Usage(prompt_tokens=9, output_tokens=5), reasoning_tokens=2)["total_tokens"]
    14
    """
    prompt, output = int(usage.prompt_tokens), int(usage.output_tokens)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": int(usage.cached_prompt_tokens)},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }


def chosen_of(outcome: Outcome) -> Candidate | None:
    """Return the candidate that is sent: the selected one, else the first that is whole, else a cut one."""
    if outcome.selected is not None:
        return outcome.candidates[outcome.selected]
    for wanted in ("ok", "truncated"):
        for one in outcome.candidates:
            if one.status == wanted and one.text:
                return one
    return next((one for one in outcome.candidates if one.status in ("ok", "truncated")), None)


def stop_reason_of(outcome: Outcome) -> str:
    """Return why a run ended; thinking that ate every answer has a name of its own."""
    came = [one for one in outcome.candidates if one.status in ("ok", "truncated")]
    if outcome.answer is None and came and all(one.status == "truncated" and not one.text for one in came):
        return "thinking_exhausted"
    return outcome.stop_reason


def agreement_of(outcome: Outcome) -> float | None:
    """Return the share of the answers that are the selected one; None where fewer than two answered."""
    answers = [one.answer for one in outcome.candidates if one.answer is not None]
    if outcome.answer is None or len(answers) < 2:
        return None
    return answers.count(outcome.answer) / len(answers)


def plan_fields(plan: AllocationPlan, *, explain: bool) -> dict[str, Any]:
    """Return what is told of a plan before anything is spent."""
    told: dict[str, Any] = {
        "expected_cost": plan.expected_cost,
        "unit": plan.unit,
        "expected_accuracy": plan.expected_accuracy,
        "price": plan.price,
    }
    if explain:
        told |= {
            "reason": plan.reason,
            "course": str(plan.course),
            "accuracy_interval": list(plan.accuracy_interval),
            "familiarity": plan.familiarity,
        }
    return told


class Writer(Protocol):
    """How the answer to one request is written."""

    def whole(self, reply: Reply) -> Answer:
        """Return a reply as one object."""
        ...

    def begun(self) -> bytes:
        """Return what a stream begins with, before anything is known."""
        ...

    def events(self, reply: Reply) -> bytes:
        """Return a reply as events; `begun` has been sent."""
        ...

    def failed(self, refusal: Refusal) -> bytes:
        """Return the event of a stream that ends without an answer."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionWriter:
    """Writes completions, chat or plain; `include_usage` says whether the client wants a stream's usage."""

    include_usage: bool = False

    def whole(self, reply: Reply) -> Answer:
        """Return a reply as one object."""
        return reply.whole()

    def begun(self) -> bytes:
        """Return nothing: the first event is part of the answer."""
        return b""

    def events(self, reply: Reply) -> bytes:
        """Return a reply as events."""
        return reply.events(include_usage=self.include_usage)

    def failed(self, refusal: Refusal) -> bytes:
        """Return the error as an event."""
        body = refusal.answer().body
        assert isinstance(body, bytes)
        return b"data: " + body + b"\n\n"


class Waiting:
    """The events of an answer that is still worked on: signs of life, then the answer.

    Parameters
    ----------
    begun : bytes
        Sent at once; empty for nothing.
    work : asyncio.Task of bytes
        Gives the events of the answer; dropped with the stream.
    every : float
        Seconds between signs of life.
    """

    def __init__(self, work: asyncio.Task[bytes], *, every: float, begun: bytes = b"") -> None:
        self._work, self._every, self._begun = work, every, begun
        self._done = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._done:
            raise StopAsyncIteration
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        await asyncio.wait([self._work], timeout=self._every)
        if not self._work.done():
            return b": the planner is at work\n\n"
        self._done = True
        return self._work.result()

    async def aclose(self) -> None:
        """Drop the work."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
