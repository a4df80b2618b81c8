"""Chains of attempts, each made in sight of the ones before it: the requests of sequential revision.

An attempt that fails is not shown to the next one and ends nothing; a refused one ends its chain. Which
attempts count and who wins is left to the selection of the course.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.outcome import Candidate
from planner.ports.ports import SampleRequest
from planner.strategies.flow import Failure, Flow, draw, together
from planner.strategies.task import Task
from policies.course.course import Step

_CONTEXT: Final = 4
_DELIMITER: Final = "\n\n"


@dataclass(kw_only=True, slots=True)
class Chains:
    """The chains of one prompt.

    Parameters
    ----------
    task : Task
        Whose prompt.
    step : Step
        How many chains, and their settings: ``instruction`` is what the user says after each attempt, for
        chat models, and where it is empty the next attempt continues the text of the ones before it, with
        ``delimiter`` between attempts, for models trained to revise; ``context`` is how many of the latest
        attempts the next one sees, 4 by default.
    generator : Generator
        Draws all of them.
    offset : int
        Samples of the generator that were drawn before the chains: attempt ``s`` of chain ``c`` is sample
        ``offset + s * n + c``.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314, section 6; there at most four attempts are in context.
    """

    task: Task
    step: Step
    generator: Generator
    offset: int
    _chains: list[list[Candidate]] = field(default_factory=list)
    _stopped: set[int] = field(default_factory=set)

    @property
    def n_steps(self) -> int:
        """Attempts per chain so far."""
        return max(map(len, self._chains), default=0)

    @property
    def refused(self) -> bool:
        """Whether a cap has refused an attempt."""
        return bool(self._stopped)

    def run(self, n_steps: int) -> Flow[list[Candidate]]:
        """Make `n_steps` more attempts of each chain, each chain as soon as it can; in the order of steps."""
        found: list[Candidate] = []
        if not self._chains:
            found += yield from self._open()
            n_steps -= 1
        rows = yield from together([self._attempts(chain, n_steps) for chain in range(self.step.n)])
        later = [one for row in rows for one in row]
        return found + sorted(later, key=lambda one: (one.step, one.chain))

    def _open(self) -> Flow[list[Candidate]]:
        request = self.task.request(n=self.step.n, offset=self.offset, generator=self.generator)
        (replies,) = yield from draw((request,))
        for chain, reply in enumerate(replies):
            self._chains.append([self.task.candidate(reply, chain=chain)])
            if isinstance(reply, Failure) and reply.refused:
                self._stopped.add(chain)
        return [chain[0] for chain in self._chains]

    def _attempts(self, chain: int, n_steps: int) -> Flow[list[Candidate]]:
        found: list[Candidate] = []
        for _ in range(n_steps):
            found += yield from self._attempt(chain)
        return found

    def _attempt(self, chain: int) -> Flow[list[Candidate]]:
        """Return the next attempt of one chain; none where a cap has ended it."""
        if chain in self._stopped:
            return []
        attempts = self._chains[chain]
        number = len(attempts)
        ((reply,),) = yield from draw((self._request(attempts, self.offset + number * self.step.n + chain),))
        attempts.append(self.task.candidate(reply, chain=chain, step=number))
        if isinstance(reply, Failure) and reply.refused:
            self._stopped.add(chain)
        return [attempts[-1]]

    def _request(self, attempts: Sequence[Candidate], offset: int) -> SampleRequest:
        settings = self.step.parameters
        context = int(settings.get("context", _CONTEXT))
        seen = [attempt.text for attempt in attempts if attempt.status == "ok"][-context:]
        request = self.task.request(n=1, offset=offset, generator=self.generator)
        instruction = str(settings.get("instruction", ""))
        if instruction:
            return replace(request, prompt=_conversation(self.task.prompt, seen, instruction))
        delimiter = str(settings.get("delimiter", _DELIMITER))
        return replace(request, prefix=tuple(text + delimiter for text in seen))


def _conversation(prompt: Prompt, seen: Sequence[str], instruction: str) -> Prompt:
    messages = list(prompt.messages) or [{"role": "user", "content": prompt.text or ""}]
    for text in seen:
        messages.append({"role": "assistant", "content": text})
        messages.append({"role": "user", "content": instruction})
    return replace(prompt, messages=tuple(messages), text=None, prompt_tokens=None)
