"""Draw the shards of a collection on Ray: each actor holds a backend, each task is a shard of the same log.

Ray starts the actors, restarts those that die and runs the shard of a dead one again; the session in this
process alone writes the log, so that no shared folder is needed. What was answered within a lost shard is
paid again: workers keep no journal of requests. Caps are kept between shards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, final

from difficulty.arguments import check_number, check_whole
from difficulty.errors import BackendError, InvalidInputError, PlannerError, require
from planner.collection.plan import CollectPlan, Piece
from planner.collection.shard import ShardResult, draw_shard
from planner.collection.worker import Wanted
from planner.drivers import Limits
from planner.drivers.session import DriverName
from planner.ports.ports import Backend, Verifier

# A shard that brings its worker down this often would do so for ever.
_MAX_RESTARTS: Final = 4


class _Failed(NamedTuple):
    """An error of ours on a worker, in a form that survives the way back."""

    bad_input: bool
    message: str


class _Drawer:
    """What an actor holds: the plan, and a backend and a verifier that are opened where it runs."""

    def __init__(
        self,
        plan: CollectPlan,
        open_backend: Callable[[], Backend],
        open_verifier: Callable[[], Verifier] | None,
        driver: DriverName,
    ) -> None:
        self._plan, self._driver = plan, driver
        self._open_backend, self._open_verifier = open_backend, open_verifier
        self._opened: tuple[Backend, Verifier | None] | None = None

    def draw(self, shard: Sequence[Piece], limits: Limits) -> ShardResult | _Failed:
        """Return the result of one shard, or the error that ended it."""
        try:
            if self._opened is None:
                verifier = None if self._open_verifier is None else self._open_verifier()
                self._opened = self._open_backend(), verifier
            backend, verifier = self._opened
            return asyncio.run(
                draw_shard(
                    self._plan, shard, backend=backend, verifier=verifier, limits=limits, driver=self._driver
                )
            )
        except PlannerError as error:
            return _Failed(isinstance(error, (InvalidInputError, ImportError)), str(error))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RayWorker:
    """Draws shards on Ray; implements `planner.collection.worker.CollectWorker`.

    Parameters
    ----------
    open_backend : callable
        Opens the backend on the worker; picklable, e.g. `BackendSpec.open`.
    open_verifier : callable, optional
        Likewise for the verifier.
    driver : {"concurrent", "lockstep"}
        How requests are sent on each worker.
    n_workers : int
        Actors, at least 1.
    gpus_per_worker : float
        GPUs that each actor holds.
    shard_size : int
        Pieces per task: what is lost with a worker, at least 1.
    address : str, optional
        Of a running cluster; by default the one that Ray finds, else a cluster on this machine.

    Raises
    ------
    InvalidInputError
        When a number is out of range.

    Examples
    --------
    ``RayWorker(open_backend=BackendSpec(kind="vllm", model="…").open, n_workers=8, gpus_per_worker=1)``
    """

    open_backend: Callable[[], Backend]
    open_verifier: Callable[[], Verifier] | None = None
    driver: DriverName = "concurrent"
    n_workers: int = 1
    gpus_per_worker: float = 0.0
    shard_size: int = 64
    address: str | None = None

    def __post_init__(self) -> None:
        check_whole("n_workers", self.n_workers, least=1)
        check_whole("shard_size", self.shard_size, least=1)
        check_number("gpus_per_worker", self.gpus_per_worker, ">= 0")

    async def draw(self, wanted: Wanted) -> AsyncGenerator[ShardResult, None]:
        """Yield the result of each shard as it ends; progress is seen shard by shard.

        Raises
        ------
        MissingDependencyError
            When Ray is not installed.
        BackendError
            When a worker's backend fails for good, or a shard brings down one worker after another.
        """
        plan, shards, limits, _, _ = wanted
        if not shards:
            return
        ray = require("ray", extra="ray")
        shared, actors = self._start(ray, plan, n=min(self.n_workers, len(shards)))
        try:
            waiting = list(reversed(shards))
            idle, running = list(actors), {}
            while True:
                while idle and waiting:
                    left = limits()
                    if left is None:
                        waiting.clear()
                        break
                    actor = idle.pop()
                    # Prices are functions of this process and cap nothing here.
                    running[actor.draw.remote(waiting.pop(), replace(left, price=None))] = actor
                if not running:
                    return
                (ready,), _ = await asyncio.to_thread(ray.wait, list(running), num_returns=1)
                idle.append(running.pop(ready))
                yield _unpacked(ray, ready)
        finally:
            for actor in actors:
                ray.kill(actor)
            del shared  # held until here: a worker that is started again asks for the plan

    def _start(self, ray: Any, plan: CollectPlan, *, n: int) -> tuple[Any, list[Any]]:
        """Start the actors, and Ray where it does not run yet; return the plan's reference, too."""
        if not ray.is_initialized():
            ray.init(address=self.address, include_dashboard=False, log_to_driver=False)
        kind = ray.remote(max_restarts=_MAX_RESTARTS, max_task_retries=_MAX_RESTARTS)(_Drawer)
        shared = ray.put(plan)
        options = {"num_gpus": self.gpus_per_worker} if self.gpus_per_worker else {"num_cpus": 1}
        return shared, [
            kind.options(**options).remote(shared, self.open_backend, self.open_verifier, self.driver)
            for _ in range(n)
        ]


def _unpacked(ray: Any, ready: Any) -> ShardResult:
    """Return a shard's result, or raise what ended it."""
    try:
        result: ShardResult | _Failed = ray.get(ready)
    except ray.exceptions.RayActorError as error:
        raise BackendError(
            f"a shard brought its worker down {_MAX_RESTARTS + 1} times; finished shards are kept: mend the "
            f"cause and start again ({error})"
        ) from error
    if isinstance(result, _Failed):
        if result.bad_input:
            raise InvalidInputError(result.message)
        raise BackendError(result.message)
    return result
