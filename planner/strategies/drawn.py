"""What one prompt that follows a course has drawn so far, from whom, and what that says.

It draws steps of samples and of chains, keeps the evidence that stop rules read, has candidates scored, and
selects. When to draw, score and stop is left to `planner.strategies.follow`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from difficulty.errors import UnknownGeneratorError
from difficulty.generator import Generator
from planner.ports.outcome import Candidate, Outcome
from planner.ports.ports import SampleRequest
from planner.strategies.chains import Chains
from planner.strategies.checked import draw_checked, is_accepted
from planner.strategies.conclude import conclude, score_candidates
from planner.strategies.flow import Failure, Flow, draw, together
from planner.strategies.selection import Selected, select_draws
from planner.strategies.task import Task
from policies.course.course import Course, Step
from policies.course.decide import Draw
from policies.course.selection import LOGPROB
from policies.course.tally import Tally
from policies.verifier.learned_verifier import LEARNED


@dataclass(kw_only=True, slots=True)
class Drawn:
    """The candidates of one prompt.

    Parameters
    ----------
    task : Task
        Whose prompt.
    course : Course
        Says how an answer is selected.
    generators : mapping of str to Generator
        Settings of its generators; the task's own need not be among them.
    """

    task: Task
    course: Course
    generators: Mapping[str, Generator]
    candidates: list[Candidate] = field(default_factory=list)
    n_steps: int = 0
    accepted: int | None = None
    _sources: list[str] = field(default_factory=list)
    _chained: list[bool] = field(default_factory=list)
    _used: dict[str, int] = field(default_factory=dict)
    _chains: Chains | None = None
    _tally: Tally = field(init=False)
    _asked: set[int] = field(default_factory=set)
    _unread: bool = False

    def __post_init__(self) -> None:
        self._tally = Tally(self.course.selection)

    def generator(self, name: str) -> Generator:
        """Return the settings of a generator.

        Raises
        ------
        UnknownGeneratorError
            When nobody gave them.
        """
        if name == self.task.generator.name:
            return self.task.generator
        if name not in self.generators:
            raise UnknownGeneratorError(
                f"the course draws from {name!r}, and settings are known for "
                f"{', '.join(dict.fromkeys((self.task.generator.name, *self.generators)))}"
            )
        return self.generators[name]

    def add(self, steps: Sequence[Step], *, last: bool = False) -> Flow[bool]:
        """Draw steps of one kind together, and return whether a cap has refused some of it.

        `last` says that it is the last resort of a course that a cap has ended.
        """
        self.n_steps += len(steps)
        if steps[0].kind == "revise":
            return (yield from self._extend(steps))
        requests = [request for step in steps for request in self._requests(step)]
        # A task that caps its requests sends one after another.
        batches = [requests] if self.task.wave_size is None else [[request] for request in requests]
        for batch in batches:
            refused = yield from self._sample(batch, last=last)
            if refused or self.accepted is not None:
                return refused
        return False

    def enough(self) -> bool:
        """Return whether the course's rule is content; it is not asked before anything came back."""
        best = max(
            (one for one in map(self._signal, range(len(self.candidates))) if one is not None),
            default=-math.inf,
        )
        evidence = self._tally.evidence(best=best)
        return bool(evidence.n_drawn) and bool(self.course.stop.enough(evidence))

    def score(self) -> Flow[None]:
        """Have candidates scored that the selection wants scored and that are not.

        The learned verifier judges all candidates of a generator anew, since its score of one depends on the
        others. Where it cannot judge one, for want of a log-probability say, the plain vote will select.
        """
        signal = self.course.selection.signal
        if signal == LOGPROB:
            for place, one in enumerate(self.candidates):
                if one.mean_logprob is not None and one.answer is not None:
                    self.candidates[place] = replace(one, score=math.exp(one.mean_logprob))
        if signal not in self.course.selection.verifiers:
            return
        wanted: dict[str, list[int]] = {}
        for place, source in enumerate(self._sources):
            if signal == LEARNED or place not in self._asked:
                wanted.setdefault(source, []).append(place)
        self._asked.update(place for places in wanted.values() for place in places)
        flows = [
            score_candidates(
                self.task, [self.candidates[place] for place in places], verifier=signal, generator=source
            )
            for source, places in wanted.items()
        ]
        rows = yield from together(flows)
        for places, row in zip(wanted.values(), rows, strict=True):
            for place, one in zip(places, row, strict=True):
                self.candidates[place] = one
                self._unread |= signal == LEARNED and one.answer is not None and one.score is None

    def select(self) -> Selected:
        """Return the candidate that wins; ties are uniform, by the task's seed."""
        chosen = self.course.selection
        if chosen.by == "first_success" and not chosen.or_vote:
            return Selected(None, "none")
        draws = [
            Draw(
                self._sources[place],
                one.answer,
                None if self._unread else self._signal(place),
                one.chain if self._chained[place] else -1,
            )
            for place, one in enumerate(self.candidates)
        ]
        return select_draws(chosen, draws, self.task.tie_breaker())

    def end(self, selected: Selected, *, satisfied: bool) -> Outcome:
        """Return the outcome."""
        return conclude(self.task, self.candidates, selected, satisfied=satisfied)

    def _requests(self, step: Step) -> list[SampleRequest]:
        """Return what a step of samples asks for, in parts where the task caps its requests."""
        generator = self.generator(step.generator)
        temperature = step.parameters.get("temperature")
        wave = self.task.wave_size or step.n
        requests = []
        for size in (min(wave, step.n - start) for start in range(0, step.n, wave)):
            offset = self._used.get(step.generator, 0)
            self._used[step.generator] = offset + size
            requests.append(
                self.task.request(
                    n=size,
                    offset=offset,
                    generator=generator,
                    temperature=None if temperature is None else float(temperature),
                )
            )
        return requests

    def _sample(self, requests: Sequence[SampleRequest], *, last: bool) -> Flow[bool]:
        chosen = self.course.selection
        sources = [request.generator.name for request in requests for _ in range(request.n)]
        if chosen.checker is not None:
            found, refused = yield from draw_checked(
                self.task, requests, verifier=chosen.checker, threshold=chosen.threshold
            )
            self._keep(found, sources, chained=False)
            return refused
        rows = yield from draw(requests, last=last)
        replies = [reply for row in rows for reply in row]
        self._keep([self.task.candidate(reply) for reply in replies], sources, chained=False)
        return any(isinstance(reply, Failure) and reply.refused for reply in replies)

    def _extend(self, steps: Sequence[Step]) -> Flow[bool]:
        """Extend the chains and check new attempts; chains that nothing is asked of run on by themselves."""
        step = steps[0]
        if self._chains is None:
            self._chains = Chains(
                task=self.task,
                step=step,
                generator=self.generator(step.generator),
                offset=self._used.get(step.generator, 0),
            )
        found = yield from self._chains.run(len(steps))
        checker = self.course.selection.checker
        if checker is not None:
            found = yield from score_candidates(self.task, found, verifier=checker, generator=step.generator)
        self._used[step.generator] = self._chains.offset + step.n * self._chains.n_steps
        self._keep(found, [step.generator] * len(found), chained=True)
        return self._chains.refused

    def _keep(self, found: Sequence[Candidate], sources: Sequence[str], *, chained: bool) -> None:
        threshold = self.course.selection.threshold
        checked = self.course.selection.checker is not None
        for one, source in zip(found, sources, strict=True):
            accepted = checked and is_accepted(one, threshold)
            if accepted and self.accepted is None:
                self.accepted = len(self.candidates)
            self.candidates.append(one)
            self._sources.append(source)
            self._chained.append(chained)
            self._tally.turn_to(source)
            if one.status in ("ok", "truncated"):
                self._tally.add(source, one.answer, accepted=accepted)

    def _signal(self, place: int) -> float | None:
        """Return what the selection reads of a candidate."""
        one = self.candidates[place]
        if one.answer is None:
            return None
        return one.mean_logprob if self.course.selection.signal == LOGPROB else one.score
