"""Shadow mode: answers pass through untouched, and what planning would have done is worked out beside them.

A share of the requests is planned, and where the operator pays for it a share is drawn as well: whether the
plan's answer agrees with the one that was sent is what an operator can know of accuracy without labels.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from difficulty.errors import PlannerError
from difficulty.logger import logger_of
from planner.answers.rule import AnswerRule
from planner.ports.ports import AnswerExtractor
from planner.serving.carrying import carry, drawing_of
from planner.serving.exchange import Call
from planner.serving.options import Options
from planner.serving.plannable import Asked
from planner.serving.planning import Planning
from planner.serving.watch import Shadowed, Watch
from policies.plan.plan import AllocationPlan

_LOG: Final = logger_of("planner.serving")
# Draws beside the traffic at a time; further ones are left out.
_AT_A_TIME: Final = 64


class Sent(NamedTuple):
    """A request that was passed through with its plan, and the answer where that came whole."""

    route: str
    planning: Planning
    plan: AllocationPlan
    asked: Asked
    call: Call
    model: str
    text: str | None


@dataclass(kw_only=True, slots=True)
class Shadow:
    """What is done beside the traffic.

    Parameters
    ----------
    share : float
        Of the requests that are planned, in [0, 1].
    draw_share : float
        Of the planned ones, those that are drawn as well, in [0, 1].
    watch : Watch, optional
        Told of it.
    random : Random
        Chooses.
    """

    share: float = 1.0
    draw_share: float = 0.0
    watch: Watch | None = None
    random: Random = field(default_factory=Random)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def wants(self) -> bool:
        """Return whether the next request is planned."""
        return self.random.random() < self.share

    def note(self, sent: Sent, *, cost: float | None) -> None:
        """Note what was sent beside a plan, and draw it where it is chosen.

        Parameters
        ----------
        sent : Sent
            The request and its answer.
        cost : float, optional
            Of the answer that was sent, where its usage is known.
        """
        plan = sent.plan
        if self.watch is not None:
            expected = Shadowed(expected_cost=plan.expected_cost, expected_accuracy=plan.expected_accuracy)
            self.watch.shadow(sent.route, expected, cost=cost)
        if self.random.random() >= self.draw_share or len(self._tasks) >= _AT_A_TIME:
            return
        task = asyncio.create_task(self._draw(sent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is still drawn."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _draw(self, sent: Sent) -> None:
        route, planning, plan, asked, call, model, text = sent
        generators = planning.generators(asked, model)
        drawing = drawing_of(planning, asked, call, generators)
        try:
            carried = await carry(
                planning, plan, asked=asked, options=Options(), call=call, model=model, drawing=drawing
            )
        except PlannerError as error:
            _LOG.warning("a plan in the shadow failed: %s", type(error).__name__)
            return
        outcome = carried.outcome
        agrees: bool | None = None
        extractor = planning.selecting.extractor
        if text is not None and extractor is not None and outcome.answer is not None:
            answer = extractor.extract(text, "stop")
            agrees = None if answer is None else _same(extractor, answer, outcome.answer)
        if self.watch is not None:
            self.watch.shadow(route, Shadowed(drawn_cost=outcome.cost, agrees=agrees), cost=None)


def _same(extractor: AnswerExtractor, sent: str, drawn: str) -> bool:
    return extractor.equal(sent, drawn) if isinstance(extractor, AnswerRule) else sent == drawn
