"""Draw some pieces of a collection: the same work in this process and on a Ray worker.

It assumes a plan, a backend and (where scores are wanted) a verifier, and returns one record per piece that
came to an end, graded in `planner.collection.piece_record` and scored in `planner.collection.scoring`. Which
pieces, in what order and where records go is left to `planner.collection.run` and `planner.collection.ray`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from difficulty.errors import BackendError
from planner.collection.file import PieceRecord
from planner.collection.journal import JournaledBackend, JournaledVerifier
from planner.collection.piece_record import record_of
from planner.collection.plan import CollectPlan, Piece
from planner.collection.scoring import scored
from planner.drivers import Limits, Progress, RunLog, drive
from planner.drivers.session import DriverName, OnProgress
from planner.ports.ports import Backend, Verifier
from planner.verifiers.mean_logprob import MeanLogprob
from policies.cost.usage import Usage

# This many prompts in a row without a single sample are an outage, not bad luck.
_OUTAGE = 24
_UNFINISHED = ("budget", "limit", "time", "failed")


class ShardResult(NamedTuple):
    """Records of finished pieces; numbers of unfinished ones, and why, by kind of error or cap."""

    records: list[PieceRecord]
    unfinished: tuple[int, ...]
    reasons: dict[str, int]
    lost: Usage


async def draw_shard(
    plan: CollectPlan,
    pieces: Sequence[Piece],
    *,
    backend: Backend,
    verifier: Verifier | None = None,
    limits: Limits,
    driver: DriverName = "concurrent",
    journal: RunLog | None = None,
    progress: OnProgress | None = None,
) -> ShardResult:
    """Draw pieces and return their records.

    Parameters
    ----------
    plan : CollectPlan
        What they are pieces of.
    pieces : sequence of Piece
        What to draw.
    backend : Backend
        Draws.
    verifier : Verifier, optional
        Scores samples, and serves the searches that ask for one.
    limits : Limits
        Hard caps on this shard.
    driver : {"lockstep", "concurrent"}
        One call per round for all pieces (engines in this process), or requests as they come (servers).
    journal : RunLog, optional
        What earlier sessions drew, and where this one records.
    progress : callable, optional
        Called after each piece.

    Returns
    -------
    ShardResult
        A piece of which nothing came, or that a cap stopped, is unfinished; a piece of which some samples
        failed for good is finished, and its record says so.

    Raises
    ------
    BackendError
        When nothing came for many pieces in a row: an outage.
    """
    drawing = JournaledBackend(backend, journal)
    scoring = None if verifier is None else JournaledVerifier(verifier, journal)
    tasks = [plan.task(piece) for piece in pieces]
    outcomes = await drive(
        tasks,
        driver=driver,
        backend=drawing,
        verifiers={"mean_logprob": MeanLogprob()} | ({} if scoring is None else {"score": scoring}),
        limits=limits,
        progress=_Watch(progress),
    )
    unfinished = [outcome for outcome in outcomes if outcome.stop_reason in _UNFINISHED]
    reasons = Counter(error.kind for outcome in unfinished for error in outcome.errors)
    reasons.update(outcome.stop_reason for outcome in unfinished if outcome.stop_reason != "failed")
    finished = [
        (piece, task, outcome)
        for piece, task, outcome in zip(pieces, tasks, outcomes, strict=True)
        if outcome.stop_reason not in _UNFINISHED
    ]
    drafts = await asyncio.to_thread(
        lambda: [record_of(plan, piece, task, outcome, drawing, scoring) for piece, task, outcome in finished]
    )
    if scoring is not None:
        drafts = await scored(plan, finished, drafts, scoring)
    numbers = {record.piece for record in drafts}
    lost = sum((outcome.usage for outcome in unfinished), Usage())
    left = tuple(piece.number for piece in pieces if piece.number not in numbers)
    return ShardResult(drafts, left, dict(reasons), lost)


class _Watch:
    """Passes progress on and notices an outage."""

    def __init__(self, progress: OnProgress | None) -> None:
        self._progress = progress
        self._in_a_row = 0
        self._any_came = False

    def __call__(self, progress: Progress) -> None:
        failed = progress.outcome.stop_reason == "failed"
        self._any_came = self._any_came or not failed
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if self._progress is not None:
            self._progress(progress)
        errors = progress.outcome.errors
        # Where others came, a row of refusals is a row of unusual prompts; timeouts and the like are not.
        refused = bool(errors) and errors[-1].kind != "RetryableBackendError"
        if self._in_a_row >= _OUTAGE and not (refused and self._any_came):
            reason = f"{errors[-1].kind}: {errors[-1].reason}" if errors else "no reason was given"
            raise BackendError(
                f"nothing came for {self._in_a_row} prompts in a row, the last time for this reason: "
                f"{reason}; what came before is kept: mend the cause and start the same collection again"
            )
