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
from policies.course.course import Course, Step, waves
from policies.course.decide import Draw, decide
from policies.course.selection import LOGPROB, Selection
from policies.course.stop import Agreement, BestScore, Beta, Share, Success, Unanimous
from policies.table.recorded import Recorded, Source
from policies.table.replay import replay

CHAIN = Step(generator="a", n=2, kind="revise")
SEARCH = Step(generator="a", n=2, kind="search", strategy="dvts", params={"beam_width": 2})
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
    Course(steps=(CHAIN,) * 3, stop=Agreement(count=2)),
    Course(steps=(Step(generator="a", kind="revise"),) * 3, stop=Unanimous(window=2)),
    Course(
        steps=(CHAIN,) * 3,
        stop=BestScore(threshold=-0.2),
        selection=Selection(by="best", signal=LOGPROB),
    ),
    Course(steps=(*waves("a", (1, 1)), CHAIN, CHAIN), stop=Agreement(count=2)),
    Course(steps=(*waves("b", (2,)), CHAIN, CHAIN), stop=Share(share=0.7), selection=Selection(pooled=False)),
    Course(steps=(CHAIN,) * 3, stop=Success(), selection=Selection(by="first_success")),
    Course(
        steps=(*waves("b", (1,)), *waves("a", (1, 1)), CHAIN, CHAIN),
        stop=Success(),
        selection=Selection(by="first_success"),
    ),
    Course(steps=(*waves("a", (2,)), SEARCH), stop=Agreement(count=2)),
    Course(steps=(*waves("a", (1, 2)), SEARCH), stop=Beta(threshold=0.85)),
    Course(steps=(*waves("b", (1, 1)), SEARCH), stop=Agreement(count=2), selection=Selection(pooled=False)),
]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    rng = np.random.default_rng(7)

    def sample(sign: str, **more: object) -> dict[str, object]:
        return {
            "answer": None if sign == "-" else str(sign),
            "correct": bool(sign == "x"),
            "output_tokens": int(rng.integers(1, 60)),
            "mean_logprob": -float(rng.random()),
            **more,
        }

    records = []
    for row in range(12):
        for name in GENERATORS:
            line = {"prompt_id": f"p{row}", "generator": name}
            drawn = [sample(sign) for sign in ("x", "y", *rng.choice(list("xxyz-"), 5))]
            if name == "b":  # as agents do
                for at, one in enumerate(drawn):
                    one |= {"prompt_tokens": 12 + 5 * at, "cached_prompt_tokens": 3 * at}
            records.append(line | {"prompt_tokens": 10, "samples": drawn})
        attempts = [
            sample(
                sign, chain=at // 3, step=at % 3, prompt_tokens=10 + 7 * (at % 3), cached_prompt_tokens=at % 3
            )
            for at, sign in enumerate(rng.choice(list("xxyz-"), 9))
        ]
        line = {"prompt_id": f"p{row}", "generator": "a"}
        records.append(line | {"strategy": "sequential_revision", "samples": attempts})
        run = sample("x-yx"[row % 4], prompt_tokens=20, cached_prompt_tokens=6)
        run["output_tokens"] = 2 * (5 + row)
        records.append(line | {"strategy": "dvts", "params": {"n": 2, "beam_width": 2}, "samples": [run]})
    return Recorded.of(SampleLog.from_records(records, GENERATORS), n_orders=10, seed=1)


class InOrder:
    """Gives the recorded samples, attempts and runs of one prompt in one of its orders."""

    def __init__(self, recorded: Recorded, row: int, order: int, course: Course) -> None:
        self.recorded, self.row, self.order = recorded, row, order
        self._first: dict[str, int] = {}
        self._n_before = {
            name: sum(step.n for step in course.steps if step.kind == "sample" and step.generator == name)
            for name in GENERATORS
        }
        self._n_chains = max((step.n for step in course.steps if step.kind == "revise"), default=0)
        self.sent, self.cached = dict.fromkeys(GENERATORS, 0), dict.fromkeys(GENERATORS, 0)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [[self._one(request, index) for index in range(request.n)] for request in requests]

    def _one(self, request: SampleRequest, index: int) -> Completion:
        name = request.generator.name
        if request.stop:
            return self._step_of_search(name, index)
        at = request.seed - self._first.setdefault(name, request.seed) + index
        source, before = Source(name), self._n_before[name]
        if self._n_chains and at >= before:
            source, at = Source(name, self._n_chains), at - before
            assert len(request.prefix) <= at // self._n_chains
        samples, place = self.recorded.of_source(source), (self.row, self.order, at)
        code = int(samples.answer[place])
        more = 0.0 if samples.resent_tokens is None else float(samples.resent_tokens[place])
        spared = 0.0 if samples.cached_tokens is None else float(samples.cached_tokens[place])
        shares = samples.resent_tokens is None and index == 0
        return self._completion(
            f"{at} {name} {source.n_chains}" + ("" if code < 0 else f" answer: {code}"),
            name,
            # One prompt of a step is charged by its request.
            sent=int(more) + 10 * (at % self._n_chains == 0 if source.n_chains else shares),
            cached=int(spared),
            drawn=int(samples.output_tokens[place]),
            logprob=float(samples.signals[LOGPROB][place]),
        )

    def _step_of_search(self, name: str, index: int) -> Completion:
        search = self.recorded.searches[SEARCH]
        silent, right = search.silent[self.row] > 0, search.value[self.row] > 0
        code = next(
            int(code)
            for share in (self.recorded.samples[name].right[self.row].ravel(),)
            for code, good in zip(self.recorded.samples[name].answer[self.row].ravel(), share, strict=True)
            if code >= 0 and (good > 0.5) == right
        )
        return self._completion(
            f"{index} {name} 0" if silent else f"{index} {name} 0 answer: {code}",
            name,
            sent=10,
            cached=3,
            drawn=int(search.output_tokens[self.row]) // 2,
            logprob=-0.5,
        )

    def _completion(
        self, text: str, name: str, *, sent: int, cached: int, drawn: int, logprob: float
    ) -> Completion:
        self.sent[name] += sent
        self.cached[name] += cached
        return Completion(
            text=text,
            prompt_tokens=sent,
            output_tokens=drawn,
            finish_reason="stop",
            stop_string="",
            mean_logprob=logprob,
        )


class Checker:
    """Accepts what the log says is correct."""

    def __init__(self, source: InOrder) -> None:
        self.source = source

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        return [[self._one("".join(steps)) for steps in request.completions] for request in requests]

    def _one(self, text: str) -> float:
        at, name, n_chains, *_ = text.split()
        if int(at) >= 7:
            return 0.5
        samples = self.source.recorded.of_source(Source(name, int(n_chains)))
        return float(samples.correct[self.source.row, self.source.order, int(at)])


def value(outcome: Outcome, course: Course, right: dict[str, float]) -> float:
    """Return the chance over ties that the selected answer is right."""
    if course.selection.by == "first_success":
        return float(outcome.answer is not None)
    weighed = course.selection.signal == LOGPROB
    draws = [
        Draw(one.text.split()[1], one.answer, one.mean_logprob if weighed else None)
        for one in outcome.candidates
    ]
    if course.steps[-1].kind == "search":
        searched = [place for place, one in enumerate(outcome.candidates) if one.steps]
        if outcome.selected in searched:  # it selects by itself
            return right[str(outcome.answer)]
        draws = draws[: len(draws) - len(searched)]
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
        outcomes, rounds, sent, cached = [], [], [], []
        for order in range(recorded.n_orders):
            source = InOrder(recorded, row, order, course)
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
            sent.append(source.sent)
            cached.append(source.cached)
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
            asked = 10 * (name == "a") * table.requests[row, slot] + table.resent_tokens[row, slot]
            assert np.mean([one[name] for one in sent]) == pytest.approx(asked, rel=1e-5)
            spared = table.cached_tokens[row, slot]
            assert np.mean([one[name] for one in cached]) == pytest.approx(spared, rel=1e-5)
        # Steps that nothing is asked about go together.
        assert np.mean(rounds) == pytest.approx(table.rounds[row, 0], abs=1e-5)
