"""Answer a long stream end to end on a budget per window: drift, a tenfold burst and restarts included.

A policy is trained on the embedded log, and its held-out prompts arrive again and again, from easy to hard
and back, through `planner.Stream` on recorded samples. The alternative in the same run plans the same
arrivals at the one price that the policy's frontier says would spend the budget. Time is simulated, so that
an hour passes as fast as its prompts can be answered; what bounds the speed is planning one prompt at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Final, NamedTuple

import numpy as np

from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.backends.replay import ReplayBackend
from planner.drivers import Limits
from planner.planner import Planner
from planner.streaming import Stream
from training.demo.recorded import embedded_log
from training.train import train

# Output tokens per hour and per prompt, and prompts of an ordinary hour.
LIMIT, MOST, PER_HOUR = 60_000.0, 600.0, 1000
HOUR: Final = 3600.0
# Windows in which the stream learns by how much the prediction is wrong.
WARM_UP: Final = 2


class Measurement(NamedTuple):
    """Spend of each full window after warm-up as a share of its budget, and the work behind it.

    Attributes
    ----------
    name : str
        Who kept the budget.
    shares : ndarray of float64
        One per window.
    most : float
        Largest share of all windows, warm-up included.
    answered : float
        Share of prompts that got a sample.
    cpu_ms : float
        CPU milliseconds per prompt.
    kept : bool
        Whether the state said of every prompt what its window had really cost so far.
    """

    name: str
    shares: np.ndarray
    most: float
    answered: float
    cpu_ms: float
    kept: bool


class Arrival(NamedTuple):
    """A prompt and the second at which it comes."""

    prompt: Prompt
    second: float


def arrivals(log: SampleLog, n: int, *, seed: int = 0) -> list[Arrival]:
    """Return n arrivals: difficulty swings twice from easy to hard, a tenth come ten times as fast."""
    rng = np.random.default_rng(seed)
    order = np.argsort(-log.pool(list(log.generators)[-1]).correct.mean(axis=1))
    at = np.arange(n) / n
    place = rng.beta(2.0 - 1.5 * np.cos(4 * np.pi * at), 2.0 + 1.5 * np.cos(4 * np.pi * at))
    rows = order[(place * len(order)).astype(int).clip(0, len(order) - 1)]
    rate = np.where((at >= 0.4) & (at < 0.5), 10.0, 1.0)
    seconds = 1e6 + np.cumsum(rng.exponential(HOUR / PER_HOUR, n) / rate)
    return [
        Arrival(log.prompts[row], when) for row, when in zip(rows.tolist(), seconds.tolist(), strict=True)
    ]


def measure(
    planner: Planner, log: SampleLog, typical: Sequence[Prompt], *, n: int, restarts: int, seed: int = 0
) -> list[Measurement]:
    """Stream n prompts of a log, and the tenth part of them at a fixed price.

    Parameters
    ----------
    planner : Planner
        In output tokens.
    log : SampleLog
        Prompts and recorded samples that it has not seen.
    typical : sequence of Prompt
        What the stream expects.
    n : int
        Prompts, at least 10,000.
    restarts : int
        How often the stream is opened again from its file, at random moments.
    seed : int
        Of arrivals and restarts.
    """
    come, backend, clock = arrivals(log, n, seed=seed), ReplayBackend(log), [0.0]
    stops = set(np.random.default_rng(seed).choice(n, restarts, replace=False).tolist())

    def read_clock() -> float:
        return clock[0]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.json"

        def open_again() -> Stream:
            return Stream.open(
                planner,
                typical,
                backend=backend,
                limit=LIMIT,
                window=HOUR,
                clock="seconds",
                max_per_prompt=MOST,
                state=path,
                now=read_clock,
            )

        ours = asyncio.run(_streamed(come, open_again, clock, stops))
    points = planner.frontier(typical)
    price = next(
        (point.price for point in points if point.expected_cost >= LIMIT / PER_HOUR), points[-1].price
    )
    return [ours, asyncio.run(_at_price(come[:: max(n // 10_000, 1)], planner, backend, price, n))]


async def _streamed(
    come: Sequence[Arrival], open_again: Callable[[], Stream], clock: list[float], stops: set[int]
) -> Measurement:
    stream, spent, answered, kept = open_again(), defaultdict[float, float](float), 0, True
    start = process_time()
    for index, arrival in enumerate(come):
        if index in stops:
            stream = open_again()
        clock[0] = arrival.second
        outcome = await stream.answer(arrival.prompt)
        spent[stream.state.window_start] += outcome.cost or 0.0
        answered += outcome.usage.samples > 0
        kept &= abs(stream.state.spent - spent[stream.state.window_start]) < 1e-6
    return _summary("stream", list(spent.values()), answered / len(come), start, len(come), kept)


async def _at_price(
    come: Sequence[Arrival], planner: Planner, backend: ReplayBackend, price: float, n: int
) -> Measurement:
    """Plan every `n` / `len(come)`-th arrival at one price; windows then hold as many fewer prompts."""
    spent, start = defaultdict[int, float](float), process_time()
    for arrival in come:
        (outcome,) = await planner.arun(
            [arrival.prompt],
            price=price,
            max_per_prompt=MOST,
            backend=backend,
            limits=Limits(),
            driver="concurrent",
        )
        spent[int((arrival.second - come[0].second) // HOUR)] += (outcome.cost or 0.0) * n / len(come)
    return _summary("one fixed price", list(spent.values()), 1.0, start, len(come), True)


def _summary(
    name: str, windows: Sequence[float], answered: float, start: float, n: int, kept: bool
) -> Measurement:
    shares = np.array(windows) / LIMIT
    seconds = process_time() - start
    return Measurement(name, shares[WARM_UP:-1], float(shares.max()), answered, 1e3 * seconds / n, kept)


def main(argv: Sequence[str] | None = None) -> None:
    """Print how far windows are from their budget, and what a prompt costs in time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument(
        "--bundle", type=Path, help="trained on the embedded log with seed 0; trained anew without"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    options = parser.parse_args(argv)
    n = options.prompts // (10 if options.quick else 1)
    train_log, test_log = embedded_log().split(test_fraction=0.4, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        if options.bundle is None:
            train(train_log, out=folder, n_trials=20, seed=0)
        planner = Planner.load(options.bundle or folder)
    print(f"{n:,} prompts, {options.restarts} restarts, {LIMIT:,.0f} output tokens an hour, cap 2 % above")
    for row in measure(planner, test_log, train_log.prompts, n=n, restarts=options.restarts):
        off, books = 100 * np.abs(row.shares - 1), "agree" if row.kept else "DIFFER"
        print(
            f"  {row.name:16s} {len(row.shares)} windows off by {off.mean():.2f} % on average, "
            f"{off.max():.2f} % at most; fullest window {row.most:.4f} of the budget; "
            f"{row.answered:.4f} answered; {row.cpu_ms:.2f} ms CPU a prompt; books {books}"
        )


if __name__ == "__main__":
    main()
