"""Prompts that arrive one at a time: windows on their budget, no cap broken, restarts that lose nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.planner import Planner
from planner.simulated import SimulatedBackend, SimulatedExtractor
from planner.streaming import Stream

CAP = 60
EACH = 150.0


def planner_of() -> Planner:
    """A cold start whose completions have at most 60 tokens."""
    cold = Planner.untrained(["tiny"], output_tokens_per_sample=32.0)
    generators = {"tiny": Generator(name="tiny", max_output_tokens=CAP)}
    return Planner(bundle=replace(cold.bundle, generators=generators))


PLANNER = planner_of()


def backend_of(n: int, seed: int = 0) -> SimulatedBackend:
    """Difficulty drifts from mostly easy to mostly hard."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(2.0, 0.5 + 3.0 * np.arange(n) / n)
    return SimulatedBackend(
        success={f"p{row}": float(p) for row, p in enumerate(rates)}, mean_output_tokens=40
    )


def stream_of(backend: Any, *, window: float = 100, **more: Any) -> Stream:
    settings: dict[str, Any] = {
        "limit": EACH * 100,
        "window": window,
        "max_per_prompt": 1000.0,
        "extractor": SimulatedExtractor(),
        **more,
    }
    return Stream.open(PLANNER, ["typical"], backend=backend, **settings)


async def answer_all(stream: Stream, rows: Any) -> list[float]:
    costs = []
    for row in rows:
        outcome = await stream.answer(Prompt(id=f"p{row}", text="?"))
        assert outcome.cost is not None
        assert outcome.cost <= 1000.0
        costs.append(outcome.cost)
    return costs


def test_every_window_is_on_its_budget() -> None:
    costs = asyncio.run(answer_all(stream_of(backend_of(300)), range(300)))
    windows = np.reshape(costs, (3, 100)).sum(axis=1)
    assert np.all(windows <= 1.02 * EACH * 100)
    # After the first window, which learns by how much the prior is wrong.
    assert np.all(windows[1:] >= 0.95 * EACH * 100)


def test_windows_of_time_keep_their_budget_through_a_burst() -> None:
    clock = [1000.0]
    stream = stream_of(backend_of(500), window=100.0, clock="seconds", now=lambda: clock[0])

    async def run() -> dict[float, float]:
        spent: dict[float, float] = {}
        for row in range(330):
            # One prompt a second, and ten a second for ten seconds in the third window.
            clock[0] += 0.1 if 210 <= row < 310 else 1.0
            outcome = await stream.answer(Prompt(id=f"p{row}", text="?"))
            window = stream.state.window_start
            spent[window] = spent.get(window, 0.0) + float(outcome.cost or 0.0)
        return spent

    spent = asyncio.run(run())
    assert len(spent) == 3
    assert all(total <= 1.02 * EACH * 100 for total in spent.values())
    assert list(spent.values())[1] >= 0.9 * EACH * 100


def test_ten_restarts_lose_nothing(tmp_path: Path) -> None:
    n = 100
    whole = asyncio.run(answer_all(stream_of(backend_of(n)), range(n)))
    parts: list[float] = []
    for start in range(0, n, n // 10):
        stream = stream_of(backend_of(n), state=tmp_path / "stream.json")
        parts += asyncio.run(answer_all(stream, range(start, start + n // 10)))
    assert parts == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stream.json"]


def shares(n: int, *, rate: float, restarts: int = 0, path: Path | None = None) -> np.ndarray:
    """Return what each window of 1000 s spent of its budget, with drift and a tenfold burst of arrivals."""
    rng, clock, backend = np.random.default_rng(0), [1000.0], backend_of(n)
    stops = set(rng.choice(n, restarts, replace=False).tolist())

    def open_again() -> Stream:
        return stream_of(
            backend,
            limit=1000 * rate * EACH,
            window=1000.0,
            clock="seconds",
            state=path,
            now=lambda: clock[0],
        )

    async def run() -> list[float]:
        stream, spent = open_again(), dict[float, float]()
        for row in range(n):
            clock[0] += float(rng.exponential(1 / rate)) / (10 if 0.4 <= row / n < 0.5 else 1)
            stream = open_again() if row in stops else stream
            outcome = await stream.answer(Prompt(id=f"p{row}", text="?"))
            window = stream.state.window_start
            spent[window] = spent.get(window, 0.0) + float(outcome.cost or 0.0)
            assert stream.state.spent == pytest.approx(spent[window])
        return list(spent.values())

    return np.array(asyncio.run(run())) / (1000 * rate * EACH)


def test_drift_a_burst_and_restarts_do_not_move_a_window_off_its_budget(tmp_path: Path) -> None:
    windows = shares(900, rate=0.2, restarts=10, path=tmp_path / "stream.json")
    # Windows of 200 prompts: their costs spread by about a prompt's worth, which is 0.5 %.
    assert windows.max() <= 1.02
    assert np.abs(windows[2:-1] - 1).max() <= 0.03


@pytest.mark.slow
def test_a_hundred_thousand_prompts_stay_within_two_percent_per_window(tmp_path: Path) -> None:
    windows = shares(100_000, rate=1.0, restarts=10, path=tmp_path / "stream.json")
    assert len(windows) > 80
    assert windows.max() <= 1.02
    assert np.abs(windows[2:-1] - 1).max() <= 0.02


class Dying:
    """A backend that the process does not survive from some sample on."""

    def __init__(self, after: int) -> None:
        self.left, self.backend = after, backend_of(100)

    async def sample(self, requests: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return await self.backend.sample(requests)


def test_what_a_dead_process_had_in_flight_is_charged_once(tmp_path: Path) -> None:
    path = tmp_path / "stream.json"

    async def die() -> None:
        never = asyncio.Event()

        class Hanging:
            async def sample(self, requests: Any) -> Any:
                await never.wait()

        stream = stream_of(Hanging(), state=path)
        work = [asyncio.ensure_future(stream.answer(Prompt(id=f"p{row}", text="?"))) for row in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        saved = path.read_bytes()
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        path.write_bytes(saved)

    asyncio.run(die())
    again = stream_of(backend_of(100), state=path)
    assert again.state.opened == 2
    assert 0 < again.state.spent < 0.2 * EACH * 100
    assert again.state.pending == again.state.in_flight == 0
    costs = asyncio.run(answer_all(again, range(98)))
    assert sum(costs) + 1.0 < 1.02 * EACH * 100


def test_a_run_that_does_not_end_is_booked_at_the_most_that_it_may_have_cost() -> None:
    stream = stream_of(Dying(0))
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(stream.answer(Prompt(id="p0", text="?")))
    assert stream.state.spent > 0
    assert stream.state.in_flight == stream.state.pending == 0


def test_a_window_that_is_spent_answers_nothing_and_says_so() -> None:
    stream = stream_of(backend_of(100), limit=300.0)
    outcomes = [asyncio.run(stream.answer(Prompt(id=f"p{row}", text="?"))) for row in range(60)]
    assert sum(float(outcome.cost or 0.0) for outcome in outcomes) <= 1.02 * 300.0
    assert outcomes[0].answer is not None
    assert outcomes[-1].answer is None
    assert outcomes[-1].stop_reason == "budget"


class Slow:
    """A backend whose samples come back in any order, after as many turns of the loop as their seed says."""

    def __init__(self, backend: SimulatedBackend) -> None:
        self.backend, self.most, self.now = backend, 0, 0

    async def sample(self, requests: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(requests[0].seed % 7):
            await asyncio.sleep(0)
        self.now -= 1
        return await self.backend.sample(requests)


@pytest.mark.parametrize(
    ("in_flight", "window"),
    [
        *((1, 100), (16, 100), (64, 100), (64, 400), (250, 100), (250, 300)),
        *(pytest.param(500, window, marks=pytest.mark.slow) for window in (100, 600)),
    ],
)
def test_hundreds_in_flight_are_all_answered_on_budget(in_flight: int, window: int) -> None:
    n = 3 * window
    backend = Slow(backend_of(n))
    stream = stream_of(backend, window=float(window), limit=EACH * window)
    costs = np.zeros(n)
    unanswered: list[int] = []

    async def worker(rows: Any) -> None:
        for row in rows:
            outcome = await stream.answer(Prompt(id=f"p{row}", text="?"))
            costs[row] = outcome.cost
            if outcome.answer is None and outcome.usage.samples == 0:
                unanswered.append(row)

    async def run() -> None:
        rows = iter(range(n))
        await asyncio.gather(*(worker(rows) for _ in range(in_flight)))

    asyncio.run(run())
    assert not unanswered
    assert backend.most >= min(in_flight, window) // 2
    shares = costs.reshape(3, window).sum(axis=1) / (EACH * window)
    assert shares.max() <= 1.01 + 1e-9
    assert shares[1:].min() >= 0.98


def test_many_in_flight_stay_under_the_cap() -> None:
    stream = stream_of(backend_of(100), limit=3000.0)

    async def run() -> list[Any]:
        return list(
            await asyncio.gather(*(stream.answer(Prompt(id=f"p{row}", text="?")) for row in range(40)))
        )

    outcomes = asyncio.run(run())
    assert sum(float(outcome.cost or 0.0) for outcome in outcomes) <= 1.02 * 3000.0
    assert stream.state.in_flight == 0


def test_states_and_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stream.json"
    asyncio.run(answer_all(stream_of(backend_of(10), state=path), range(1)))
    with pytest.raises(InvalidInputError, match="another stream"):
        stream_of(backend_of(10), state=path, clock="seconds")
    path.write_text("{}")
    with pytest.raises(InvalidInputError, match="not the state"):
        stream_of(backend_of(10), state=path)
    with pytest.raises(InvalidBudgetError):
        stream_of(backend_of(10), max_per_prompt=0.0)
    with pytest.raises(InvalidInputError, match="typical"):
        Stream.open(PLANNER, [], backend=backend_of(1), limit=1.0, window=1, max_per_prompt=1.0)


def test_one_shot_plans_can_be_streamed_too() -> None:
    costs = asyncio.run(answer_all(stream_of(backend_of(200), one_shot=True), range(200)))
    assert 0.9 * EACH * 100 <= sum(costs[100:]) <= 1.02 * EACH * 100


@pytest.mark.parametrize("in_flight", [16, 64, 250, pytest.param(500, marks=pytest.mark.slow)])
def test_windows_of_a_prior_that_is_wrong_are_on_their_budget_from_the_first(in_flight: int) -> None:
    # All in flight are planned before the first has come back: whole windows at a price nobody has checked.
    n_windows, window, each = 6, 100, 2000.0
    n = n_windows * window
    cold = Planner.untrained(["tiny"], output_tokens_per_sample=512.0)
    # Without a cap of its own a sample is sent with what the budget has left as its cap.
    generators = {"tiny": Generator(name="tiny", max_output_tokens=1024 if in_flight == 64 else None)}
    rng = np.random.default_rng(0)
    success = {f"p{row}": float(p) for row, p in enumerate(rng.beta(2.0, 1.5, n))}
    backend = Slow(SimulatedBackend(success=success, mean_output_tokens=300))
    stream = Stream.open(
        Planner(bundle=replace(cold.bundle, generators=generators)),
        ["typical"],
        backend=backend,
        limit=each * window,
        window=float(window),
        max_per_prompt=20_000.0,
        extractor=SimulatedExtractor(),
    )
    costs, drawn = np.zeros(n), np.zeros(n)

    async def worker(rows: Any) -> None:
        for row in rows:
            outcome = await stream.answer(Prompt(id=f"p{row}", text="?"))
            costs[row], drawn[row] = outcome.cost, outcome.usage.samples
            assert outcome.usage.output_tokens == outcome.cost

    async def run() -> None:
        rows = iter(range(n))
        await asyncio.gather(*(worker(rows) for _ in range(in_flight)))

    asyncio.run(run())
    assert drawn.min() >= 1
    shares = costs.reshape(n_windows, window).sum(axis=1) / (each * window)
    assert shares.max() <= 1.01 + 1e-9
    assert shares.min() >= 0.98


def test_a_prompt_that_its_full_window_cannot_pay_is_answered_from_the_next_one() -> None:
    # A sample of 1,500 tokens nearly costs what a prompt may, so that some windows are gone too early.
    cold = Planner.untrained(["tiny"], output_tokens_per_sample=512.0)
    generators = {"tiny": Generator(name="tiny", max_output_tokens=2048)}
    rng = np.random.default_rng(1)
    success = {f"p{row}": float(p) for row, p in enumerate(rng.beta(2.0, 1.5, 300))}
    stream = Stream.open(
        Planner(bundle=replace(cold.bundle, generators=generators)),
        ["typical"],
        backend=Slow(SimulatedBackend(success=success, mean_output_tokens=1500)),
        limit=200_000.0,
        window=100.0,
        max_per_prompt=20_000.0,
        extractor=SimulatedExtractor(),
        seed=1,
    )

    async def run() -> list[Any]:
        rows = iter(range(300))

        async def worker() -> list[Any]:
            return [await stream.answer(Prompt(id=f"p{row}", text="?")) for row in rows]

        return [one for some in await asyncio.gather(*(worker() for _ in range(64))) for one in some]

    outcomes = asyncio.run(run())
    assert min(outcome.usage.samples for outcome in outcomes) >= 1
    spent = [purse.spent for purse in stream._till.purses]
    assert max(spent) <= 1.01 * 200_000.0
    assert min(spent[:3]) >= 0.98 * 200_000.0


def test_what_a_verifier_has_scored_is_not_scored_again() -> None:
    class Scoring:
        n = 0

        async def score(self, requests: Any) -> Any:
            self.n += sum(len(request.completions) for request in requests)
            return [[0.5] * len(request.completions) for request in requests]

    scoring = Scoring()
    stream = stream_of(backend_of(20), window=20, limit=EACH * 20 * 3, verifier=scoring)
    costs = asyncio.run(answer_all(stream, range(20)))
    assert sum(costs) <= 1.02 * EACH * 20 * 3
    assert scoring.n <= sum(costs)
