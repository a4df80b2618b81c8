"""What a course was chosen on is what happens: followed, it gives the value and cost of its replay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from strategy_contract import play

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, SampleRequest, ScoreRequest
from planner.simulated import SimulatedExtractor
from planner.strategies.follow import Follow
from planner.strategies.task import Task
from policies.course.allocate import summary_of
from policies.course.course import Course, Selection, waves
from policies.course.decide import Draw, decide
from policies.course.selection import LOGPROB
from policies.course.stop import Agreement, BestScore, Beta, Share, Success, Unanimous
from policies.table.recorded import Recorded
from policies.table.replay import replay

GENERATORS = {name: Generator(name=name) for name in ("a", "b")}
CASCADE = waves("a", (1, 2)) + waves("b", (1, 2))
COURSES = [
    Course(steps=waves("a", (2, 1, 2)), stop=Agreement(count=2)),
    Course(steps=waves("a", (1,) * 6), stop=Beta(threshold=0.85)),
    Course(steps=waves("a", (1,) * 6), stop=Beta(threshold=0.95, futile_from=3, futile_below=0.8)),
    Course(steps=waves("a", (2, 2, 2)), stop=Unanimous(window=2)),
    Course(steps=waves("b", (2, 2)), stop=Share(share=0.75)),
    Course(steps=waves("a", (2,)) + waves("b", (2,))),
    Course(steps=CASCADE, stop=Agreement(count=2)),
    Course(steps=CASCADE, stop=Agreement(count=2), selection=Selection(weights={"b": 2.0})),
    Course(steps=CASCADE, stop=Agreement(count=2), selection=Selection(pooled=False)),
    Course(steps=(*CASCADE, *waves("a", (2,))), stop=Share(share=0.9), selection=Selection(pooled=False)),
    Course(
        steps=CASCADE,
        stop=Agreement(count=2),
        selection=Selection(signal=LOGPROB, power=3.0, usual={"a": -0.5, "b": -0.3}),
    ),
    Course(
        steps=waves("a", (1, 1, 1, 2)),
        stop=BestScore(threshold=-0.3),
        selection=Selection(by="best", signal=LOGPROB),
    ),
    Course(
        steps=waves("a", (1, 1)) + waves("b", (1, 1)),
        stop=Success(),
        selection=Selection(by="first_success"),
    ),
]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    rng = np.random.default_rng(7)
    records = [
        {
            "prompt_id": f"p{row}",
            "generator": name,
            "prompt_tokens": 10,
            "samples": [
                {
                    "answer": None if sign == "-" else str(sign),
                    "correct": bool(sign == "x"),
                    "output_tokens": int(rng.integers(1, 60)),
                    "mean_logprob": -float(rng.random()),
                }
                for sign in rng.choice(list("xxyz-"), 7)
            ],
        }
        for row in range(12)
        for name in GENERATORS
    ]
    return Recorded.of(SampleLog.from_records(records, GENERATORS), n_orders=10, seed=1)


class InOrder:
    """Gives the recorded samples of one prompt in one of its orders."""

    def __init__(self, recorded: Recorded, row: int, order: int) -> None:
        self.recorded, self.row, self.order = recorded, row, order
        self._first: dict[str, int] = {}

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [[self._one(request, index) for index in range(request.n)] for request in requests]

    def _one(self, request: SampleRequest, index: int) -> Completion:
        name = request.generator.name
        at = request.seed - self._first.setdefault(name, request.seed) + index
        place = (self.row, self.order, at)
        samples = self.recorded.samples[name]
        code = int(samples.answer[place])
        return Completion(
            text=f"{at} {name}" if code < 0 else f"{at} {name} answer: {code}",
            prompt_tokens=10,
            output_tokens=int(samples.output_tokens[place]),
            finish_reason="stop",
            mean_logprob=float(samples.signals[LOGPROB][place]),
        )


class Checker:
    """Accepts what the log says is correct."""

    def __init__(self, source: InOrder) -> None:
        self.source = source

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [[self._one("".join(steps)) for steps in request.completions] for request in requests]

    def _one(self, text: str) -> float:
        at, name, *_ = text.split()
        return float(self.source.recorded.samples[name].correct[self.source.row, self.source.order, int(at)])


def value(outcome: Outcome, course: Course, right: dict[str, float]) -> float:
    """Return the chance over ties that the selected answer is right."""
    if course.selection.by == "first_success":
        return float(outcome.answer is not None)
    weighed = course.selection.signal == LOGPROB
    draws = [
        Draw(one.text.split()[1], one.answer, one.mean_logprob if weighed else None)
        for one in outcome.candidates
    ]
    tied = decide(course.selection, draws).tied
    assert outcome.selected in tied if tied else outcome.selected is None
    return sum(right[str(draws[place].answer)] for place in tied) / max(len(tied), 1)


@pytest.mark.parametrize("course", COURSES, ids=str)
def test_a_followed_course_is_worth_and_costs_what_its_replay_says(
    course: Course, recorded: Recorded
) -> None:
    table = replay(recorded, [course])
    for row in range(4):
        right = {
            str(code): float(share)
            for samples in recorded.samples.values()
            for code, share in zip(samples.answer[row].ravel(), samples.right[row].ravel(), strict=True)
        }
        outcomes, rounds = [], []
        for order in range(recorded.n_orders):
            source = InOrder(recorded, row, order)
            task = Task(
                prompt=Prompt(id=f"p{row}", text="question", prompt_tokens=10),
                allocation=summary_of(course),
                generator=GENERATORS[course.steps[0].generator],
                extractor=SimulatedExtractor(),
                strategy=Follow(course=course, generators=GENERATORS),
            )
            played = play(task, source=source, verifier=Checker(source))
            outcomes.append(played.outcome)
            rounds.append(len(played.samples_per_round))
        assert np.mean([value(one, course, right) for one in outcomes]) == pytest.approx(
            table.value[row, 0], abs=1e-5
        )
        for place, name in enumerate(course.generators):
            mine = [
                [one for one in outcome.candidates if one.text.split()[1:2] == [name]] for outcome in outcomes
            ]
            slot = table.slots.of(0)[place]
            assert np.mean([len(one) for one in mine]) == pytest.approx(table.samples[row, slot], abs=1e-4)
            tokens = np.mean([sum(one.output_tokens for one in each) for each in mine])
            assert tokens == pytest.approx(table.output_tokens[row, slot], rel=1e-5)
        # Steps that nothing is asked about go together.
        assert np.mean(rounds) == pytest.approx(table.rounds[row, 0], abs=1e-5)
