"""Carry the plan of one request out: draw, have samples read and judged, and add up what all of it cost.

Samples, judges and embeddings are paid from the same purses: those of the route and the key, and that of the
request where it has a cap. Answering the client is left to `planner.serving.work`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from difficulty.errors import UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.openai.nested import merged
from planner.drivers import Limits
from planner.ports.outcome import Outcome
from planner.ports.ports import Backend, Completion, SampleRequest, Verifier
from planner.running.purse import Purse, Pursed
from planner.running.remembering import Remembering, longer
from planner.running.run_plans import run_plans
from planner.serving.drawing import Drawing
from planner.serving.embedding import Embedding, compared_by
from planner.serving.exchange import Call, beside
from planner.serving.options import Options
from planner.serving.payment import Payment
from planner.serving.plannable import Asked
from planner.serving.planning import Planning
from planner.serving.selecting import JUDGE, WHOLE, Selecting
from planner.verifiers.judge import JudgeModel
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

_CHAT = "/chat/completions"


class Carried(NamedTuple):
    """What came of a plan.

    Attributes
    ----------
    plan : AllocationPlan
        The plan, or the longer one that the request went on to when the window had money left.
    outcome : Outcome
        With everything that was spent.
    drawing : Drawing
        What was drawn.
    told : mapping
        What the judge and the embeddings have used, and how often they failed, for the field ``planner``.
    """

    plan: AllocationPlan
    outcome: Outcome
    drawing: Drawing
    told: Mapping[str, Any]


def drawing_of(planning: Planning, asked: Asked, call: Call, generators: Mapping[str, Generator]) -> Drawing:
    """Return what draws the samples of a request, each generator with its own fields."""
    return Drawing(
        {
            name: planning.sources[name].origin.drawing(
                call, merged(asked.fields, planning.sources[name].fields_of(generator))
            )
            for name, generator in generators.items()
        }
    )


async def carry(
    planning: Planning,
    plan: AllocationPlan,
    *,
    asked: Asked,
    options: Options,
    call: Call,
    model: str,
    drawing: Drawing,
    payment: Payment | None = None,
    deadline_seconds: float | None = None,
) -> Carried:
    """Carry a plan out.

    Parameters
    ----------
    planning, plan, asked, options, call
        Of the request.
    model : str
        As the client calls it.
    drawing : Drawing
        Draws the samples.
    payment : Payment, optional
        Who pays.
    deadline_seconds : float, optional
        The operator's limit.
    """
    assert asked.prompt is not None
    selecting = planning.selecting
    priced, cap = planning.caps(plan, options)
    beside_samples = selecting.judge is not None or selecting.embedding is not None
    purse = Purse(cap, priced.price) if cap is not None and beside_samples else None
    account = None if purse is None else purse.open()

    def paying(backend: Backend) -> Backend:
        if purse is not None and account is not None:
            backend = Pursed(backend, purse, account)
        return payment.paying(backend) if payment is not None and payment.any else backend

    extractor, embedding, judge = selecting.extractor, None, None
    if selecting.embedding is not None and extractor is not None:
        embedding = Embedding(selecting.embedding, call, paying=paying)
        rule = extractor
        extractor = compared_by(extractor, embedding.likeness)
        drawing.reads(lambda row: embedding.read(rule, row))
    if selecting.judge is not None:
        way = selecting.judge
        asks = replace(call, path=f"/v1{_CHAT}", url=beside(call.url, _CHAT))
        named = replace(way.generator, model=way.source.model or model)
        backend = paying(way.source.origin.drawing(asks, way.source.fields_of(named)))
        judge = JudgeModel(backend=backend, generator=named, prompt=way.prompt, best=way.best)
    prompt, started = asked.prompt, time.monotonic()
    run = partial(
        _run,
        planning,
        prompt,
        options=options,
        backend=Remembering(paying(drawing)),
        generators=planning.generators(asked, model),
        extractor=extractor or selecting.extractor or WHOLE,
        judge={} if judge is None else {JUDGE: judge},
        seed=planning.seed(asked),
    )
    outcome = await run(plan, _left(deadline_seconds, options, 0.0))
    books = None if payment is None else payment.account
    while outcome.stop_reason in ("complete", "satisfied") and _follows_window(options, selecting):
        lower = None if payment is None else payment.lower()
        left = _left(deadline_seconds, options, time.monotonic() - started)
        if books is None or lower is None or (left is not None and left <= 0):
            break
        further = planning.plan(prompt, options, price=lower)
        again = await run(further, left)
        plan = further if again.usage.samples >= outcome.usage.samples else plan
        outcome = longer(outcome, again, books, beside=None if embedding is None else embedding.spent)
    told: dict[str, Any] = {}
    if judge is not None:
        outcome = _with(outcome, judge.untold, priced.price(judge.untold, judge.generator.name))
        if planning.judging is not None and priced.unit == planning.unit and drawing.n_samples > 1:
            paid = priced.price(judge.spent, judge.generator.name)
            drawn = max((outcome.cost or 0.0) - paid, 0.0)
            planning.judging.learn(n=drawing.n_samples, samples=drawn, judgements=paid)
        told["judge"] = _told(judge.spent, judge.n_failed)
    if embedding is not None and selecting.embedding is not None:
        name = selecting.embedding.generator.name
        outcome = _with(outcome, embedding.spent, priced.price(embedding.spent, name))
        told["clusters"] = _told(embedding.spent, embedding.n_failed)
    return Carried(plan, outcome, drawing, told)


async def _run(
    planning: Planning,
    prompt: Prompt,
    plan: AllocationPlan,
    seconds: float | None,
    *,
    options: Options,
    backend: Backend,
    generators: Mapping[str, Generator],
    judge: Mapping[str, Verifier],
    **how: Any,
) -> Outcome:
    """Carry a plan out and return its outcome, the best so far where time is up.

    `extractor` and `judge` are those of this one request, where it has its own; equal seeds ask for equal
    samples.
    """
    course = plan.course
    missing = [name for name in (course.generators if course else ()) if name not in generators]
    if missing:
        raise UnknownGeneratorError(f"nobody draws for the generators {', '.join(missing)}")
    model, cap = planning.caps(plan, options)
    limits = Limits(
        max_cost_per_prompt=cap,
        price=model.price,
        max_seconds=seconds,
        max_samples_per_prompt=min(planning.max_samples, options.max_samples or planning.max_samples),
        max_concurrency=planning.max_samples,
    )
    if planning.target_risk is not None:
        (outcome,) = await planning.planner.arun(
            [prompt],
            target_risk=planning.target_risk,
            backend=_As(backend, generators),
            limits=limits,
            driver="concurrent",
            **how,
        )
        return outcome
    (outcome,) = await run_plans(
        [plan],
        [prompt],
        backend=backend,
        generators=generators,
        cost_model=model,
        verifier={**planning.selecting.verifiers, **judge},
        learned=planning.planner.bundle.verifiers,
        limits=limits,
        driver="concurrent",
        **how,
    )
    return outcome


class _As:
    """A backend whose requests are drawn with the settings of one request's generators."""

    draws_singly = True

    def __init__(self, backend: Backend, generators: Mapping[str, Generator]) -> None:
        self._backend, self._generators = backend, generators

    async def sample(self, requests: Sequence[SampleRequest]) -> Sequence[Sequence[Completion]]:
        own = [replace(one, generator=self._generators[one.generator.name]) for one in requests]
        return await self._backend.sample(own)


def _follows_window(options: Options, selecting: Selecting) -> bool:
    """Return whether the window sets the price, and a longer plan costs nothing but its further samples."""
    own = (options.price, options.budget, options.target_accuracy)
    return not any(aim is not None for aim in own) and not selecting.verifiers and selecting.judge is None


def _left(deadline: float | None, options: Options, passed: float) -> float | None:
    """Return the seconds that are left of the operator's and the client's limit."""
    limits = [one for one in (deadline, options.deadline_seconds) if one is not None]
    return min(limits) - passed if limits else None


def _with(outcome: Outcome, usage: Usage, cost: float) -> Outcome:
    return replace(outcome, usage=outcome.usage + usage, cost=(outcome.cost or 0.0) + cost)


def _told(usage: Usage, n_failed: int) -> dict[str, int]:
    return {
        "requests": int(usage.requests),
        "prompt_tokens": int(usage.prompt_tokens),
        "output_tokens": int(usage.output_tokens),
        "failures": n_failed,
    }
