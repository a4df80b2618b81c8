"""Carry the plan of one request out: draw, have samples read and judged, and add up what all of it cost.

Samples, judges and embeddings are paid from the same purses: those of the route and the key, and that of the
request where it has a cap. Answering the client is left to `planner.serving.work`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from difficulty.generator import Generator
from planner.backends.openai.nested import merged
from planner.ports.outcome import Outcome
from planner.ports.ports import Backend
from planner.running.purse import Purse, Pursed
from planner.running.remembering import Remembering, longer
from planner.serving.drawing import Drawing
from planner.serving.embedding import Embedding, compared_by
from planner.serving.exchange import Call, beside
from planner.serving.options import Options
from planner.serving.payment import Payment
from planner.serving.plannable import Asked
from planner.serving.planning import Planning
from planner.serving.selecting import Selecting
from planner.verifiers.judge import JudgeModel
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

_CHAT = "/chat/completions"


class Carried(NamedTuple):
    """What came of a plan.

    Attributes
    ----------
    outcome : Outcome
        With everything that was spent.
    drawing : Drawing
        What was drawn.
    told : mapping
        What the judge and the embeddings have used, and how often they failed, for the field ``planner``.
    """

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
    prompt, seed, started = asked.prompt, planning.seed(asked), time.monotonic()
    backend = Remembering(paying(drawing))

    async def run(own: AllocationPlan, seconds: float | None) -> Outcome:
        return await planning.run(
            own,
            prompt,
            options=options,
            backend=backend,
            generators=planning.generators(asked, model),
            deadline_seconds=seconds,
            extractor=extractor,
            judge=judge,
            seed=seed,
        )

    outcome = await run(plan, deadline_seconds)
    books = None if payment is None else payment.account
    while outcome.stop_reason in ("complete", "satisfied") and _follows_window(options, selecting):
        lower = None if payment is None else payment.lower()
        left = _left(deadline_seconds, options, time.monotonic() - started)
        if books is None or lower is None or (left is not None and left <= 0):
            break
        again = await run(planning.plan(prompt, options, price=lower), left)
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
    return Carried(outcome, drawing, told)


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
