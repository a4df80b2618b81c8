"""Draw, score and grade some pieces of a collection: the same work in this process and on a Ray worker.

It assumes a plan, a backend and (where scores are wanted) a verifier, and returns one record per piece that
came to an end. Which pieces, in what order and where records go is left to `planner.collection.run` and
`planner.collection.ray`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from difficulty.errors import BackendError, VerifierError
from difficulty.log.wire import SampleWire
from planner.collection.file import PieceRecord
from planner.collection.journal import JournaledBackend, JournaledVerifier
from planner.collection.plan import CollectPlan, Piece
from planner.drivers import Limits, Progress, RunLog, run_concurrently, run_lockstep
from planner.drivers.session import DriverName, OnProgress
from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import Backend, ScoreRequest, Verifier
from planner.strategies.task import Task
from planner.verifiers.mean_logprob import MeanLogprob
from planner.verifiers.step_scores import StepScores
from policies.cost.usage import Usage

__all__ = ["ShardResult", "draw_shard"]

# This many prompts in a row without a single sample are an outage, not bad luck.
_OUTAGE = 24
_UNFINISHED = ("budget", "limit", "time", "failed")
_SCORED_AT_ONCE = 64


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
    drive = run_lockstep if driver == "lockstep" else run_concurrently
    outcomes = await drive(
        tasks,
        backend=drawing,
        verifiers={"mean_logprob": MeanLogprob()} | ({} if scoring is None else {"score": scoring}),
        limits=limits,
        progress=_Watch(progress),
    )
    counts = Counter(
        error.kind for outcome in outcomes for error in outcome.errors if outcome.stop_reason in _UNFINISHED
    )
    for outcome in outcomes:
        if outcome.stop_reason in ("budget", "limit", "time"):
            counts[outcome.stop_reason] += 1
    finished = [
        (piece, task, outcome)
        for piece, task, outcome in zip(pieces, tasks, outcomes, strict=True)
        if outcome.stop_reason not in _UNFINISHED
    ]
    drafts = await asyncio.to_thread(
        lambda: [_draft(plan, piece, task, outcome, drawing, scoring) for piece, task, outcome in finished]
    )
    if scoring is not None:
        drafts = await _score(plan, finished, drafts, scoring)
    numbers = {record.piece for record in drafts}
    lost = sum((outcome.usage for outcome in outcomes if outcome.stop_reason in _UNFINISHED), Usage())
    left = tuple(piece.number for piece in pieces if piece.number not in numbers)
    return ShardResult(drafts, left, dict(counts), lost)


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


def _draft(
    plan: CollectPlan,
    piece: Piece,
    task: Task,
    outcome: Outcome,
    drawing: JournaledBackend,
    scoring: JournaledVerifier | None,
) -> PieceRecord:
    """Return the graded record of one piece, without scores of samples."""
    recording = plan.recordings[piece.recording]
    failures = dict(Counter(error.kind for error in outcome.errors))
    key = (task.prompt.id, task.generator.name)

    def tokens(indices: Iterable[int]) -> int | None:
        """Return the length of the prompt of samples that saw the same one."""
        return (
            max((drawing.prompt_tokens.get((*key, task.first_seed + i), 0) for i in indices), default=0)
            or None
        )

    if recording.strategy is None:
        candidates = [one for one in outcome.candidates if one.status in ("ok", "truncated")]
        samples = [_sample(plan, task, one) for one in candidates]
        length = tokens(range(recording.width))
    elif not recording.is_search:
        attempts = _whole_chains(outcome.candidates)
        width, length = recording.width, tokens(range(recording.width))
        samples = [
            _sample(
                plan,
                task,
                one,
                chain=one.chain,
                step=one.step,
                prompt_tokens=length if one.step == 0 else tokens([one.step * width + one.chain]),
            )
            for one in attempts
        ]
    else:
        samples, length = [_run(plan, task, outcome, scoring)], None
    return PieceRecord(
        piece=piece.number,
        samples=samples,
        prompt_tokens=length,
        failures=failures,
        usage=outcome.usage,
    )


def _sample(
    plan: CollectPlan,
    task: Task,
    one: Candidate,
    *,
    chain: int | None = None,
    step: int | None = None,
    prompt_tokens: int | None = None,
) -> SampleWire:
    return SampleWire(
        answer=one.answer,
        correct=plan.grader.grade(task.prompt, one.answer),
        output_tokens=one.output_tokens,
        prompt_tokens=prompt_tokens,
        mean_logprob=one.mean_logprob,
        finish="length" if one.status == "truncated" else "stop",
        text=one.text if plan.texts else None,
        chain=chain,
        step=step,
    )


def _run(plan: CollectPlan, task: Task, outcome: Outcome, scoring: JournaledVerifier | None) -> SampleWire:
    """Return one complete run of a search as a sample: its answer, and all that it cost."""
    chosen = None if outcome.selected is None else outcome.candidates[outcome.selected]
    step_scores = None
    # The same text may have been scored for another search; only what led this one is its own.
    if (
        chosen is not None
        and scoring is not None
        and task.allocation.parameters.get("verifier", "score") == "score"
    ):
        step_scores = scoring.step_scores.get((task.prompt.id, chosen.steps))
    return SampleWire(
        answer=outcome.answer,
        correct=plan.grader.grade(task.prompt, outcome.answer),
        output_tokens=int(outcome.usage.output_tokens),
        prompt_tokens=int(outcome.usage.prompt_tokens) or None,
        score=None if chosen is None else chosen.score,
        finish="stop" if chosen is not None else "length",
        text=outcome.text if plan.texts else None,
        step_scores=step_scores,
        # A verifier that does not count its tokens is not one that reads nothing.
        verifier_tokens=int(outcome.usage.verifier_tokens) or None,
    )


def _whole_chains(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the attempts of each chain, up to the first one that failed."""
    chains: dict[int, list[Candidate]] = {}
    broken: set[int] = set()
    for one in sorted(candidates, key=lambda one: (one.chain, one.step)):
        if one.status not in ("ok", "truncated"):
            broken.add(one.chain)
        if one.chain not in broken:
            chains.setdefault(one.chain, []).append(one)
    return [one for chain in chains.values() for one in chain]


async def _score(
    plan: CollectPlan,
    finished: Sequence[tuple[Piece, Task, Outcome]],
    drafts: Sequence[PieceRecord],
    verifier: JournaledVerifier,
) -> list[PieceRecord]:
    """Return records whose samples and attempts carry the verifier's scores."""
    requests: dict[int, ScoreRequest] = {}
    for (piece, task, outcome), record in zip(finished, drafts, strict=True):
        recording = plan.recordings[piece.recording]
        if not recording.is_search and record.samples:
            whole = (
                [one for one in outcome.candidates if one.status in ("ok", "truncated")]
                if recording.strategy is None
                else _whole_chains(outcome.candidates)
            )
            requests[record.piece] = ScoreRequest(
                prompt=task.prompt,
                completions=tuple((one.text,) for one in whole),
                mean_logprobs=tuple(one.mean_logprob for one in whole),
                output_tokens=tuple(one.output_tokens for one in whole),
            )
    numbers = list(requests)
    scores: dict[int, StepScores | VerifierError] = {}
    for start in range(0, len(numbers), _SCORED_AT_ONCE):
        batch = numbers[start : start + _SCORED_AT_ONCE]
        try:
            rows = await verifier.score([requests[number] for number in batch])
            scores |= dict(zip(batch, rows, strict=True))
        except VerifierError:
            for number in batch:
                scores[number] = await _score_one(verifier, requests[number])
    return [_scored(record, scores.get(record.piece)) for record in drafts]


async def _score_one(verifier: JournaledVerifier, request: ScoreRequest) -> StepScores | VerifierError:
    try:
        return (await verifier.score([request]))[0]
    except VerifierError as error:
        return error


def _fits(scores: StepScores, n: int) -> bool:
    """Tell whether a reply is about `n` samples in all that it says."""
    return (
        len(scores) == n
        and len(scores.steps) in (0, n)
        and len(scores.tokens_each) in (0, n)
        and min(scores.tokens_each, default=0) >= 0
    )


def _scored(record: PieceRecord, scores: StepScores | VerifierError | None) -> PieceRecord:
    if scores is None:
        return record
    if isinstance(scores, VerifierError) or not _fits(scores, len(record.samples)):
        n_failed = record.failures.get("VerifierError", 0) + 1
        return replace(record, failures={**record.failures, "VerifierError": n_failed})
    nothing = (None,) * len(scores)
    columns = zip(scores, scores.steps or nothing, scores.tokens_each or nothing, strict=True)
    return replace(
        record,
        samples=[
            replace(sample, score=score, step_scores=steps, verifier_tokens=tokens)
            for sample, (score, steps, tokens) in zip(record.samples, columns, strict=True)
        ],
        usage=record.usage + Usage(verifier_tokens=scores.verifier_tokens),
    )
