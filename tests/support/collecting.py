"""A collection of simulated samples, and a backend that counts what it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.collection.collected import Collected
from planner.collection.plan import Recording
from planner.collection.run import collect
from planner.ports.ports import Backend, Completion, SampleRequest
from planner.simulated import SimulatedExtractor, SimulatedVerifier

GENERATORS = {name: Generator(name=name, max_output_tokens=300) for name in ("small", "large")}


PROMPTS = [Prompt(id=f"p{i}", text=f"question {i}", gold="42", group=f"g{i // 2}") for i in range(6)]


EVERYTHING = [
    Recording(strategy="sequential_revision", width=2, depth=3),
    *Recording.grid("beam_search", widths=(2, 4), runs=2, params={"beam_width": 2}),
    Recording(strategy="dvts", width=4, params={"beam_width": 2}),
]


class Counting:
    """Counts what is drawn, and can die."""

    def __init__(self, inner: Backend, *, die_at: int | None = None) -> None:
        self.inner, self.die_at = inner, die_at
        self.samples: Counter[tuple[object, ...]] = Counter()
        self.output_tokens = 0

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        if self.die_at is not None and sum(self.samples.values()) >= self.die_at:
            raise KeyboardInterrupt
        rows = [list(row) for row in await self.inner.sample(requests)]
        for request, row in zip(requests, rows, strict=True):
            for index, completion in enumerate(row):
                key = (request.prompt.id, request.generator.name, request.prefix, request.seed + index)
                self.samples[key, request.stop] += 1
                self.output_tokens += completion.output_tokens
        return rows


def gather(out: Path, backend: Backend, **changes: object) -> Collected:
    arguments: dict[str, object] = {
        "generators": GENERATORS,
        "backend": backend,
        "samples": 4,
        "extractor": SimulatedExtractor(),
        "verifier": SimulatedVerifier(),
        "recordings": EVERYTHING,
    }
    return collect(PROMPTS, out, **(arguments | changes))  # type: ignore[arg-type]
