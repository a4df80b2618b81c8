"""One route: what is done with the requests for a model, from options and plan to the answer.

A request that cannot be planned, or whose plan is one sample, is one call whose answer goes on as it comes;
all others are drawn, stopped early, selected and answered as one completion. Endpoints, keys and limits on
bodies are the handler's affair.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Final, NamedTuple

import msgspec

from difficulty.generator import Generator
from planner.ports.outcome import Outcome
from planner.serving.drawing import Drawing
from planner.serving.exchange import Answer, Call, json_answer
from planner.serving.options import Options, read_options
from planner.serving.origin import Origin
from planner.serving.plannable import Asked, Request, read_request
from planner.serving.planning import Planning
from planner.serving.refusal import Refusal
from planner.serving.reply import (
    Reply,
    Waiting,
    agreement_of,
    chosen_of,
    plan_fields,
    stop_reason_of,
    usage_field,
)
from planner.serving.settings import Limits
from planner.serving.single import counted
from planner.serving.watch import Seen
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

__all__ = ["Route"]

_EVENTS: Final = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


class _Planned(NamedTuple):
    """A plan and all that was read to make it."""

    plan: AllocationPlan
    asked: Asked
    options: Options
    id: str
    seconds: float


@dataclass(kw_only=True, slots=True)
class Route:
    """A route.

    Parameters
    ----------
    name : str
        As clients call it.
    origin : Origin
        Where requests go that are not planned.
    model : str, optional
        What the origin calls the model; the client's name by default.
    planning : Planning, optional
        How requests are planned; None where they all pass through. It may be exchanged at any time: requests
        in flight keep theirs.
    limits : Limits
        Hard bounds.
    votes_on_json : bool
        Whether answers in JSON can be compared.
    """

    name: str
    origin: Origin
    model: str | None = None
    planning: Planning | None = None
    limits: Limits = field(default_factory=Limits)
    votes_on_json: bool = False
    ready: bool = True

    async def forward(self, call: Call) -> Answer:
        """Pass a call of another endpoint through."""
        body = None
        if self.model is not None and call.body:
            body = _renamed(call.body, self.model)
        return await self.origin.forward(call, body=body)

    async def show(self, request: Request) -> Answer:
        """Return the plan of a request; nothing is spent."""
        planning = self._planning()
        planned = self._plan(planning, request)
        if planned is None or planned.plan.course is None:
            asked = read_request(request, votes_on_json=self.votes_on_json)
            return json_answer({"mode": "pass", "because": asked.passes})
        told = plan_fields(planned.plan, explain=True)
        return json_answer(
            {"mode": "plan", "plan_id": planned.id, "max_samples": planned.plan.course.n, **told}
        )

    async def answer(self, request: Request, request_id: str, seen: Seen) -> Answer:
        """Answer a request for a completion.

        Raises
        ------
        Refusal, InvalidInputError, BackendError
            When there is no answer; the handler words it.
        """
        planning = self.planning
        planned = None if planning is None else self._plan(planning, request)
        if planning is None or planned is None:
            seen.mode = "pass"
            return await self.origin.forward(request.call, body=self._untouched(request))
        seen.plan_seconds = planned.seconds
        seen.expected_cost, seen.unit = planned.plan.expected_cost, planned.plan.unit
        seen.familiarity = planned.plan.familiarity
        seen.expected_accuracy = planned.plan.expected_accuracy
        course = planned.plan.course
        if course is None or (course.n == 1 and not course.selection.verifiers):
            seen.mode = "one"
            return await self._one(planning, planned, request, seen)
        seen.mode = "plan"
        work = self._drawn(planning, planned, request, seen)
        if not planned.asked.stream:
            return (await work).whole()
        include_usage = planned.asked.include_usage

        async def events() -> bytes:
            try:
                return (await work).events(include_usage=include_usage)
            except Refusal as refusal:
                # The status has been sent: an error is an event, and the stream ends.
                body = refusal.answer().body
                assert isinstance(body, bytes)
                return b"data: " + body + b"\n\n"

        task = asyncio.create_task(events())
        headers = (*_EVENTS, ("x-planner-plan-id", planned.id), ("x-planner-unit", planned.plan.unit))
        return Answer(headers=headers, body=Waiting(task, every=self.limits.keep_alive_seconds))

    def _planning(self) -> Planning:
        if self.planning is None:
            raise Refusal(400, f"requests for {self.name!r} are not planned", param="model")
        return self.planning

    def _plan(self, planning: Planning, request: Request) -> _Planned | None:
        """Return the plan of a request, None where it passes through."""
        started = time.perf_counter()
        options = read_options(request.call.headers, request.body)
        if options.mode == "off":
            return None
        asked = read_request(request, votes_on_json=self.votes_on_json)
        if asked.passes or asked.prompt is None:
            return None
        if asked.reasoning_effort is not None and len(planning.sources) > 1:
            return None
        plan = planning.plan(asked.prompt, options, price=None)
        return _Planned(
            plan=plan,
            asked=asked,
            options=options,
            id=f"plan-{token_hex(8)}",
            seconds=time.perf_counter() - started,
        )

    def _untouched(self, request: Request) -> bytes | None:
        """Return the body that passes through, None for the client's own bytes."""
        body = request.body
        model = self.model if self.model is not None and self.model != body["model"] else None
        auto = body.get("reasoning_effort") == "auto"
        if model is None and "planner" not in body and not auto:
            return None
        kept = {name: value for name, value in body.items() if name != "planner"}
        if auto:
            del kept["reasoning_effort"]
        if model is not None:
            kept["model"] = model
        return msgspec.json.encode(kept)

    async def _one(self, planning: Planning, planned: _Planned, request: Request, seen: Seen) -> Answer:
        """Answer by one call, with the settings of the plan's generator where the client has none."""
        started = time.perf_counter()
        plan, asked = planned.plan, planned.asked
        generators = planning.generators(asked, request.body["model"])
        name = plan.allocation.generator
        generator = generators[name]
        body = {key: value for key, value in request.body.items() if key != "planner"}
        body = _with_settings(body, generator, asked)
        hides = asked.stream and not asked.include_usage
        if hides:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        model = planning.cost_model

        def told(usage: Usage | None, reasoning: int, finish: str | None) -> None:
            seen.samples, seen.usage = 1, usage
            seen.stop_reason = "complete"
            if usage is not None:
                seen.cost = model.price(usage, name)

        def added(usage: Usage | None, reasoning: int, finish: str | None) -> Mapping[str, object]:
            extension = _extension(planned, "complete", 1, "only") | {
                "cost": None if usage is None else model.price(usage, name)
            }
            return {"planner": extension}

        content = msgspec.json.encode(body)
        overhead = planned.seconds + time.perf_counter() - started
        # What comes is looked into, so that it must not be packed.
        call = replace(request.call, headers={**request.call.headers, "accept-encoding": "identity"})
        answer = await planning.sources[name].origin.forward(call, body=content)
        if answer.status != 200:
            return answer
        headers = (*answer.headers, *_headers(planned, 1, overhead))
        answer = counted(replace(answer, headers=headers), told, added=added, hides_usage=hides)
        if seen.cost is not None:
            headers = (
                *headers, ("x-planner-cost", f"{seen.cost:g}"), ("x-planner-stop-reason", seen.stop_reason),
            )  # fmt: skip
        return replace(answer, headers=headers)

    async def _drawn(self, planning: Planning, planned: _Planned, request: Request, seen: Seen) -> Reply:
        """Draw, stop early, select, and return what is said of it."""
        started = time.perf_counter()
        asked = planned.asked
        assert asked.prompt is not None
        generators = planning.generators(asked, request.body["model"])
        drawing = Drawing(
            {name: planning.sources[name].origin.drawing(request.call, asked.fields) for name in generators}
        )
        outcome = await planning.run(
            planned.plan,
            asked.prompt,
            asked=asked,
            options=planned.options,
            backend=drawing,
            generators=generators,
            deadline_seconds=None,
        )
        reason = stop_reason_of(outcome)
        seen.samples, seen.usage, seen.stop_reason = drawing.n_samples, outcome.usage, reason
        seen.cost, seen.agreement = outcome.cost, agreement_of(outcome)
        return self._reply(planned, request, outcome, drawing, reason, started, generators)

    def _reply(
        self,
        planned: _Planned,
        request: Request,
        outcome: Outcome,
        drawing: Drawing,
        reason: str,
        started: float,
        generators: Mapping[str, Generator],
    ) -> Reply:
        chosen = chosen_of(outcome)
        if chosen is None:
            raise drawing.refused or _nothing(outcome)
        extension = _extension(planned, reason, drawing.n_samples, outcome.selected_by) | {
            "cost": outcome.cost,
            "agreement": agreement_of(outcome),
            "wasted_tokens": int(outcome.usage.wasted_tokens),
            "verifier_tokens": int(outcome.usage.verifier_tokens),
            "failures": len(outcome.errors),
        }
        overhead = planned.seconds + time.perf_counter() - started - drawing.waited
        headers = (
            *_headers(planned, drawing.n_samples, overhead),
            ("x-planner-cost", f"{outcome.cost or 0.0:g}"),
            ("x-planner-stop-reason", reason),
        )
        model = generators[outcome.allocation.generator].model
        return Reply(
            chat=request.chat,
            model=model or self.name,
            text=chosen.text,
            finish_reason="length" if chosen.status == "truncated" else "stop",
            reasoning=drawing.thought_of(chosen.text),
            usage=usage_field(outcome.usage, reasoning_tokens=drawing.reasoning_tokens),
            extension=extension,
            headers=headers,
        )


def _with_settings(body: dict[str, Any], generator: Generator, asked: Asked) -> dict[str, Any]:
    """Return a body with the generator's settings where the client has none of its own."""
    body["model"] = generator.model
    if asked.temperature is None and generator.temperature is not None:
        body["temperature"] = generator.temperature
    if asked.top_p is None and generator.top_p is not None:
        body["top_p"] = generator.top_p
    if generator.max_output_tokens is not None:
        field_name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
        body[field_name] = generator.max_output_tokens
    if asked.reasoning_effort is None:
        body.pop("reasoning_effort", None)
        if generator.reasoning_effort is not None:
            body["reasoning_effort"] = generator.reasoning_effort
    if generator.thinking_tokens is not None:
        body.setdefault("thinking_token_budget", generator.thinking_tokens)
    return body


def _extension(planned: _Planned, reason: str, n_samples: int, selected_by: str) -> dict[str, Any]:
    return {
        "plan_id": planned.id,
        "samples": n_samples,
        "stop_reason": reason,
        "selected_by": selected_by,
        **plan_fields(planned.plan, explain=planned.options.explain),
    }


def _headers(planned: _Planned, n_samples: int, overhead: float) -> tuple[tuple[str, str], ...]:
    return (
        ("x-planner-plan-id", planned.id),
        ("x-planner-unit", planned.plan.unit),
        ("x-planner-samples", str(n_samples)),
        ("x-planner-overhead-duration-ms", f"{1000 * max(overhead, 0.0):.2f}"),
    )


def _nothing(outcome: Outcome) -> Refusal:
    """Return why there is no answer at all."""
    if outcome.stop_reason == "budget":
        return Refusal(402, "the budget does not reach for one sample", code="insufficient_budget")
    if outcome.stop_reason == "time":
        return Refusal(504, "no sample came before the deadline", code="deadline_exceeded")
    kinds = {error.kind for error in outcome.errors}
    if kinds and kinds <= {"RetryableBackendError", "ConnectionError", "TimeoutError"}:
        return Refusal(503, "the upstream does not answer; try again later", code="upstream_unavailable")
    return Refusal(502, "the upstream gave no usable answer", code="upstream_error")


def _renamed(body: bytes, model: str) -> bytes | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "model" not in value:
        return None
    return msgspec.json.encode(value | {"model": model})
