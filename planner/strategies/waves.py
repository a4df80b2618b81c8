"""Draw independent samples in waves, and score them where a verifier is named.

The vote and the best-of-N family share this part; what they select is theirs. The task says how large a wave
is; draws that end early are climbs (`planner.strategies.climb`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import ScoreRequest
from planner.strategies.flow import Failure, Flow, draw, score
from planner.strategies.selection import Selected
from planner.strategies.task import Task
from policies.verifier.learned_verifier import LEARNED

__all__ = ["conclude", "draw_in_waves", "score_candidates"]


def draw_in_waves(task: Task, *, verifier: str | None) -> Flow[list[Candidate]]:
    """Draw up to ``allocation.width`` samples in waves of the size that the task asks for.

    Parameters
    ----------
    task : Task
        The prompt and its allocation.
    verifier : str, optional
        Score each wave with the verifier of this name.
    """
    candidates: list[Candidate] = []
    while size := task.next_wave(len(candidates)):
        (replies,) = yield from draw((task.request(n=size, offset=len(candidates)),))
        wave = [task.candidate(reply) for reply in replies]
        if verifier == LEARNED:
            # Its score of a sample depends on all that were drawn, earlier waves included.
            candidates = yield from score_candidates(task, [*candidates, *wave], verifier=verifier)
        elif verifier is not None:
            candidates += yield from score_candidates(task, wave, verifier=verifier)
        else:
            candidates += wave
        if any(isinstance(reply, Failure) and reply.refused for reply in replies):
            break
    return candidates


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
        stop_reason="satisfied" if satisfied else "failed" if failed or not candidates else "complete",
    )
