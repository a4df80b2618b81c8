"""Score the samples and attempts of a collection's records by its verifier.

It assumes the records of `planner.collection.piece_record` and the outcomes that they came from. Where the
verifier fails, records stay without scores and count the failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from difficulty.errors import VerifierError
from planner.collection.file import PieceRecord
from planner.collection.journal import JournaledVerifier
from planner.collection.piece_record import kept
from planner.collection.plan import CollectPlan, Piece
from planner.ports.outcome import Outcome
from planner.ports.ports import ScoreRequest, Scores
from planner.strategies.task import Task
from policies.cost.usage import Usage

_SCORED_AT_ONCE = 64


async def scored(
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
            whole = kept(recording, outcome)
            requests[record.piece] = ScoreRequest(
                prompt=task.prompt,
                completions=tuple((one.text,) for one in whole),
                mean_logprobs=tuple(one.mean_logprob for one in whole),
                output_tokens=tuple(one.output_tokens for one in whole),
            )
    numbers = list(requests)
    scores: dict[int, Scores | VerifierError] = {}
    for start in range(0, len(numbers), _SCORED_AT_ONCE):
        batch = numbers[start : start + _SCORED_AT_ONCE]
        try:
            rows = await verifier.score([requests[number] for number in batch])
            scores |= dict(zip(batch, rows, strict=True))
        except VerifierError:
            for number in batch:
                scores[number] = await _score_one(verifier, requests[number])
    return [_with_scores(record, scores.get(record.piece)) for record in drafts]


async def _score_one(verifier: JournaledVerifier, request: ScoreRequest) -> Scores | VerifierError:
    try:
        return (await verifier.score([request]))[0]
    except VerifierError as error:
        return error


def _fits(scores: Scores, n: int) -> bool:
    """Tell whether a reply is about `n` samples in all that it says."""
    return (
        len(scores) == n
        and len(scores.steps) in (0, n)
        and len(scores.tokens_each) in (0, n)
        and min(scores.tokens_each, default=0) >= 0
    )


def _with_scores(record: PieceRecord, scores: Scores | VerifierError | None) -> PieceRecord:
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
