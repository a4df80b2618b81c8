"""Sequential revision: width chains of depth attempts, each attempt made in sight of the ones before it.

A chain's next attempt starts as soon as the last one is there; an attempt that fails is not shown to the next
one and ends nothing. Selection is hierarchical as in Snell et al.: within each chain first, then across
chains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.ports.outcome import Candidate, Outcome
from planner.strategies.flow import Failure, Flow, draw, together
from planner.strategies.selection import Selected, select_best, select_by_vote, select_weighted
from planner.strategies.task import Task
from planner.strategies.waves import conclude, score_candidates

__all__ = ["RevisionSelection", "SequentialRevision"]

RevisionSelection: TypeAlias = Literal["last", "majority", "hierarchical", "best"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialRevision:
    """Draw `width` chains of `depth` attempts.

    Parameters
    ----------
    selection : {"majority", "hierarchical", "last", "best"}
        ``"majority"``: one vote over all attempts; ``"hierarchical"``: the best-scored attempt of each chain,
        then a vote over chains weighted by these scores (without a verifier: a vote in each chain, then over
        chains); ``"last"``: the last answer of each chain, then a vote; ``"best"``: the best-scored attempt
        of all.
    verifier : str
        Name of the verifier, for ``"hierarchical"`` and ``"best"``; empty: ``"hierarchical"`` by votes.
    instruction : str
        What the user says after each attempt, for chat models; empty: the next attempt continues the text of
        the ones before it, for models trained to revise.
    delimiter : str
        String between attempts, where `instruction` is empty.
    context : int
        Most recent attempts that the next one sees, at least 1.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 6; there at most four attempts are in context.
    """

    selection: RevisionSelection = "majority"
    verifier: str = "score"
    instruction: str = ""
    delimiter: str = "\n\n"
    context: int = 4

    def __post_init__(self) -> None:
        if self.context < 1:
            raise InvalidInputError(f"context must be at least 1, got {self.context}")
        if self.selection == "best" and not self.verifier:
            raise InvalidInputError("selection 'best' needs a verifier; name one or use 'majority'")

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,) if self.verifier and self.selection in ("hierarchical", "best") else ()

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt."""
        width = task.allocation.width
        (firsts,) = yield from draw((task.request(n=width, offset=0),))
        openings = [(task.candidate(reply, chain=chain), reply) for chain, reply in enumerate(firsts)]
        chains = yield from together(
            [
                self._chain(task, candidate, stopped=isinstance(reply, Failure) and reply.refused)
                for candidate, reply in openings
            ]
        )
        candidates = [candidate for chain in chains for candidate in chain]
        if self.verifiers:
            candidates = yield from score_candidates(task, candidates, verifier=self.verifier)
        return conclude(task, candidates, self.select(candidates, task.tie_breaker()))

    def _chain(self, task: Task, opening: Candidate, *, stopped: bool) -> Flow[list[Candidate]]:
        """Return the attempts of one chain; attempt ``s`` of chain ``c`` is sample ``s * width + c``."""
        attempts = [opening]
        for step in range(1, task.allocation.depth):
            if stopped:
                break
            seen = [attempt.text for attempt in attempts if attempt.status == "ok"][-self.context :]
            request = task.request(n=1, offset=step * task.allocation.width + opening.chain)
            if self.instruction:
                request = replace(request, prompt=self._conversation(task.prompt, seen))
            else:
                request = replace(request, prefix=tuple(text + self.delimiter for text in seen))
            ((reply,),) = yield from draw((request,))
            attempts.append(task.candidate(reply, chain=opening.chain, step=step))
            stopped = isinstance(reply, Failure) and reply.refused
        return attempts

    def _conversation(self, prompt: Prompt, seen: Sequence[str]) -> Prompt:
        messages = list(prompt.messages) or [{"role": "user", "content": prompt.text or ""}]
        for text in seen:
            messages.append({"role": "assistant", "content": text})
            messages.append({"role": "user", "content": self.instruction})
        return replace(prompt, messages=tuple(messages), text=None, prompt_tokens=None)

    def select(self, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selected:
        """Select among the attempts of all chains, as `difficulty.estimators.revision_chains` assumes."""
        if self.selection == "majority":
            return select_by_vote(candidates, rng)
        chains: dict[int, list[int]] = {}
        for index, candidate in enumerate(candidates):
            if candidate.answer is not None:
                chains.setdefault(candidate.chain, []).append(index)
        finalists = [self._finalist(candidates, members) for members in chains.values()]
        finals = [candidates[index] for index in finalists]
        if self.selection == "best":
            choice = select_best(finals, rng)
        elif self.selection == "hierarchical" and self.verifier:
            choice = select_weighted(finals, rng)
        else:
            choice = select_by_vote(finals, rng)
        return choice if choice.position is None else choice._replace(position=finalists[choice.position])

    def _finalist(self, candidates: Sequence[Candidate], members: Sequence[int]) -> int:
        """Return the attempt that stands for its chain; ties go to the latest, which saw the others."""
        if self.selection == "last":
            return members[-1]
        scored = [(candidates[index].score, index) for index in members]
        known = [(value, index) for value, index in scored if value is not None]
        if known:
            return max(known)[1]
        counts = Counter(candidates[index].answer for index in members)
        return max(members, key=lambda index: (counts[candidates[index].answer], index))
