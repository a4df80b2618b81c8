"""Climb a ladder: draw wave after wave, from cheap to dear, until the stop rule is satisfied.

The flow keeps the same tally that training replayed, so that a rule sees at run time what it was fitted on,
and selects as the replay did: the answer with the most weighted votes, or the first sample that a verifier
accepts. It assumes that the policy's unit can be priced per sample; budgets over many prompts are left to
`policies.batch_control` and `policies.stream_control`.
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
from planner.outcome import Candidate, Outcome
from planner.strategies.flow import NOT_WORTH, Failure, Flow, Prospect, draw
from planner.strategies.selection import Choice, select_by_vote
from planner.strategies.task import Task
from planner.strategies.waves import conclude, score_candidates
from policies.adaptive_policy import AdaptivePolicy, Move
from policies.adaptive_wire import to_plain
from policies.evidence import Evidence
from policies.ladder import SampleScale, Wave
from policies.learned_verifier import LEARNED
from policies.prompt_tally import PromptTally

__all__ = ["Climb", "SampleCost"]

SampleCost: TypeAlias = Callable[[Candidate, str], float]


def _one(candidate: Candidate, generator: str) -> float:
    """Price every sample at 1: the unit ``"samples"``."""
    del candidate, generator
    return 1.0


def _code(candidate: Candidate, codes: dict[str, int]) -> int:
    """Return the code of a candidate's answer, a new one where it was not seen before; -1 abstains."""
    return -1 if candidate.answer is None else codes.setdefault(candidate.answer, len(codes))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Climb:
    """Follow an adaptive move on one prompt.

    Parameters
    ----------
    move : Move
        Ladder and stop rule, from `AdaptivePolicy.at`.
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
        tally = PromptTally(ladder, self.scales, self.difficulty.tolist())
        codes: dict[str, int] = {}
        candidates: list[Candidate] = []
        sources: list[str] = []
        used = dict.fromkeys(ladder.generators, 0)
        wish: Prospect | None = None
        for index, wave in enumerate(ladder.waves):
            request = task.request(
                n=wave.n, offset=used[wave.generator], generator=self.generators[wave.generator]
            )
            (replies,) = yield from draw((request,), prospect=wish)
            if wish is not None and all(isinstance(reply, Failure) and reply.refused for reply in replies):
                unwanted = all(isinstance(reply, Failure) and reply.kind == NOT_WORTH for reply in replies)
                return conclude(
                    task, candidates, self._select(tally, codes, candidates, task), satisfied=unwanted
                )
            used[wave.generator] += wave.n
            drawn = [task.candidate(reply) for reply in replies]
            if self.verifier is not None:
                drawn = yield from score_candidates(
                    task, drawn, verifier=self.verifier, generator=wave.generator
                )
            candidates += drawn
            sources += [wave.generator] * len(drawn)
            self._add(tally, wave, drawn, codes)
            if ladder.judged:
                mine = [at for at, name in enumerate(sources) if name == wave.generator]
                yield from self._judge(tally, wave, candidates, mine, codes, task)
            accepted = self._accepted(candidates)
            if accepted is not None:
                return conclude(task, candidates, Choice(accepted, "first_success"), satisfied=True)
            refused = any(isinstance(reply, Failure) and reply.refused for reply in replies)
            last = index == len(ladder) - 1
            if refused or last:
                break
            evidence = tally.row()
            if self.batch_prices is not None:
                wish = Prospect(self.move.rule, evidence, self.price, self.batch_prices)
            elif not self.move.rule.go_on(Evidence.unpacked([evidence]), price=self.price)[0]:
                return conclude(
                    task, candidates, self._select(tally, codes, candidates, task), satisfied=True
                )
        return conclude(task, candidates, self._select(tally, codes, candidates, task))

    def _add(self, tally: PromptTally, wave: Wave, drawn: Sequence[Candidate], codes: dict[str, int]) -> None:
        """Put a wave in the tally; a failed sample abstains and costs what it used."""
        tally.add(
            wave.generator,
            answer=[_code(candidate, codes) for candidate in drawn],
            mean_logprob=[candidate.mean_logprob for candidate in drawn],
            cost=[self.sample_cost(candidate, wave.generator) for candidate in drawn],
            score=[candidate.score for candidate in drawn],
        )

    def _judge(
        self,
        tally: PromptTally,
        wave: Wave,
        candidates: list[Candidate],
        mine: Sequence[int],
        codes: dict[str, int],
        task: Task,
    ) -> Flow[None]:
        """Score all candidates of the wave's generator anew: its verifier looks at them together."""
        judged = yield from score_candidates(
            task, [candidates[at] for at in mine], verifier=LEARNED, generator=wave.generator
        )
        for at, candidate in zip(mine, judged, strict=True):
            candidates[at] = candidate
        tally.judge(
            wave.generator,
            answer=[_code(candidate, codes) for candidate in judged],
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

    def _select(
        self, tally: PromptTally, codes: Mapping[str, int], candidates: Sequence[Candidate], task: Task
    ) -> Choice:
        """Return the first candidate with the leading answer; ties are uniform, by the task's seed."""
        tied = tally.tied()
        if self.verifier is not None:
            return Choice(None, "none")
        if not tied:
            # Where a judge could not read a single sample the plain vote decides, and the choice says so.
            return select_by_vote(candidates, task.tie_breaker())
        chosen = tied[0] if len(tied) == 1 else int(task.tie_breaker().choice(tied))
        position = next(
            index
            for index, candidate in enumerate(candidates)
            if candidate.answer is not None and codes[candidate.answer] == chosen
        )
        return Choice(position, "learned_vote" if self.move.ladder.judged else "weighted_vote")
