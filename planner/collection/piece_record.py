"""Turn what came of a piece of a collection into its record: samples, attempts of chains, or a whole search.

It assumes an outcome that came to an end. Samples that failed for good are counted and left out; scores are
left to `planner.collection.scoring`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from difficulty.log.wire import SampleWire
from planner.collection.file import PieceRecord
from planner.collection.journal import JournaledBackend, JournaledVerifier
from planner.collection.plan import CollectPlan, Piece, Recording
from planner.ports.outcome import Candidate, Outcome
from planner.strategies.task import Task

_CAME: Final = ("ok", "truncated")


def record_of(
    plan: CollectPlan,
    piece: Piece,
    task: Task,
    outcome: Outcome,
    drawing: JournaledBackend,
    scoring: JournaledVerifier | None,
) -> PieceRecord:
    """Return the graded record of one piece, without scores of samples.

    Parameters
    ----------
    plan : CollectPlan
        What it is a piece of.
    piece, task, outcome
        What was wanted, how it was asked for, and what came.
    drawing, scoring
        What was read and scored on the way: lengths of prompts, and scores of steps.
    """
    recording = plan.recordings[piece.recording]
    key = (task.prompt.id, task.generator.name)

    def tokens(indices: Iterable[int]) -> int | None:
        """Return the length of the prompt of samples that saw the same one."""
        return (
            max((drawing.prompt_tokens.get((*key, task.first_seed + i), 0) for i in indices), default=0)
            or None
        )

    if recording.is_search:
        samples, length = [_run(plan, task, outcome, scoring)], None
    elif recording.strategy is None:
        samples, length = (
            [_sample(plan, task, one) for one in kept(recording, outcome)],
            tokens(range(recording.width)),
        )
    else:
        width, length = recording.width, tokens(range(recording.width))
        samples = [
            replace(
                _sample(plan, task, one),
                chain=one.chain,
                step=one.step,
                prompt_tokens=length if one.step == 0 else tokens([one.step * width + one.chain]),
            )
            for one in kept(recording, outcome)
        ]
    return PieceRecord(
        piece=piece.number,
        samples=samples,
        prompt_tokens=length,
        failures=dict(Counter(error.kind for error in outcome.errors)),
        usage=outcome.usage,
    )


def kept(recording: Recording, outcome: Outcome) -> list[Candidate]:
    """Return the samples that came, or the attempts of each chain up to the first one that failed."""
    if recording.strategy is None:
        return [one for one in outcome.candidates if one.status in _CAME]
    chains: dict[int, list[Candidate]] = {}
    broken: set[int] = set()
    for one in sorted(outcome.candidates, key=lambda one: (one.chain, one.step)):
        if one.status not in _CAME:
            broken.add(one.chain)
        if one.chain not in broken:
            chains.setdefault(one.chain, []).append(one)
    return [one for chain in chains.values() for one in chain]


def _sample(plan: CollectPlan, task: Task, one: Candidate) -> SampleWire:
    return SampleWire(
        answer=one.answer,
        correct=plan.grader.grade(task.prompt, one.answer),
        output_tokens=one.output_tokens,
        mean_logprob=one.mean_logprob,
        finish="length" if one.status == "truncated" else "stop",
        text=one.text if plan.texts else None,
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
