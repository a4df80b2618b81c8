"""One session of a collection: what is left, an estimate, shard after shard, and the log at the end.

Two files lie beside the log until it is complete: finished pieces (``OUT.collecting``), forced to disk shard
by shard, and answered requests of the shard in hand (``OUT.requests``). Drawing a shard is the worker's
affair: this process (`planner.collection.worker`), or Ray (`planner.collection.ray`).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError, require
from planner.answers.rule import AnswerRule
from planner.collection.collected import Collected, CollectProgress, OnCollect
from planner.collection.estimate import Estimate, estimate_from_guess, estimate_from_records
from planner.collection.file import CollectFile
from planner.collection.grade import GoldGrader
from planner.collection.plan import CollectPlan, Piece
from planner.collection.worker import CollectWorker, Wanted
from planner.drivers import Limits, Progress
from policies.cost.usage import Usage

_PROBE_PROMPTS: Final = 4


async def carry_out(
    plan: CollectPlan,
    out: str | os.PathLike[str],
    *,
    worker: CollectWorker,
    limits: Limits,
    partial: bool = False,
    tokens_per_sample: float | None = None,
    approve: Callable[[Estimate], bool] | None = None,
    progress: OnCollect | None = None,
) -> Collected:
    """Collect what is left of `plan` and write the log.

    Parameters
    ----------
    plan : CollectPlan
        What to collect.
    out, limits, partial, tokens_per_sample, approve, progress
        See `planner.collection.run.acollect`.
    worker : CollectWorker
        Draws the shards.

    Raises
    ------
    InvalidInputError
        When `out` is complete already, an unfinished collection has other settings, or an argument is wrong.
    BackendError
        When nothing comes any more; what came before is kept.
    """
    path = checked_path(out)
    _check_golds(plan)
    check_number("tokens_per_sample", tokens_per_sample, "above 0", optional=True)
    with CollectFile.open(working_path(path), plan) as file:
        session = _Session(plan, path, file, worker, limits, progress)
        declined = approve is not None and not await session.approved(approve, tokens_per_sample)
        if not declined:
            await session.draw(session.left())
        return session.finish(partial=partial, declined=declined)


def working_path(out: Path) -> Path:
    """Return the working file of the log `out`."""
    return out.with_name(out.name + ".collecting")


def checked_path(out: str | os.PathLike[str]) -> Path:
    """Return the path of a log that can be written and is not complete yet.

    Raises
    ------
    InvalidInputError
        When the name has another ending, the folder does not exist, or the log is complete.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    path = Path(out)
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
        raise InvalidInputError(f"the name must end in .jsonl, .jsonl.gz or .parquet, got {path.name!r}")
    if path.suffix == ".parquet":
        require("pyarrow", extra="parquet")
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"there is no folder {path.absolute().parent}; make it first")
    if path.exists() and not working_path(path).exists():
        raise InvalidInputError(f"{path} exists and is complete; take another output or remove it")
    return path


def _check_golds(plan: CollectPlan) -> None:
    """Refuse reference answers that no answer could equal."""
    rule = plan.extractor
    if not isinstance(rule, AnswerRule) or not isinstance(plan.grader, GoldGrader):
        return
    for prompt in plan.prompts:
        if prompt.gold is not None and rule.canonicalise(prompt.gold) is None:
            raise InvalidInputError(
                f"prompt {prompt.id!r}: the reference answer {prompt.gold!r} is not one that {rule} could "
                "find; mend it, or extract answers in another way"
            )


class _Session:
    """What the steps of one session share."""

    def __init__(
        self,
        plan: CollectPlan,
        path: Path,
        file: CollectFile,
        worker: CollectWorker,
        limits: Limits,
        progress: OnCollect | None,
    ) -> None:
        self._plan, self._path, self._file = plan, path, file
        self._worker, self._limits, self._progress = worker, limits, progress
        self._journal = path.with_name(path.name + ".requests")
        self._started = time.monotonic()
        self._before = file.usage
        self._lost = Usage()
        self._missing: Counter[str] = Counter()

    def left(self) -> list[Piece]:
        """Return the pieces that are not recorded."""
        done = self._file.done
        return [piece for piece in self._plan.pieces if piece.number not in done]

    async def approved(self, approve: Callable[[Estimate], bool], tokens_per_sample: float | None) -> bool:
        """Estimate what is left, from a guess or from a few pieces collected first, and ask."""
        if tokens_per_sample is not None:
            left = self.left()
            return not left or approve(
                estimate_from_guess(self._plan, left, tokens_per_sample=tokens_per_sample)
            )
        started = time.monotonic()
        done = self._file.done
        probe = [piece for piece in self._plan.probe(_PROBE_PROMPTS) if piece.number not in done]
        if probe and len(done) < len(self._plan.pieces):
            await self.draw(probe)
        left = self.left()
        if not left:
            return True
        probed = {piece.number for piece in probe} or done
        records = [record for record in self._file.records() if record.piece in probed]
        seconds = time.monotonic() - started if probe else None
        return approve(estimate_from_records(self._plan, left, records, seconds=seconds))

    async def draw(self, pieces: Sequence[Piece]) -> None:
        """Draw pieces, shard after shard, and record each shard as it ends."""
        size = self._worker.shard_size
        shards = [pieces[start : start + size] for start in range(0, len(pieces), size)]
        wanted = Wanted(self._plan, shards, self._limits_left, self._journal, self._report)
        async with aclosing(self._worker.draw(wanted)) as stream:
            async for result in stream:
                self._file.append(result.records)
                self._lost += result.lost
                self._missing += Counter(result.reasons)
                self._tell(len(self._file.done), self._file.usage + self._lost)

    def finish(self, *, partial: bool, declined: bool) -> Collected:
        """Write the log where it is complete, or as far as it is where that was asked for."""
        n_missing = len(self.left())
        log = None
        if self._file.done and (partial or not n_missing):
            log = self._file.log(self._plan, about={"collected": self._about(n_missing)})
            log.write(self._path)
            if not n_missing:
                self._journal.unlink(missing_ok=True)
                working_path(self._path).unlink()
        return Collected(
            path=self._path,
            log=log,
            n_pieces=len(self._plan.pieces),
            n_missing=n_missing,
            n_samples=self._file.n_samples,
            failures=dict(self._file.failures),
            missing=dict(self._missing) if n_missing else {},
            usage=self._file.usage + self._lost,
            seconds=time.monotonic() - self._started,
            declined=declined,
        )

    def _about(self, n_missing: int) -> dict[str, object]:
        """Return what the header says about the collection; interruptions leave no trace in it."""
        settings = self._plan.settings()
        about = {name: settings[name] for name in ("recordings", "extractor", "grader", "seed")}
        if self._plan.source:
            about["source"] = self._plan.source
        if self._file.failures:
            about["failures"] = dict(sorted(self._file.failures.items()))
        if n_missing:
            about["n_missing"] = n_missing
        return about

    def _limits_left(self) -> Limits | None:
        """Return the caps less what is spent, or None where one is reached."""
        limits, spent = self._limits, self._file.usage + self._lost
        for name, used in (
            ("max_samples", int(spent.samples)),
            ("max_output_tokens", int(spent.output_tokens)),
            ("max_seconds", time.monotonic() - self._started),
        ):
            cap = getattr(limits, name)
            if cap is not None and used >= cap:
                self._missing["time" if name == "max_seconds" else "limit"] += 1
                return None
            limits = limits if cap is None else replace(limits, **{name: cap - used})
        return limits

    def _report(self, progress: Progress) -> None:
        """Take a driver's report on the shard in hand."""
        self._tell(len(self._file.done) + progress.n_done, self._file.usage + self._lost + progress.spent)

    def _tell(self, n_done: int, spent: Usage) -> None:
        if self._progress is None:
            return
        usage = spent - self._before
        self._progress(
            CollectProgress(
                n_done=n_done,
                n_pieces=len(self._plan.pieces),
                n_failures=int(usage.failed_requests),
                usage=usage,
                seconds=time.monotonic() - self._started,
            )
        )
