"""Pass a request on with one call: untouched where nobody pays; held, capped and counted where a key does.

What a server behind might read in another way than this one is refused, since routes and budgets go by what
is read here. Which requests pass is left to `planner.serving.route`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.ports import SampleRequest
from planner.serving.body import check_once
from planner.serving.exchange import Answer, Call
from planner.serving.origin import Origin
from planner.serving.payment import Payment
from planner.serving.plannable import Request
from planner.serving.planning import Planning
from planner.serving.refusal import Refusal
from planner.serving.single import counted
from planner.serving.watch import Seen
from policies.cost.usage import Usage

COSTLY: Final[Mapping[str, str | None]] = {"/v1/messages": "max_tokens", "/v1/embeddings": None}
"""Endpoints that pass and cost something, and their cap on output tokens."""


# Names of the cap on output, of which a server reads the one that it knows.
_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# What servers of one kind take for a cap on output, above the one that everybody knows.
_OTHER_CAPS: Final = ("n_predict", "num_predict", "max_new_tokens", "max_length")
# Others cost more than the prices that budgets count with.
_USUAL_TIERS: Final = ("auto", "default", "standard_only", "flex")


class Most(NamedTuple):
    """The most that a call may bring: texts, and the output tokens of each (None: not capped)."""

    n: int
    output_tokens: int | None


def check_caps(body: Mapping[str, Any]) -> None:
    """Refuse what budgets do not know: caps that a server may take for the one that was held, dearer tokens.

    Raises
    ------
    Refusal
        400, naming the field.
    """
    for name in _OTHER_CAPS:
        if body.get(name) is not None:
            raise Refusal(400, f"{name} is not held against budgets; use max_tokens", param=name)
    given = [name for name in _CAPS if body.get(name) is not None]
    if len(given) > 1:
        raise Refusal(400, f"{' and '.join(given)} are one cap; send one", param=given[1])
    tier = body.get("service_tier")
    if tier is not None and tier not in _USUAL_TIERS:
        allowed = ", ".join(_USUAL_TIERS)
        raise Refusal(
            400, f"service_tier must be one of {allowed}: budgets know no other prices", param="service_tier"
        )


def most_choices(body: Mapping[str, Any]) -> int:
    """Return how many texts a body for completions asks for.

    Examples
    --------
    >>> most_choices({"prompt": ["a", "b"], "n": 3}), most_choices({"n": "x"})
    (6, 1)
    """
    counts = [value for name in ("n", "best_of") if type(value := body.get(name)) is int]
    prompt = body.get("prompt")
    tokens = not isinstance(prompt, list) or not prompt or isinstance(prompt[0], int)
    return max([1, *counts]) * (1 if tokens else len(prompt or ()))


def untouched(request: Request, model: str | None) -> bytes | None:
    """Return the body that passes through, None for the client's own bytes.

    Raises
    ------
    Refusal
        400, where those say something twice.
    """
    body = request.body
    model = model if model is not None and model != body["model"] else None
    auto = request.asks.get("reasoning_effort") == "auto"
    if model is None and "planner" not in body and not auto:
        check_once(request.call.body)
        return None
    kept = {name: value for name, value in body.items() if name != "planner"}
    if auto and request.as_chat is None:
        del kept["reasoning_effort"]
    elif auto:
        kept["reasoning"] = {key: value for key, value in kept["reasoning"].items() if key != "effort"}
    if model is not None:
        kept["model"] = model
    return msgspec.json.encode(kept)


def renamed(body: bytes, model: str) -> bytes | None:
    """Return a body with another model, None where it names none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "model" not in value:
        return None
    return msgspec.json.encode(value | {"model": model})


async def forwarded(origin: Origin, call: Call, body: bytes | None, seen: Seen) -> Answer:
    """Send a call on, and note one that came to nothing: its server may have worked on it.

    Raises
    ------
    Refusal
        As the origin refuses.
    """
    failed = Usage(requests=1, failed_requests=1)
    try:
        answer = await origin.forward(call, body=body)
    except Refusal as refusal:
        seen.usage = None if refusal.unsent else failed
        raise
    except asyncio.CancelledError:
        seen.usage = failed
        raise
    if answer.status != 200:
        seen.usage = failed
    return answer


async def pay(
    origin: Origin,
    call: Call,
    content: dict[str, Any],
    *,
    payment: Payment,
    planning: Planning,
    most: Most,
    capped: Callable[[dict[str, Any], int], None],
    seen: Seen,
    hides_usage: bool = False,
) -> Answer:
    """Pass a call on that somebody pays for: what it may cost is held first, and settled by its usage.

    Parameters
    ----------
    origin, call
        Where it goes, and what the client sent.
    content : dict
        The body that is sent; may be changed.
    payment : Payment
        Who pays; closed with the call.
    planning : Planning
        Says what usage costs.
    most : Most
        What may come of it.
    capped : callable
        Puts a cap on output tokens into the body, where the budget reaches for no more.
    seen : Seen
        What is known in the end.
    hides_usage : bool
        Whether the usage of a stream is asked for, and taken out.

    Raises
    ------
    Refusal
        402, where it cannot be paid, and as the origin refuses.
    """
    name, model = planning.generator_of(content.get("model"), origin), planning.cost_model
    generator = Generator(name=name, max_output_tokens=most.output_tokens)
    written = Prompt(text=call.body.decode("utf-8", "replace"))
    with payment.given_back():
        may, cap = await payment.hold(SampleRequest(prompt=written, generator=generator, n=most.n, seed=0))
        if not may:
            raise poor()
        if cap is not None:
            capped(content, cap)
        if hides_usage:
            content["stream_options"] = {**(content.get("stream_options") or {}), "include_usage": True}
        # What comes is looked into, so that it must not be packed.
        call = replace(call, headers={**call.headers, "accept-encoding": "identity"})
        answer = await forwarded(origin, call, msgspec.json.encode(content), seen)

    def told(usage: Usage | None, reasoning: int, finish: str | None) -> None:
        seen.usage = usage or seen.usage
        payment.settle(usage if answer.status == 200 else Usage())
        payment.close(None if usage is None else model.price(usage, name))

    return counted(answer, told, hides_usage=hides_usage)


def poor() -> Refusal:
    """Return the refusal of a request that its key cannot pay."""
    return Refusal(402, "the budget of this key does not reach for this request", code="insufficient_quota")
