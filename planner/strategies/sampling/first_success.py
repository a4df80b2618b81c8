"""Draw until a checker accepts a sample.

Each sample is checked as soon as it arrives; with the first success the flow ends and the driver cancels what
is still in flight. It assumes a checker that accepts correct answers only, so that its accuracy is the
coverage (pass@N).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import Completion, ScoreRequest
from planner.strategies.flow import Ask, Failure, Flow, Scored
from planner.strategies.selection import Selected, select_by_vote
from planner.strategies.task import Task
from planner.strategies.waves import conclude

__all__ = ["FirstSuccess"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstSuccess:
    """Draw up to `width` samples in waves until one is accepted.

    Parameters
    ----------
    verifier : str
        Name of the checker.
    threshold : float
        Least score that counts as success.
    fallback : {"none", "majority_vote"}
        What to answer when nothing is accepted: nothing, or the most frequent answer.
    """

    verifier: str = "score"
    threshold: float = 0.5
    fallback: Literal["none", "majority_vote"] = "none"

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,)

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        candidates: list[Candidate] = []
        refused = False
        while (size := task.next_wave(len(candidates))) and not refused:
            wave, refused = yield from self._wave(task, offset=len(candidates), size=size)
            candidates += wave
            if any(self._accepted(candidate) for candidate in wave):
                break
        return self._end(task, candidates)

    def _wave(self, task: Task, *, offset: int, size: int) -> Flow[tuple[list[Candidate], bool]]:
        """Draw and check one wave; it ends with the first success, or when all are checked."""
        wave: dict[int, Candidate] = {}
        checks: dict[Ask, int] = {}
        refused = False
        n_open = size
        new: tuple[Ask, ...] = (Ask(task.request(n=size, offset=offset), one_by_one=True),)
        while n_open:
            arrivals = yield new
            checking: list[Ask] = []
            for arrival in arrivals:
                if isinstance(arrival, Scored):
                    index = checks[arrival.ask]
                    n_open -= 1
                    if isinstance(arrival.reply, tuple):
                        wave[index] = replace(wave[index], score=arrival.reply[0])
                    continue
                reply = arrival.reply
                wave[arrival.index] = task.candidate(reply)
                if isinstance(reply, Failure) or wave[arrival.index].answer is None:
                    refused |= isinstance(reply, Failure) and reply.refused
                    n_open -= 1
                    continue
                check = Ask(self._check(task, reply))
                checks[check] = arrival.index
                checking.append(check)
            if any(self._accepted(candidate) for candidate in wave.values()):
                break
            new = tuple(checking)
        missing = Candidate(text="", answer=None, status="cancelled")
        return [wave.get(index, missing) for index in range(size)], refused

    def _check(self, task: Task, completion: Completion) -> ScoreRequest:
        return ScoreRequest(
            prompt=task.prompt,
            completions=((completion.text,),),
            mean_logprobs=(completion.mean_logprob,),
            verifier=self.verifier,
        )

    def _accepted(self, candidate: Candidate) -> bool:
        return candidate.score is not None and candidate.score >= self.threshold

    def _end(self, task: Task, candidates: list[Candidate]) -> Outcome:
        accepted = [index for index, candidate in enumerate(candidates) if self._accepted(candidate)]
        choice = Selected(accepted[0] if accepted else None, "first_success")
        if not accepted and self.fallback == "majority_vote":
            choice = select_by_vote(candidates, task.tie_breaker())
        return conclude(task, candidates, choice, satisfied=bool(accepted))
