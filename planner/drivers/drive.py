"""Run tasks to their outcomes, by either driver.

It opens the desk of a run and closes it with the outcomes, so that books, caps and order are the same whoever
sends. How requests are sent is left to `planner.drivers.lockstep` and `planner.drivers.asynchronous`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from difficulty.prompt import Prompt
from planner.drivers.asynchronous import send_as_they_come
from planner.drivers.desk import Clock, Desk
from planner.drivers.lengths import Counting
from planner.drivers.limits import Limits
from planner.drivers.lockstep import send_in_rounds
from planner.drivers.run_log import RunLog
from planner.drivers.session import DriverName, OnProgress
from planner.drivers.turns import Turns
from planner.ports.outcome import Outcome
from planner.ports.ports import Backend, Verifier
from planner.strategies.task import Task

_NO_LIMITS: Final = Limits()


async def drive(
    tasks: Sequence[Task],
    *,
    driver: DriverName,
    backend: Backend,
    verifiers: Mapping[str, Verifier] | None = None,
    limits: Limits = _NO_LIMITS,
    run_log: RunLog | None = None,
    progress: OnProgress | None = None,
    clock: Clock = time.monotonic,
    turns: Turns | None = None,
    prompt_tokens: Callable[[Prompt, str], float | None] | None = None,
) -> list[Outcome]:
    """Run every task and return the outcomes in the order of `tasks`.

    Parameters
    ----------
    tasks : sequence of Task
        Prompts and their allocations.
    driver : {"lockstep", "concurrent"}
        One backend call per round for all prompts (batch engines), or requests as they come (servers).
    backend : Backend
        Draws samples.
    verifiers : mapping of str to Verifier, optional
        Verifiers by the name that strategies ask for; ``"score"`` is the default name.
    limits : Limits
        Hard caps on the run and on each prompt.
    run_log : RunLog, optional
        Where to record; a resumed log gives what was paid for earlier.
    progress : callable, optional
        Called after each outcome.
    clock : callable
        Monotonic seconds.
    turns : Turns, optional
        Which prompts are opened next, and with which tasks; by default all as given, in order.
    prompt_tokens : callable, optional
        Tokens of prompts that do not say theirs, by generator, where a log tells what such prompts come to.

    Raises
    ------
    InvalidInputError
        When a strategy's parameters are wrong or a verifier is missing; nothing has been spent then.
    """
    verifiers = verifiers or {}
    desk = Desk(
        tasks,
        verifiers=verifiers,
        limits=limits,
        run_log=run_log,
        progress=progress,
        clock=clock,
        turns=turns,
        counting=Counting(exact=getattr(backend, "prompt_tokens", None), fitted=prompt_tokens),
    )
    if driver == "lockstep":
        await send_in_rounds(desk, backend, verifiers)
    else:
        at_once = min(limits.max_concurrency, len(tasks))
        await send_as_they_come(
            desk, backend, verifiers, max_concurrency=limits.max_concurrency, n_workers=at_once
        )
    return desk.outcomes()
