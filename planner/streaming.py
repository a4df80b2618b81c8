"""Answer prompts as they arrive, on a budget per window of prompts or of time.

Each prompt gets a ticket with the price of the moment, is planned and run at it, and what it really cost
moves the price for those that follow (`policies.control.stream`). The state is one small file, written before
and after each prompt, so that a restart goes on where the last process was; one process at a time may use it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.prompt import Prompt, as_prompts
from planner.drivers import Limits
from planner.planner import Planner
from planner.ports.outcome import Outcome
from planner.ports.ports import AnswerExtractor, Backend, Verifier
from policies.control.stream import StreamControl, StreamState, Ticket

if TYPE_CHECKING:
    from policies.cost.budget import Unit

__all__ = ["Stream"]

_SCHEMA: Final = 1
_N_POINTS: Final = 40


class _Saved(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file of a stream; `stale` is reserved for what a dead process left in flight in `stale_window`."""

    stream: int
    unit: str
    clock: str
    state: dict[str, float]
    stale: float = 0.0
    stale_window: float = 0.0


class Stream:
    """A budget per window over prompts that arrive one at a time; make one with `open`.

    Parameters
    ----------
    planner : Planner
        Plans each prompt at the price of the moment.
    control : StreamControl
        Keeps the budget, in the unit of the planner's bundle.
    backend, verifier, extractor
        As in `Planner.run`.
    max_per_prompt : float
        The most that one prompt may cost, above 0.
    one_shot : bool
        Only courses that decide everything before the first sample.
    path : Path, optional
        File of the state.
    seed : int
        Seed of plans, samples and ties.
    now : callable
        Seconds that go on across restarts.
    """

    def __init__(
        self,
        planner: Planner,
        control: StreamControl,
        *,
        backend: Backend,
        max_per_prompt: float,
        one_shot: bool = False,
        verifier: Verifier | Mapping[str, Verifier] | None = None,
        extractor: AnswerExtractor | None = None,
        path: Path | None = None,
        seed: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._planner, self._control = planner, control
        self._backend, self._verifier, self._extractor = backend, verifier, extractor
        self._max_per_prompt, self._one_shot, self._seed = max_per_prompt, one_shot, seed
        self._path, self._now = path, now
        self._stale, self._stale_window = 0.0, 0.0

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
            What a window never exceeds, where the output of generators is capped; 1.02 × `limit` by default.
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
        if not max_per_prompt > 0:
            raise InvalidBudgetError(f"max_per_prompt must be above 0, got {max_per_prompt!r}")
        points = planner.frontier(typical, n_points=_N_POINTS, one_shot=one_shot)
        if len(points) < 2:
            raise InvalidInputError(
                "a stream needs typical prompts and at least two allocations to choose between; got "
                f"{len(points)} points of the frontier"
            )
        control = StreamControl(
            limit=limit,
            window=window,
            prices=[point.price for point in points],
            costs=[point.expected_cost for point in points],
            clock=clock,
            hard_cap=hard_cap,
        )
        stream = cls(
            planner,
            control,
            backend=backend,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            verifier=verifier,
            extractor=extractor,
            path=None if state is None else Path(state),
            seed=seed,
            now=now,
        )
        if stream._path is not None and stream._path.exists():
            stream._resume(stream._path)
        return stream

    @property
    def unit(self) -> Unit:
        """Unit of the budget."""
        return self._planner.bundle.unit  # type: ignore[return-value]

    @property
    def state(self) -> StreamState:
        """What has been spent and opened in the current window."""
        return self._control.state

    async def answer(self, prompt: Prompt | str) -> Outcome:
        """Answer one prompt; several may be in flight at a time.

        Where the window's hard cap leaves too little for even one sample, the outcome has no answer and the
        stop reason ``"budget"``.
        """
        (given,) = as_prompts([prompt])
        ticket = self._control.open(worst=self._max_per_prompt, now=self._now())
        self._release_stale()
        self._save()
        # Where a run does not come to its end, nobody knows what it has spent: the expected cost is booked.
        cost = ticket.expected
        try:
            outcome = await self._run(given, ticket)
            cost = outcome.cost or 0.0
        finally:
            self._control.settle(ticket, cost=cost)
            self._save()
        return outcome

    async def _run(self, prompt: Prompt, ticket: Ticket) -> Outcome:
        if ticket.allowance > 0:
            try:
                (outcome,) = await self._planner.arun(
                    [prompt],
                    price=ticket.price,
                    max_per_prompt=ticket.allowance,
                    one_shot=self._one_shot,
                    backend=self._backend,
                    verifier=self._verifier,
                    extractor=self._extractor,
                    limits=Limits(hold="worst"),
                    driver="concurrent",
                    seed=self._seed,
                )
                return outcome
            except InvalidBudgetError as error:
                if error.least is None:
                    raise
        (plan,) = self._planner.plan([prompt], price=ticket.price, one_shot=self._one_shot, seed=self._seed)
        return Outcome(
            prompt_id=prompt.id,
            allocation=plan.allocation,
            answer=None,
            text=None,
            candidates=(),
            selected=None,
            selected_by="none",
            expected_cost=plan.expected_cost,
            cost=0.0,
            stop_reason="budget",
        )

    def _save(self) -> None:
        """Write beside the file and move, so that a kill leaves the old state or the new one."""
        if self._path is None:
            return
        saved = _Saved(
            stream=_SCHEMA,
            unit=self.unit,
            clock=self._control.clock,
            state=self._control.saved(),
            stale=self._stale,
            stale_window=self._stale_window,
        )
        part = self._path.with_name(f".{os.getpid()}.{self._path.name}")
        part.write_bytes(msgspec.json.encode(saved))
        part.replace(self._path)

    def _resume(self, path: Path) -> None:
        """Take over a saved state; what was in flight is booked as expected, its rest stays reserved."""
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
        except msgspec.MsgspecError as error:
            raise InvalidInputError(
                f"{path} is not the state of a stream: {error}; take another path"
            ) from error
        ours = (_SCHEMA, self.unit, self._control.clock)
        if (saved.stream, saved.unit, saved.clock) != ours:
            raise InvalidInputError(
                f"{path} is the state of another stream: schema, unit and clock are {saved.stream}, "
                f"{saved.unit}, {saved.clock}, here {', '.join(map(str, ours))}; take another path"
            )
        control = self._control
        self._control = StreamControl.resumed(
            saved.state,
            limit=control.limit,
            window=control.window,
            prices=control.prices,
            costs=control.costs,
            clock=control.clock,
            hard_cap=control.hard_cap,
        )
        state = self._control.state
        state.spent += state.pending
        state.reserved = self._stale = max(state.reserved - state.pending, 0.0)
        state.pending, self._stale_window = 0.0, state.window_start

    def _release_stale(self) -> None:
        """Forget, in a new window, what a dead process may have spent in an old one."""
        state = self._control.state
        if self._stale and state.window_start != self._stale_window:
            state.reserved, self._stale = max(state.reserved - self._stale, 0.0), 0.0
