"""Generators whose samples are written down, and courses followed on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strategy_contract import Played, play

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.ports import Backend, Completion, SampleRequest, ScoreRequest, Verifier
from planner.simulated import SimulatedExtractor
from planner.strategies.follow import Follow
from planner.strategies.task import Task
from policies.course.allocate import summary_of
from policies.course.course import Course

GENERATORS = {name: Generator(name=name, max_output_tokens=400) for name in ("a", "b", "tiny")}


FAILED = Completion(
    text="", prompt_tokens=1, output_tokens=0, finish_reason="error", error="BackendError: no"
)


class Scripted:
    """Gives each generator's samples in a fixed order: an answer, ``-`` for none, ``!`` for a failure."""

    def __init__(
        self, scripts: Mapping[str, str], logprobs: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        self.scripts, self.logprobs = scripts, logprobs or {}
        self.asked: list[SampleRequest] = []
        self._first: dict[str, int] = {}

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        self.asked += requests
        return [[self._one(request, index) for index in range(request.n)] for request in requests]

    def _one(self, request: SampleRequest, index: int) -> Completion:
        name = request.generator.name
        at = request.seed - self._first.setdefault(name, request.seed) + index
        sign = self.scripts[name][at]
        if sign == "!":
            return FAILED
        text = "nothing" if sign == "-" else f"answer: {sign}"
        logprobs = self.logprobs.get(name)
        return Completion(
            text=text,
            prompt_tokens=9,
            output_tokens=at + 1,
            finish_reason="stop",
            mean_logprob=None if logprobs is None else logprobs[at],
        )


class Letters:
    """Scores a text by its answer."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self.scores = scores
        self.seen: list[ScoreRequest] = []

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        self.seen += requests
        return [[self.scores.get("".join(c)[-1], 0.0) for c in request.completions] for request in requests]


def work(course: Course, *, seed: int = 0, last_resort: str | None = None) -> Task:
    return Task(
        prompt=Prompt(id="p", text="question", prompt_tokens=20),
        allocation=summary_of(course),
        generator=GENERATORS[course.steps[0].generator],
        extractor=SimulatedExtractor(),
        seed=seed,
        strategy=Follow(course=course, generators=GENERATORS, last_resort=last_resort),
    )


def follow(course: Course, source: Backend, verifier: Verifier | None = None, *, seed: int = 0) -> Played:
    return play(work(course, seed=seed), source=source, verifier=verifier)
