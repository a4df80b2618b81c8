"""Draw samples that a checker looks at one by one, and stop with the first that it accepts.

Each sample is checked as soon as it arrives; with the first success the flow goes on and the driver cancels
what is still in flight. It assumes a checker that accepts correct answers only, so that its accuracy is the
coverage (pass@N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.ports.outcome import Candidate
from planner.ports.ports import Completion, SampleRequest, ScoreRequest
from planner.strategies.flow import Ask, Failure, Flow, Scored
from planner.strategies.task import Task


class Checked(NamedTuple):
    """Candidates in the order of the requests, and whether a cap refused one of them."""

    candidates: list[Candidate]
    refused: bool


def is_accepted(candidate: Candidate, threshold: float) -> bool:
    """Return whether a candidate's score is one that the checker accepts."""
    return candidate.score is not None and candidate.score >= threshold


def draw_checked(
    task: Task, requests: Sequence[SampleRequest], *, verifier: str, threshold: float
) -> Flow[Checked]:
    """Draw and check what `requests` ask for; it ends with the first success, or when all are checked.

    Parameters
    ----------
    task : Task
        Whose prompt.
    requests : sequence of SampleRequest
        Sent at the same time.
    verifier : str
        Name of the checker.
    threshold : float
        Least score that counts as success.
    """
    slots = [(number, index) for number, request in enumerate(requests) for index in range(request.n)]
    found: dict[tuple[int, int], Candidate] = {}
    checks: dict[Ask, tuple[int, int]] = {}
    asks = {Ask(request, one_by_one=True): number for number, request in enumerate(requests)}
    refused = False
    n_open = len(slots)
    new: tuple[Ask, ...] = tuple(asks)
    while n_open:
        arrivals = yield new
        checking: list[Ask] = []
        for arrival in arrivals:
            if isinstance(arrival, Scored):
                slot = checks[arrival.ask]
                n_open -= 1
                if isinstance(arrival.reply, tuple):
                    found[slot] = replace(found[slot], score=arrival.reply[0])
                continue
            slot = (asks[arrival.ask], arrival.index)
            reply = arrival.reply
            found[slot] = task.candidate(reply)
            if isinstance(reply, Failure) or found[slot].answer is None:
                refused |= isinstance(reply, Failure) and reply.refused
                n_open -= 1
                continue
            check = Ask(_check(task, reply, verifier))
            checks[check] = slot
            checking.append(check)
        if any(is_accepted(candidate, threshold) for candidate in found.values()):
            break
        new = tuple(checking)
    missing = Candidate(text="", answer=None, status="cancelled")
    return Checked([found.get(slot, missing) for slot in slots], refused)


def _check(task: Task, completion: Completion, verifier: str) -> ScoreRequest:
    return ScoreRequest(
        prompt=task.prompt,
        completions=((completion.text,),),
        mean_logprobs=(completion.mean_logprob,),
        verifier=verifier,
    )
