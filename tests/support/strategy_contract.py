"""What tests of strategies and drivers share: tasks, backends, and a way to play one flow by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers.exchange import read_completions, read_scores
from planner.ports.outcome import Outcome
from planner.ports.ports import Backend, SampleRequest, Verifier
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from planner.strategies import Arrival, Ask, Flow, Sampled, Scored, Task, strategy_of
from policies.course.allocation import Allocation, ParameterValue
from policies.course.strategies import STRATEGIES

GENERATOR = Generator(name="tiny", max_output_tokens=400)
TREES = ("beam_search", "dvts", "lookahead", "rebase")
Pick = Callable[[list[Arrival]], list[Arrival]]


def task(
    strategy: str,
    *,
    id: str = "p0",
    width: int = 8,
    depth: int = 3,
    seed: int = 0,
    params: Mapping[str, ParameterValue] | None = None,
    wave_size: int | None = None,
    generator: Generator = GENERATOR,
) -> Task:
    """Return a task whose strategy may be any of `STRATEGIES`."""
    return Task(
        prompt=Prompt(id=id, text=f"question {id}", prompt_tokens=20),
        allocation=Allocation(
            generator=generator.name,
            strategy=strategy,  # type: ignore[arg-type]
            width=1 if strategy == "greedy" else width,
            depth=depth if strategy == "sequential_revision" else 1,
            params=params or {},
        ),
        generator=generator,
        extractor=SimulatedExtractor(),
        seed=seed,
        wave_size=wave_size,
    )


def backend(**changes: object) -> SimulatedBackend:
    """Return a simulated backend whose answers have four steps."""
    return SimulatedBackend(n_steps=4, **changes)  # type: ignore[arg-type]


def everything(arrivals: list[Arrival]) -> list[Arrival]:
    """Deliver all replies at once."""
    return arrivals


def one_at_random(rng: random.Random) -> Pick:
    """Deliver one reply at a time, in random order."""
    return lambda arrivals: [rng.choice(arrivals)]


class Played:
    """The outcome of a flow, and every round of requests it made."""

    def __init__(self, outcome: Outcome, rounds: list[tuple[Ask, ...]]) -> None:
        self.outcome = outcome
        self.rounds = rounds

    @property
    def samples_per_round(self) -> list[int]:
        per_round = [
            sum(ask.request.n for ask in asks if isinstance(ask.request, SampleRequest))
            for asks in self.rounds
        ]
        return [n for n in per_round if n]

    @property
    def n_samples(self) -> int:
        return sum(self.samples_per_round)


def play(
    work: Task,
    *,
    source: Backend | None = None,
    verifier: Verifier | None = None,
    pick: Pick = everything,
) -> Played:
    """Run one flow to its end, delivering what `pick` picks of the open replies."""
    flow: Flow[Outcome] = (work.strategy or strategy_of(work.allocation)).flow(work)
    source = source or backend()
    verifier = verifier or SimulatedVerifier(noise=0.5)
    rounds: list[tuple[Ask, ...]] = []
    outstanding: list[Arrival] = []
    asks = next(flow)
    while True:
        rounds.append(asks)
        for ask in asks:
            outstanding += _answer(ask, source, verifier)
        assert outstanding, "the flow waits for nothing"
        chosen = pick(outstanding)
        outstanding = [arrival for arrival in outstanding if arrival not in chosen]
        try:
            asks = flow.send(tuple(chosen))
        except StopIteration as stop:
            return Played(stop.value, rounds)


def _answer(ask: Ask, source: Backend, verifier: Verifier) -> list[Arrival]:
    request = ask.request
    if isinstance(request, SampleRequest):
        (row,) = asyncio.run(source.sample([request]))
        draws = read_completions(row, n=request.n)
        return [Sampled(ask=ask, index=index, reply=reply) for index, reply in enumerate(draws.replies)]
    (scores,) = asyncio.run(verifier.score([request]))
    return [Scored(ask=ask, reply=read_scores(scores, n=len(request.completions)).reply)]


ALL = tuple(STRATEGIES)
