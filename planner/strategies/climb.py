"""Climb a ladder: draw wave after wave, from cheap to dear, until the stop rule is satisfied.

The flow keeps the same tally that training replayed, so that a rule sees at run time what it was fitted on,
and selects as the replay did: the answer with the most weighted votes, or the first sample that a verifier
accepts. It assumes that the policy's unit can be priced per sample; budgets over many prompts are left to
`policies.control.batch` and `policies.control.stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.generator import Generator
from planner.ports.outcome import Candidate, Outcome
from planner.strategies.conclude import conclude, score_candidates
from planner.strategies.flow import NOT_WORTH, Failure, Flow, Prospect, draw
from planner.strategies.selection import Selected, select_by_vote
from planner.strategies.task import Task
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.wire import to_plain
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import SampleScale, Wave
from policies.ladder.prompt_tally import PromptTally
from policies.verifier.learned_verifier import LEARNED

__all__ = ["Climb", "SampleCost"]

SampleCost: TypeAlias = Callable[[Candidate, str], float]


def _one(candidate: Candidate, generator: str) -> float:
    """Price every sample at 1: the unit ``"samples"``."""
    del candidate, generator
    return 1.0


@dataclass(slots=True)
class _Drawn:
    """What one prompt has drawn, and from whom; `unread` once a learned verifier could not judge it."""

    tally: PromptTally
    candidates: list[Candidate] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    unread: bool = False
    _codes: dict[str, int] = field(default_factory=dict)

    def code(self, candidate: Candidate) -> int:
        """Return the code of a candidate's answer, a new one where it was not seen before; -1 abstains."""
        return -1 if candidate.answer is None else self._codes.setdefault(candidate.answer, len(self._codes))

    def deciding(self, *, pooled: bool) -> list[int]:
        """Return the places of the candidates whose votes count: all, or the latest answering generator's."""
        places = range(len(self.candidates))
        latest = next((at for at in reversed(places) if self.candidates[at].answer is not None), None)
        if pooled or latest is None:
            return list(places)
        return [at for at in places if self.sources[at] == self.sources[latest]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Climb:
    """Follow an adaptive move on one prompt.

    Parameters
    ----------
    move : Move
        Ladder and stop rule, from `planner.planning.adaptive.move_of`.
    price : float
        λ, value per unit of cost, that the rule is asked at.
    generators : mapping of str to Generator
        Settings of each generator of the ladder.
    scales : mapping of str to SampleScale
        What is usual for each generator's samples, from the policy.
    difficulty : ndarray of float64, shape (D,)
        The prompt's coordinates from the predictor.
    sample_cost : callable
        Cost of one finished candidate of a generator, in the unit of the policy; 1 for each by default.
    verifier : str, optional
        Name of a checker: the climb then ends at the first sample that it accepts, and nothing else is an
        answer.
    threshold : float
        Least score that counts as accepted.
    batch_prices : ndarray of float64, shape (L,), optional
        Falling prices at which a driver that spends one budget over many prompts may ask the rule: each later
        wave is then a wish that the driver grants or refuses (`planner.drivers.batch`). By default the rule
        decides at `price`.

    Raises
    ------
    UnknownGeneratorError
        When the ladder names a generator whose settings are not given.
    """

    move: Move
    price: float
    generators: Mapping[str, Generator]
    scales: Mapping[str, SampleScale] = field(default_factory=dict)
    difficulty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    sample_cost: SampleCost = _one
    verifier: str | None = None
    threshold: float = 0.5
    batch_prices: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        missing = [name for name in self.move.ladder.generators if name not in self.generators]
        if missing:
            raise UnknownGeneratorError(
                f"the ladder draws from {', '.join(missing)}, and settings are known for "
                f"{', '.join(self.generators) or 'none'}"
            )
        if not self.price >= 0:
            raise InvalidInputError(f"a price must be at least 0, got {self.price!r}")

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        learned = (LEARNED,) if self.move.ladder.judged else ()
        return learned if self.verifier is None else (self.verifier, *learned)

    @property
    def identity(self) -> str:
        """A hash of the move, the price and the prompt's difficulty."""
        import msgspec

        policy = AdaptivePolicy(
            moves=(self.move,),
            prices=np.array([max(self.price, 1e-300)]),
            choice=np.array([0]),
            scales=self.scales,
        )
        described = (to_plain(policy), self.difficulty.tolist(), self.verifier, self.threshold)
        return sha256(msgspec.json.encode(described, order="sorted")).hexdigest()

    def flow(self, task: Task) -> Flow[Outcome]:
        """Return the flow of one prompt; the task's own width and stop rule are not used."""
        ladder = self.move.ladder
        drawn = _Drawn(PromptTally(ladder, self.scales, self.difficulty.tolist()))
        used = dict.fromkeys(ladder.generators, 0)
        wish: Prospect | None = None
        for index, wave in enumerate(ladder.waves):
            request = task.request(
                n=wave.n, offset=used[wave.generator], generator=self.generators[wave.generator]
            )
            (replies,) = yield from draw((request,), prospect=wish)
            if wish is not None and all(isinstance(reply, Failure) and reply.refused for reply in replies):
                unwanted = all(isinstance(reply, Failure) and reply.kind == NOT_WORTH for reply in replies)
                return conclude(task, drawn.candidates, self._select(drawn, task), satisfied=unwanted)
            used[wave.generator] += wave.n
            new = [task.candidate(reply) for reply in replies]
            if self.verifier is not None:
                new = yield from score_candidates(task, new, verifier=self.verifier, generator=wave.generator)
            self._add(drawn, wave, new)
            if ladder.judged:
                yield from self._judge(drawn, wave, task)
            accepted = self._accepted(drawn.candidates)
            if accepted is not None:
                choice = Selected(accepted, "first_success")
                return conclude(task, drawn.candidates, choice, satisfied=True)
            refused = any(isinstance(reply, Failure) and reply.refused for reply in replies)
            last = index == len(ladder) - 1
            if refused or last:
                break
            evidence = drawn.tally.row()
            if self.batch_prices is not None:
                wish = Prospect(self.move.rule, evidence, self.price, self.batch_prices)
            elif not self.move.rule.go_on(Evidence.unpacked([evidence]), price=self.price)[0]:
                return conclude(task, drawn.candidates, self._select(drawn, task), satisfied=True)
        return conclude(task, drawn.candidates, self._select(drawn, task))

    def _add(self, drawn: _Drawn, wave: Wave, new: Sequence[Candidate]) -> None:
        """Put a wave in the tally; a failed sample abstains and costs what it used."""
        drawn.candidates += new
        drawn.sources += [wave.generator] * len(new)
        drawn.tally.add(
            wave.generator,
            answer=[drawn.code(candidate) for candidate in new],
            mean_logprob=[candidate.mean_logprob for candidate in new],
            cost=[self.sample_cost(candidate, wave.generator) for candidate in new],
            score=[candidate.score for candidate in new],
        )

    def _judge(self, drawn: _Drawn, wave: Wave, task: Task) -> Flow[None]:
        """Score all candidates of the wave's generator anew: its verifier looks at them together.

        Where it cannot, for want of a log-probability say, what it said before stands as evidence, and the
        plain vote will select.
        """
        mine = [at for at, name in enumerate(drawn.sources) if name == wave.generator]
        judged = yield from score_candidates(
            task, [drawn.candidates[at] for at in mine], verifier=LEARNED, generator=wave.generator
        )
        if any(candidate.answer is not None and candidate.score is None for candidate in judged):
            drawn.unread = True
            return
        for at, candidate in zip(mine, judged, strict=True):
            drawn.candidates[at] = candidate
        drawn.tally.judge(
            wave.generator,
            answer=[drawn.code(candidate) for candidate in judged],
            chance=[candidate.score for candidate in judged],
        )

    def _accepted(self, candidates: Sequence[Candidate]) -> int | None:
        """Return the position of the first candidate that the verifier accepts."""
        if self.verifier is None:
            return None
        return next(
            (
                index
                for index, candidate in enumerate(candidates)
                if candidate.score is not None and candidate.score >= self.threshold
            ),
            None,
        )

    def _select(self, drawn: _Drawn, task: Task) -> Selected:
        """Return the first candidate with the leading answer; ties are uniform, by the task's seed."""
        if self.verifier is not None:
            return Selected(None, "none")
        places = drawn.deciding(pooled=self.move.ladder.pooled)
        tied = drawn.tally.tied()
        if drawn.unread or not tied:
            vote = select_by_vote([drawn.candidates[place] for place in places], task.tie_breaker())
            return Selected(None if vote.position is None else places[vote.position], vote.rule)
        chosen = tied[0] if len(tied) == 1 else int(task.tie_breaker().choice(tied))
        position = next(
            place
            for place in places
            if drawn.candidates[place].answer is not None and drawn.code(drawn.candidates[place]) == chosen
        )
        return Selected(position, "learned_vote" if self.move.ladder.judged else "weighted_vote")
