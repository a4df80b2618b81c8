"""A child that is killed at random moments, and a backend that writes down what was paid for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend

KILLS = 10


class Billed:
    """Simulated samples; each is a line of the bill, whatever becomes of it."""

    def __init__(self, bill: str, *, seconds_per_token: float) -> None:
        self.inner = SimulatedBackend(n_steps=3, seconds_per_token=seconds_per_token)
        self.bill = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = await self.inner.sample(requests)
        for request in requests:
            for index in range(request.n):
                key = f"{request.prompt.id} {len(request.stop)} {len(request.prefix)} {request.seed + index}"
                os.write(self.bill, key.encode() + b"\n")
        return rows


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Run code in another process, which finds the project and this folder; arguments begin at 3."""
    folders = [os.fspath(Path(__file__).parents[2]), os.fspath(Path(__file__).parent)]
    code = f"import sys; sys.path[:0] = sys.argv[1:3]\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *folders, *map(str, arguments)], stdout=subprocess.PIPE
    )


def killed_ten_times(
    child_of: Callable[[], subprocess.Popen[bytes]],
    *,
    seconds: tuple[float, float],
    after_each: Callable[[], object] = lambda: None,
) -> None:
    """Start a child that says that it is ready, kill it at a random moment, and again; then let it end."""
    rng = random.Random(0)
    n_kills, over = 0, False
    while not over:
        with child_of() as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            try:
                assert child.wait(timeout=rng.uniform(*seconds) if n_kills < KILLS else 60) == 0
                over = True
            except subprocess.TimeoutExpired:
                child.kill()
                n_kills += 1
        after_each()
    assert n_kills == KILLS, "the work was done before the tenth kill"
