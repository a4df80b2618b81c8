"""Draw independent samples in waves, and score them where a verifier is named.

The vote and the best-of-N family share this part; what they select is theirs. The task's stop rule says how
large each wave is and when to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import ScoreRequest
from planner.strategies.flow import Failure, Flow, draw, score
from planner.strategies.selection import Choice
from planner.strategies.stop import DrawState
from planner.strategies.task import Task
from policies.verifier.learned_verifier import LEARNED

__all__ = ["Waves", "conclude", "draw_in_waves", "score_candidates", "state_of"]


class Waves(NamedTuple):
    """Candidates in sample order, and whether the stop rule ended the draw before the width was used."""

    candidates: tuple[Candidate, ...]
    satisfied: bool


def draw_in_waves(task: Task, *, verifier: str | None) -> Flow[Waves]:
    """Draw up to ``allocation.width`` samples in the waves that the stop rule asks for.

    Parameters
    ----------
    task : Task
        The prompt and its allocation.
    verifier : str, optional
        Score each wave with the verifier of this name.
    """
    width = task.allocation.width
    candidates: list[Candidate] = []
    while len(candidates) < width:
        state = state_of(task, candidates)
        size = min(task.stop_rule.decide(state), state.n_left)
        if size <= 0:
            return Waves(tuple(candidates), True)
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
    return Waves(tuple(candidates), False)


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


def state_of(task: Task, candidates: Sequence[Candidate]) -> DrawState:
    """Return what a stop rule may look at."""
    return DrawState(
        prompt_id=task.prompt.id,
        width=task.allocation.width,
        answers=tuple(candidate.answer for candidate in candidates),
        scores=tuple(candidate.score for candidate in candidates),
        mean_logprobs=tuple(candidate.mean_logprob for candidate in candidates),
        output_tokens=tuple(candidate.output_tokens for candidate in candidates),
        n_failed=sum(candidate.status == "failed" for candidate in candidates),
    )


def conclude(
    task: Task, candidates: Sequence[Candidate], choice: Choice, *, satisfied: bool = False
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
