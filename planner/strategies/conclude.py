"""What flows share at their ends: scores of candidates, and the outcome.

Abstaining candidates are never scored. Usage, costs and errors are added to an outcome by the drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import ScoreRequest
from planner.strategies.flow import Flow, score
from planner.strategies.selection import Selected
from planner.strategies.task import Task


def score_candidates(
    task: Task, candidates: Sequence[Candidate], *, verifier: str, generator: str = ""
) -> Flow[list[Candidate]]:
    """Return the candidates with their scores; abstaining ones are not sent to the verifier.

    Parameters
    ----------
    task, candidates, verifier
        Whose candidates, all of one generator, and the name of the verifier.
    generator : str
        Name of that generator where it is not the task's, for strategies that escalate.
    """
    voting = [index for index, candidate in enumerate(candidates) if candidate.answer is not None]
    request = ScoreRequest(
        prompt=task.prompt,
        completions=tuple(candidates[index].steps or (candidates[index].text,) for index in voting),
        mean_logprobs=tuple(candidates[index].mean_logprob for index in voting),
        output_tokens=tuple(candidates[index].output_tokens for index in voting),
        verifier=verifier,
        generator=generator or task.generator.name,
        answers=tuple(candidates[index].answer for index in voting),
    )
    scores = yield from score(request)
    result = list(candidates)
    for index, value in zip(voting, scores, strict=True):
        result[index] = replace(result[index], score=value)
    return result


def conclude(
    task: Task, candidates: Sequence[Candidate], choice: Selected, *, satisfied: bool = False
) -> Outcome:
    """Return the outcome of a strategy; the driver adds usage, costs and errors."""
    chosen = None if choice.position is None else candidates[choice.position]
    failed = bool(candidates) and all(candidate.status in ("failed", "cancelled") for candidate in candidates)
    return Outcome(
        prompt_id=task.prompt.id,
        allocation=task.allocation,
        answer=None if chosen is None else chosen.answer,
        text=None if chosen is None else chosen.text,
        candidates=tuple(candidates),
        selected=choice.position,
        selected_by="none" if choice.position is None else choice.rule,
        expected_usage=task.expected_usage,
        expected_cost=task.expected_cost,
        stop_reason="failed" if failed or not candidates else "satisfied" if satisfied else "complete",
    )
