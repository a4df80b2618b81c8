"""Answer prompts as they arrive, on a budget per window of prompts or of time.

Each prompt gets the price of the moment, is planned and run at it, and what it really cost moves the price of
the next ones. Hundreds may be in flight: each sample is held against its window's budget, and waits where
others hold (`planner.running.till`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from difficulty.arguments import check_number
from difficulty.errors import InvalidBudgetError
from difficulty.prompt import Prompt, as_prompts
from planner.drivers import Limits
from planner.planner import Planner
from planner.ports.outcome import Outcome
from planner.ports.ports import AnswerExtractor, Backend, Verifier
from planner.running.remembering import Remembering, longer
from planner.running.till import Till
from planner.running.window import Slot
from policies.control.state import StreamState
from policies.cost.budget import Unit, check_unit
from policies.cost.cost_model import CostModel

_N_POINTS: Final = 40


class Stream:
    """A budget per window over prompts that arrive one at a time; make one with `open`.

    Parameters
    ----------
    planner : Planner
        Plans each prompt at the price of the moment.
    till : Till
        Keeps the budget, in the unit of the planner's bundle.
    backend, verifier, extractor
        As in `Planner.run`.
    max_per_prompt : float
        The most that one prompt may cost, above 0.
    one_shot : bool
        Only courses that decide everything before the first sample.
    seed : int
        Seed of plans, samples and ties.
    """

    def __init__(
        self,
        planner: Planner,
        till: Till,
        *,
        backend: Backend,
        max_per_prompt: float,
        one_shot: bool = False,
        verifier: Verifier | Mapping[str, Verifier] | None = None,
        extractor: AnswerExtractor | None = None,
        seed: int = 0,
    ) -> None:
        self._planner, self._till = planner, till
        self._backend, self._verifier, self._extractor = backend, verifier, extractor
        self._max_per_prompt, self._one_shot, self._seed = max_per_prompt, one_shot, seed

    @classmethod
    def open(
        cls,
        planner: Planner,
        typical: Iterable[Prompt | str],
        *,
        backend: Backend,
        limit: float,
        window: float,
        max_per_prompt: float,
        clock: Literal["prompts", "seconds"] = "prompts",
        hard_cap: float | None = None,
        one_shot: bool = False,
        verifier: Verifier | Mapping[str, Verifier] | None = None,
        extractor: AnswerExtractor | None = None,
        state: str | os.PathLike[str] | None = None,
        seed: int = 0,
        now: Callable[[], float] = time.time,
    ) -> Stream:
        """Open a stream, or go on with one whose state is saved.

        Parameters
        ----------
        planner : Planner
            Plans each prompt; budgets are in the unit of its bundle.
        typical : iterable of Prompt or str
            Prompts like those that will come, at least one: what they would cost at each price is where the
            control starts from.
        backend, verifier, extractor
            As in `Planner.run`.
        limit : float
            Budget per window, above 0.
        window : float
            Length of a window in prompts or seconds, above 0.
        max_per_prompt : float
            The most that one prompt may cost, above 0.
        clock : {"prompts", "seconds"}
            What windows are made of.
        hard_cap : float, optional
            What a window never exceeds, where the output of generators is capped; 1.01 × `limit` by default.
        one_shot : bool
            Only courses that decide everything before the first sample.
        state : path, optional
            File of the state; where it exists, the stream goes on from it.
        seed : int
            Seed of plans, samples and ties.
        now : callable
            Seconds that go on across restarts.

        Raises
        ------
        InvalidInputError
            When there is nothing to choose between, or the file is not the state of such a stream.
        InvalidBudgetError
            When a limit, window or cap is not above 0.
        """
        check_number("max_per_prompt", max_per_prompt, "above 0", error=InvalidBudgetError)
        points = planner.frontier(typical, n_points=_N_POINTS, one_shot=one_shot)
        unit = check_unit(planner.bundle.unit)
        model = planner.cost_model or CostModel(unit=unit, generators=planner.bundle.generators)
        till = Till.of(
            [(point.price, point.expected_cost) for point in points],
            replace(model, unit=unit).price,
            limit=limit,
            window=window,
            unit=unit,
            clock=clock,
            hard_cap=hard_cap,
            path=None if state is None else Path(state),
            now=now,
        )
        return cls(
            planner,
            till,
            backend=backend,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            verifier=verifier,
            extractor=extractor,
            seed=seed,
        )

    @property
    def unit(self) -> Unit:
        """Unit of the budget."""
        return self._till.unit

    @property
    def state(self) -> StreamState:
        """What has been spent and opened in the current window."""
        return self._till.state

    async def answer(self, prompt: Prompt | str) -> Outcome:
        """Answer one prompt; hundreds may be in flight at a time, on one event loop.

        Where the window's budget leaves too little for even one sample, the outcome has no answer and the
        stop reason ``"budget"``; where the window is full as well, the prompt goes to the next one. What a
        prompt costs counts for the window that it was opened in.
        """
        (given,) = as_prompts([prompt])
        slot = self._till.open()
        outcome = await self._paid(given, slot)
        if self._till.goes_on(slot):
            outcome = await self._paid(given, self._till.open())
        return outcome

    async def _paid(self, prompt: Prompt, slot: Slot) -> Outcome:
        cost: float | None = None
        try:
            backend = Remembering(slot.paying(self._backend))
            outcome = await self._run(prompt, slot.price, backend)
            # A verifier would have to score what it has scored again.
            while self._verifier is None and (lower := self._till.lower(slot)) is not None:
                outcome = longer(outcome, await self._run(prompt, lower, backend), slot.account)
            cost = max(outcome.cost or 0.0, slot.account.cost)
        finally:
            self._till.settle(slot, cost=cost)
        return outcome

    async def _run(self, prompt: Prompt, price: float, backend: Backend) -> Outcome:
        try:
            (outcome,) = await self._planner.arun(
                [prompt],
                price=price,
                max_per_prompt=self._max_per_prompt,
                one_shot=self._one_shot,
                backend=backend,
                verifier=self._verifier,
                extractor=self._extractor,
                limits=Limits(hold="worst"),
                driver="concurrent",
                seed=self._seed,
            )
        except InvalidBudgetError as error:
            if error.least is None:
                raise
        else:
            return outcome
        (plan,) = self._planner.plan([prompt], price=price, one_shot=self._one_shot, seed=self._seed)
        return replace(Outcome.of_nothing(plan), stop_reason="budget")
