"""One route: what is done with the requests for a model, from options and plan to the answer.

A request that cannot be planned, or whose plan is one sample, is one call whose answer goes on as it comes;
all others are drawn, stopped early, selected and answered as one completion. Endpoints, keys and limits on
bodies are the handler's affair.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from secrets import token_hex
from typing import Final, Literal

import msgspec

from difficulty.errors import InvalidResponseError
from difficulty.prompt import Prompt
from planner.backends.openai.failure import Failed
from planner.backends.openai.wire import read_reply
from planner.planning.request import STRANGE
from planner.running.till import Till
from planner.serving.body import check_once, read_object
from planner.serving.exchange import Answer, Call, json_answer
from planner.serving.options import Options, read_options
from planner.serving.origin import Origin
from planner.serving.passing import (
    COSTLY,
    Most,
    check_caps,
    forwarded,
    most_choices,
    pay,
    poor,
    renamed,
    untouched,
)
from planner.serving.payment import KeyPurses, Payment
from planner.serving.plannable import NO_VOTES, Asked, Request, read_request
from planner.serving.planning import Planning
from planner.serving.refusal import Refusal
from planner.serving.reply import plan_fields
from planner.serving.request_log import RequestLog
from planner.serving.responses import text_of_response
from planner.serving.selecting import Votes
from planner.serving.sent_body import with_cap
from planner.serving.settings import Limits
from planner.serving.shadow import Sent, Shadow
from planner.serving.single import counted
from planner.serving.telling import Planned
from planner.serving.watch import Seen
from planner.serving.work import SPENT, WindowSpent, Work
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

# Features of prompts of more characters take milliseconds to seconds: one at a time, beside the event loop.
_LONG: Final = 20_000
_APART: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planner-long-prompts")


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
    votes : Votes
        Which kinds of answers can be compared.
    ready : bool
        Whether it has loaded what it plans with.
    till : Till, optional
        A budget per window.
    keys : KeyPurses, optional
        What clients' keys may spend.
    when_spent : {"pass", "refuse"}
        What comes of requests that the window cannot pay.
    log : RequestLog, optional
        Keeps what planned requests drew.
    shadow : Shadow, optional
        Nothing is planned for clients, and planning goes on beside the traffic.
    most_choices : int, optional
        The most choices that a request may ask for by itself.
    """

    name: str
    origin: Origin
    model: str | None = None
    planning: Planning | None = None
    limits: Limits = field(default_factory=Limits)
    votes: Votes = NO_VOTES
    ready: bool = True
    till: Till | None = None
    keys: KeyPurses | None = None
    when_spent: Literal["pass", "refuse"] = "pass"
    log: RequestLog | None = None
    shadow: Shadow | None = None
    most_choices: int | None = None

    async def forward(self, call: Call, seen: Seen, *, client: str = "") -> Answer:
        """Pass a call of another endpoint through; a key with a limit pays for what costs something.

        Raises
        ------
        Refusal
            400, where its body says something twice; 402 and 429, where its key cannot pay.
        """
        check_once(call.body)
        body = None if self.model is None or not call.body else renamed(call.body, self.model)
        key = None if self.keys is None else self.keys.of(client)
        if key is None or self.planning is None or call.method != "POST" or call.path not in COSTLY:
            return await self.origin.forward(call, body=body)
        content, name = read_object(body or call.body, max_depth=self.limits.max_depth), COSTLY[call.path]
        check_caps(content)
        given = content.get(name) if name is not None else 1
        output = given if type(given) is int and given >= 1 else None

        def capped(content: dict[str, object], cap: int) -> None:
            if name is not None:
                content[name] = cap

        return await pay(
            self.origin, call, content, payment=Payment(key=key), planning=self.planning,
            most=Most(1, output), capped=capped, seen=seen,
        )  # fmt: skip

    async def show(self, request: Request) -> Answer:
        """Return the plan of a request; nothing is spent."""
        planning = self._planning()
        options = read_options(request.call.headers, request.body)
        asked = read_request(request, votes=self.votes)
        if options.mode == "off" or not _plannable(asked, planning):
            return json_answer({"mode": "pass", "because": asked.passes or "planner.mode"})
        price = None if self.till is None else self.till.price
        planned = await self._plan(planning, asked, options, price)
        course = planned.plan.course
        told = plan_fields(planned.plan, explain=True)
        return json_answer(
            {"mode": "plan", "plan_id": planned.id, "max_samples": course.n if course else 0, **told}
        )

    async def answer(self, request: Request, request_id: str, seen: Seen) -> Answer:
        """Answer a request for a completion.

        Raises
        ------
        Refusal, InvalidInputError, BackendError
            When there is no answer; the handler words it.
        """
        planning = self.planning
        options = read_options(request.call.headers, request.body)
        self._bound(request)
        if planning is None:
            return await self._passed(request, None, seen)
        asked = None if options.mode == "off" else read_request(request, votes=self.votes)
        if asked is None or not _plannable(asked, planning):
            key = None if self.keys is None else self.keys.of(request.client)
            return await self._passed(request, None if key is None else Payment(key=key), seen)
        if self.shadow is not None:
            return await self._shadowed(self.shadow, planning, request, asked, seen)
        key = None if self.keys is None else self.keys.of(request.client)
        held = (key, self.till, planning.max_per_request, options.budget)
        if any(one is not None for one in held):
            check_caps(request.body)
        payment = Payment(till=self.till, key=key)
        with payment.given_back():
            planned = await self._plan(planning, asked, options, payment.price)
            seen.plan_seconds = planned.seconds
            seen.expected_cost, seen.unit = planned.plan.expected_cost, planned.plan.unit
            seen.price = planning.price if payment.price is None else payment.price
            seen.familiarity = planned.plan.familiarity
            seen.expected_accuracy = planned.plan.expected_accuracy
            course = planned.plan.course
            work = Work(
                unpaid=partial(self.unpaid, request, seen),
                refuses=self.when_spent == "refuse",
                limits=self.limits,
                log=self.log,
                planning=planning,
                planned=planned,
                request=request,
                payment=payment,
                seen=seen,
            )
            alone = course is None or (course.n == 1 and not course.selection.verifiers)
            # What may be withheld must be there before it is sent.
            if alone and planning.target_risk is None:
                seen.mode = "one"
                return await work.one()
            seen.mode = "plan"
            if planned.asked.stream:
                return work.streamed()
        try:
            return work.writer.whole(await work.drawn())
        except WindowSpent:
            return await self._passed(request, None, seen)

    async def unpaid(self, request: Request, seen: Seen) -> Answer:
        """Answer a request that the window, or the key, cannot pay: by the operator's choice."""
        if self.till is None:
            raise poor()
        if self.when_spent == "refuse":
            raise SPENT
        return await self._passed(request, None, seen)

    def _bound(self, request: Request) -> None:
        """Refuse more choices than the operator lets one request have."""
        for name in ("n", "best_of"):
            value, most = request.body.get(name), self.most_choices
            if most is not None and type(value) is int and value > most:
                raise Refusal(400, f"{name} must be at most {most}, got {value}", param=name)

    def _planning(self) -> Planning:
        if self.planning is None:
            raise Refusal(400, f"requests for {self.name!r} are not planned", param="model")
        return self.planning

    async def _plan(self, planning: Planning, asked: Asked, options: Options, price: float | None) -> Planned:
        started = time.perf_counter()
        prompt = asked.prompt
        assert prompt is not None
        plan = await _plan_of(planning, prompt, options, price)
        whole = replace(prompt, text=None) if prompt.messages else prompt
        if plan.familiarity is not None and plan.familiarity < STRANGE and whole.content != prompt.content:
            # A log of chats may have been trained on with the instructions before its questions.
            other = await _plan_of(planning, whole, options, price)
            if other.familiarity is not None and other.familiarity > plan.familiarity:
                plan, asked = other, replace(asked, prompt=whole)
        return Planned(
            plan=plan,
            asked=asked,
            options=options,
            id=f"plan-{token_hex(8)}",
            seconds=time.perf_counter() - started,
        )

    async def _shadowed(
        self, shadow: Shadow, planning: Planning, request: Request, asked: Asked, seen: Seen
    ) -> Answer:
        """Pass a request through untouched, and plan beside it."""
        answer = await self._passed(request, None, seen)
        if answer.status != 200 or not shadow.wants():
            return answer
        price = None if self.till is None else self.till.price
        planned = await self._plan(planning, asked, Options(), price)
        seen.mode, seen.plan_seconds = "shadow", planned.seconds
        name = planning.generator_of(self.model or request.body["model"], self.origin)
        read = _text_of if request.as_chat is None else text_of_response
        text = read(answer.body) if isinstance(answer.body, bytes) else None
        call, model = request.drawing_call, request.body["model"]
        sent = Sent(self.name, planning, planned.plan, asked, call, model, text)

        def told(usage: Usage | None, reasoning: int, finish: str | None) -> None:
            shadow.note(sent, cost=None if usage is None else planning.cost_model.price(usage, name))

        return counted(answer, told)

    async def _passed(self, request: Request, payment: Payment | None, seen: Seen) -> Answer:
        """Pass a request through with one call, untouched where nobody pays for it."""
        seen.mode = "pass"
        body = untouched(request, self.model)
        if self.planning is None:
            return await forwarded(self.origin, request.call, body, seen)
        if payment is None:

            def seen_usage(usage: Usage | None, reasoning: int, finish: str | None) -> None:
                seen.usage = usage or seen.usage

            return counted(await forwarded(self.origin, request.call, body, seen), seen_usage)
        check_caps(request.body)
        asked = read_request(request, votes=self.votes)
        responses = request.as_chat is not None
        return await pay(
            self.origin,
            request.call,
            dict(msgspec.json.decode(body or request.call.body)),
            payment=payment,
            planning=self.planning,
            most=Most(most_choices(request.body), asked.max_output_tokens),
            capped=partial(with_cap, responses=responses),
            seen=seen,
            hides_usage=asked.stream and not asked.include_usage and not responses,
        )


async def _plan_of(
    planning: Planning, prompt: Prompt, options: Options, price: float | None
) -> AllocationPlan:
    plan = partial(planning.plan, prompt, options, price=price)
    if len(prompt.content or "") <= _LONG:
        return plan()
    return await asyncio.get_running_loop().run_in_executor(_APART, plan)


def _plannable(asked: Asked, planning: Planning) -> bool:
    several = asked.reasoning_effort is not None and len(planning.sources) > 1
    return not asked.passes and asked.prompt is not None and not several


def _text_of(body: bytes) -> str | None:
    """Return the text of a whole answer, None where it has none."""
    try:
        return read_reply(body).choices[0].text
    except (InvalidResponseError, Failed, IndexError):
        return None
