"""Carry a planned request out: by one call whose answer goes on as it comes, or drawn, selected and written.

It holds what a request may cost before anything is sent, and settles it with what was really used. Which
requests are planned, and what the others get, is left to `planner.serving.route`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import msgspec

from difficulty.errors import BackendError, InvalidInputError, VerifierError
from planner.backends.openai.nested import merged
from planner.drivers.thinking import IGNORED, is_exceeded
from planner.ports.ports import SampleRequest
from planner.serving.carrying import carry, drawing_of
from planner.serving.drawing import Said
from planner.serving.exchange import Answer, drop
from planner.serving.passing import forwarded
from planner.serving.payment import Payment
from planner.serving.plannable import Request
from planner.serving.planning import Planning
from planner.serving.refusal import Refusal
from planner.serving.reply import (
    CompletionWriter,
    Reply,
    Waiting,
    Writer,
    agreement_of,
    chosen_of,
    stop_reason_of,
    usage_field,
)
from planner.serving.request_log import RequestLog
from planner.serving.responses import Response
from planner.serving.selecting import WHOLE
from planner.serving.sent_body import with_settings
from planner.serving.settings import Limits
from planner.serving.single import counted, stop_reason
from planner.serving.telling import WITHHELD, Planned, extension_of, finish_of, headers_of, nothing
from planner.serving.watch import Seen
from policies.cost.usage import Usage

# What a server answers that has no such endpoint.
_NO_SUCH: Final = (404, 405, 501)
_EVENTS: Final = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


class WindowSpent(Exception):
    """The window could not pay for one sample, and the operator lets such requests pass."""


@dataclass(kw_only=True, slots=True)
class Work:
    """One planned request on its way to its answer.

    Parameters
    ----------
    unpaid : callable
        Answers the request where nobody pays for one sample.
    refuses : bool
        Whether the route refuses what its window cannot pay.
    limits : Limits
        Hard bounds.
    log : RequestLog, optional
        Keeps what was drawn.
    planning : Planning
        How the route plans.
    planned : Planned
        The plan.
    request : Request
        The request.
    payment : Payment
        Who pays; closed with the work.
    seen : Seen
        What is known in the end.
    """

    unpaid: Callable[[], Awaitable[Answer]]
    refuses: bool
    limits: Limits
    log: RequestLog | None
    planning: Planning
    planned: Planned
    request: Request
    payment: Payment
    seen: Seen

    @property
    def writer(self) -> Writer:
        """How the answer is written; a fresh one for each answer."""
        if self.request.as_chat is not None:
            return Response(body=self.request.body)
        return CompletionWriter(include_usage=self.planned.asked.include_usage)

    async def one(self) -> Answer:
        """Answer by one call, with the settings of the plan's generator where the client has none."""
        started = time.perf_counter()
        planned, planning, payment, seen = self.planned, self.planning, self.payment, self.seen
        plan, asked = planned.plan, planned.asked
        name = plan.allocation.generator
        generator = planning.generators(asked, self.request.body["model"])[name]
        if payment.any:
            assert asked.prompt is not None
            sample = SampleRequest(prompt=asked.prompt, generator=generator, n=1, seed=0)
            may, cap = await payment.hold(sample)
            if not may and payment.goes_on():
                may, cap = await payment.hold(sample)
            if not may:
                payment.close(0.0)
                return await self.unpaid()
            if cap is not None:
                generator = replace(generator, max_output_tokens=cap)
        body = {key: value for key, value in self.request.body.items() if key != "planner"}
        responses = self.request.as_chat is not None
        body = with_settings(body, generator, asked, responses=responses)
        body = merged(body, planning.sources[name].fields_of(generator))
        hides = asked.stream and not asked.include_usage and not responses
        if hides:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        content = msgspec.json.encode(body)
        overhead = planned.seconds + time.perf_counter() - started
        # What comes is looked into, so that it must not be packed.
        call = self.request.call
        call = replace(call, headers={**call.headers, "accept-encoding": "identity"})
        answer = await forwarded(planning.sources[name].origin, call, content, seen)
        if answer.status != 200:
            payment.settle(Usage())
            if responses and answer.status in _NO_SUCH:
                await drop(answer)
                return await self.written()
            payment.close(0.0)
            return answer
        model, note = planning.cost_model, planning.selecting.why_not

        budget = generator.thinking_tokens

        def ignored(reasoning: int) -> int:
            return int(budget is not None and is_exceeded(reasoning, budget))

        def told(usage: Usage | None, reasoning: int, finish: str | None) -> None:
            seen.samples, seen.usage = 1, usage
            seen.stop_reason = stop_reason(usage, reasoning, finish)
            seen.thinking_ignored = ignored(reasoning)
            seen.cost = None if usage is None else model.price(usage, name)
            payment.settle(usage)
            payment.close(seen.cost)

        def added(usage: Usage | None, reasoning: int, finish: str | None) -> Mapping[str, object]:
            more = {"thinking_ignored": 1} if ignored(reasoning) else {}
            reason = stop_reason(usage, reasoning, finish)
            return {"planner": extension_of(planned, reason, 1, "only", note) | {"cost": seen.cost} | more}

        headers = (*answer.headers, *headers_of(planned, 1, overhead))
        answer = counted(replace(answer, headers=headers), told, added=added, hides_usage=hides)
        if isinstance(answer.body, bytes) and seen.cost is not None:
            headers = (
                *headers, ("x-planner-cost", f"{seen.cost:g}"), ("x-planner-stop-reason", seen.stop_reason),
            )  # fmt: skip
        return replace(answer, headers=headers)

    async def written(self) -> Answer:
        """Draw, and answer whole or by a stream, where the upstream does not know the client's endpoint."""
        if self.planned.asked.stream:
            return self.streamed()
        try:
            return self.writer.whole(await self.drawn())
        except WindowSpent:
            return await self.unpaid()

    def streamed(self) -> Answer:
        """Answer by a stream that shows signs of life until the answer is there."""
        planned, writer = self.planned, self.writer

        async def events() -> bytes:
            try:
                return writer.events(await self.drawn())
            except WindowSpent:
                return writer.failed(SPENT) if writer.begun() else await self._passed(writer)
            except (Refusal, InvalidInputError, BackendError, VerifierError) as error:
                # The status has been sent: an error is an event, and the stream ends.
                return writer.failed(error if isinstance(error, Refusal) else Refusal.of(error))

        headers = (*_EVENTS, ("x-planner-plan-id", planned.id), ("x-planner-unit", planned.plan.unit))
        work = asyncio.create_task(events())
        # Where the client goes before the work has begun, nothing of it runs.
        work.add_done_callback(lambda _: self.payment.close(0.0))
        waiting = Waiting(work, every=self.limits.keep_alive_seconds, begun=writer.begun())
        return Answer(headers=headers, body=waiting)

    async def _passed(self, writer: Writer) -> bytes:
        """Return the stream of a request that passes as if nobody planned."""
        answer = await self.unpaid()
        if isinstance(answer.body, bytes):
            return writer.failed(Refusal(answer.status, "the upstream refused", code="upstream_refused"))
        async with aclosing(answer.body) as pieces:
            return b"".join([piece async for piece in pieces])

    async def drawn(self) -> Reply:
        """Draw, stop early, select, and return what is said of it."""
        started = time.perf_counter()
        planned, planning, seen, payment = self.planned, self.planning, self.seen, self.payment
        asked = planned.asked
        assert asked.prompt is not None
        call, name = self.request.drawing_call, self.request.body["model"]
        generators = planning.generators(asked, name)
        drawing = drawing_of(planning, asked, call, generators)
        cost: float | None = None
        carried = partial(
            carry,
            planning,
            planned.plan,
            asked=asked,
            options=planned.options,
            call=call,
            model=name,
            drawing=drawing,
            payment=payment,
            deadline_seconds=self.limits.deadline_seconds,
        )
        try:
            plan, outcome, _, told = await carried()
            if payment.goes_on():
                plan, outcome, _, told = await carried()
            cost = outcome.cost
        except asyncio.CancelledError:
            seen.samples, seen.usage = drawing.n_samples, drawing.usage
            raise
        finally:
            payment.close(cost)
        planned, reason = planned._replace(plan=plan), stop_reason_of(outcome)
        seen.expected_cost, seen.expected_accuracy = plan.expected_cost, plan.expected_accuracy
        seen.samples, seen.usage, seen.stop_reason = drawing.n_samples, outcome.usage, reason
        seen.cost, seen.agreement = outcome.cost, agreement_of(outcome)
        seen.thinking_ignored = sum(error.kind == IGNORED for error in outcome.errors)
        if "judge" in told:
            seen.judge_tokens = told["judge"]["prompt_tokens"], told["judge"]["output_tokens"]
            seen.judge_failures = told["judge"]["failures"]
        if self.log is not None:
            extractor = planning.selecting.extractor or WHOLE
            self.log.add(asked.prompt, outcome, drawing.drawn, extractor=extractor, plan_id=planned.id)
        chosen = chosen_of(outcome)
        if chosen is None:
            if outcome.stop_reason == "budget" and not drawing.n_samples and payment.till is not None:
                raise SPENT if self.refuses else WindowSpent
            raise drawing.refused or nothing(outcome, drawing.retry_after)
        note = planning.selecting.why_not
        extension = extension_of(planned, reason, drawing.n_samples, outcome.selected_by, note) | {
            "cost": outcome.cost,
            "agreement": agreement_of(outcome),
            "wasted_tokens": int(outcome.usage.wasted_tokens),
            "verifier_tokens": int(outcome.usage.verifier_tokens),
            "failures": len(outcome.errors) - seen.thinking_ignored,
            **({"thinking_ignored": seen.thinking_ignored} if seen.thinking_ignored else {}),
            **(
                {}
                if outcome.verdict is None
                else {"verdict": outcome.verdict, "confidence": outcome.confidence}
            ),
            **told,
        }
        overhead = planned.seconds + time.perf_counter() - started - drawing.waited
        said, withheld = drawing.said(chosen.text), outcome.verdict in ("hard", "unsolvable")
        if withheld:
            said = Said("")
        headers = (
            *headers_of(planned, drawing.n_samples, overhead),
            ("x-planner-cost", f"{outcome.cost or 0.0:g}"),
            ("x-planner-stop-reason", reason),
        )
        return Reply(
            chat=self.request.chat,
            model=generators[outcome.allocation.generator].model or name,
            text=said.content,
            calls=said.calls,
            finish_reason=finish_of(chosen, said),
            reasoning=None if withheld else drawing.thought_of(chosen.text),
            refusal=WITHHELD if withheld else None,
            usage=usage_field(outcome.usage, reasoning_tokens=drawing.reasoning_tokens),
            extension=extension,
            headers=headers,
        )


SPENT: Final = Refusal(
    429, "the budget of this window is spent; try again later", code="insufficient_quota", retry_after=1
)
