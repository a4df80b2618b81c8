"""Collections that end early: interrupted, killed, capped, with samples that never came."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from collecting import GENERATORS, PROMPTS, Counting, gather
from kills import KILLS, killed_ten_times, start

from difficulty.errors import BackendError, InvalidInputError
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.collection.collected import Collected
from planner.collection.run import acollect, collect
from planner.collection.session import working_path
from planner.drivers import Limits
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor


@pytest.mark.parametrize("driver", ["concurrent", "lockstep"])
def test_an_interrupted_collection_goes_on_where_it_was(driver: str, tmp_path: Path) -> None:
    whole = Counting(SimulatedBackend(n_steps=3))
    gather(tmp_path / "whole.jsonl", whole, driver=driver)
    total = sum(whole.samples.values())
    limits = Limits(max_concurrency=2)
    paid: Counter[tuple[object, ...]] = Counter()
    for die_at in (1, total // 5, total // 3):
        broken = Counting(SimulatedBackend(n_steps=3), die_at=die_at)
        with pytest.raises(KeyboardInterrupt):
            gather(tmp_path / "log.jsonl", broken, driver=driver, limits=limits)
        paid += broken.samples
    rest = Counting(SimulatedBackend(n_steps=3))
    done = gather(tmp_path / "log.jsonl", rest, driver=driver, limits=limits)
    paid += rest.samples
    assert (tmp_path / "log.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert done.usage.output_tokens == whole.output_tokens
    assert set(paid) == set(whole.samples)
    # Two requests of at most four samples were in flight at each of the three interruptions.
    assert sum(paid.values()) - total <= (3 * 2 * 4 if driver == "concurrent" else total)


def test_a_kill_between_the_log_and_the_removal_of_the_working_file_is_harmless(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    with pytest.raises(KeyboardInterrupt):
        gather(out, Counting(SimulatedBackend(n_steps=3), die_at=200), driver="lockstep")
    rest = Counting(SimulatedBackend(n_steps=3))
    gather(out, rest, partial=True, limits=Limits(max_samples=1000))
    before = out.read_bytes()
    working_path(out).write_bytes(b"")
    again = Counting(SimulatedBackend(n_steps=3))
    gather(out, again)
    assert out.read_bytes() == before


def test_a_complete_log_is_not_overwritten(tmp_path: Path) -> None:
    gather(tmp_path / "log.jsonl", SimulatedBackend())
    with pytest.raises(InvalidInputError, match="exists and is complete"):
        gather(tmp_path / "log.jsonl", SimulatedBackend())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"samples": 5}, "recordings"),
        ({"seed": 1}, "seed"),
        ({"texts": True}, "texts"),
        ({"generators": {"small": GENERATORS["small"]}}, "generators"),
        ({"extractor": LastNumber()}, "extractor, grader"),
    ],
)
def test_another_collection_is_not_mixed_in(changes: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path / "log.jsonl", Counting(SimulatedBackend(), die_at=0))
    with pytest.raises(InvalidInputError, match=rf"other settings \({named}\)"):
        gather(tmp_path / "log.jsonl", SimulatedBackend(), **changes)


class Refusing:
    """Refuses some prompts for good."""

    def __init__(self, refused: set[str]) -> None:
        self.refused, self.inner = refused, SimulatedBackend()

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        if any(request.prompt.id in self.refused for request in requests):
            raise BackendError("too long", status=400)
        return await self.inner.sample(requests)


def test_prompts_without_a_sample_are_missing_until_they_come(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    done = gather(out, Refusing({"p3"}), recordings=[])
    assert (done.log, done.n_missing, out.exists()) == (None, 2, False)
    assert done.missing == {"BackendError": 2 * 4}
    partly = gather(out, Refusing({"p3"}), recordings=[], partial=True)
    assert partly.log is not None and len(partly.log) == 5 and working_path(out).exists()
    backend = Counting(SimulatedBackend())
    whole = gather(out, backend, recordings=[])
    assert whole.log is not None and len(whole.log) == 6 and whole.n_missing == 0
    assert {key[0][0] for key in backend.samples} == {"p3"}  # type: ignore[index]


def test_an_outage_stops_the_collection_and_keeps_what_came(tmp_path: Path) -> None:
    prompts = [Prompt(id=f"q{i}", text=f"question {i}", gold="42") for i in range(60)]
    refused = {f"q{i}" for i in range(30)}
    backend = Refusing(refused)
    arguments = {
        "generators": {"small": GENERATORS["small"]},
        "samples": 2,
        "extractor": SimulatedExtractor(),
        "limits": Limits(max_concurrency=1),
    }
    with pytest.raises(BackendError, match=r"24 prompts in a row.*BackendError: too long"):
        collect(prompts, tmp_path / "log.jsonl", backend=backend, **arguments)  # type: ignore[arg-type]
    backend.refused = set()
    done = collect(prompts, tmp_path / "log.jsonl", backend=backend, **arguments)  # type: ignore[arg-type]
    assert done.log is not None and len(done.log) == 60


def test_caps_hold_over_the_whole_collection(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    backend = Counting(SimulatedBackend())
    done = gather(out, backend, recordings=[], limits=Limits(max_samples=20))
    assert sum(backend.samples.values()) == 20 and done.n_missing == 12 - 5 and done.missing == {"limit": 7}
    again = Counting(SimulatedBackend())
    gather(out, again, recordings=[], limits=Limits(max_samples=30))
    assert sum(again.samples.values()) == 10
    rest = Counting(SimulatedBackend())
    assert gather(out, rest, recordings=[]).n_missing == 0
    assert sum(rest.samples.values()) == 48 - 30


def test_a_torn_line_is_cut_off_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    gather(out, Refusing({"p3"}), recordings=[])
    working = working_path(out)
    whole = working.read_bytes()
    working.write_bytes(whole[:-20])
    gather(out, Refusing({"p3"}), recordings=[])
    assert pieces(working.read_bytes()) == pieces(whole) != {}
    lines = whole.splitlines(keepends=True)
    working.write_bytes(b"".join([lines[0], b'{"piece": 0, "sam\n', *lines[1:]]))
    with pytest.raises(InvalidInputError, match="line 2: a broken record"):
        gather(out, SimulatedBackend(), recordings=[])


def pieces(content: bytes) -> dict[int, object]:
    """Return the samples of each recorded piece."""
    records = [json.loads(line) for line in content.splitlines()[1:]]
    assert len(records) == len({record["piece"] for record in records})
    return {record["piece"]: record["samples"] for record in records}


def test_two_collections_cannot_share_an_output(tmp_path: Path) -> None:
    async def twice() -> None:
        async def one() -> Collected:
            return await acollect(
                PROMPTS, tmp_path / "log.jsonl", generators=GENERATORS, backend=SimulatedBackend()
            )

        with pytest.raises(InvalidInputError, match="in use by another"):
            await asyncio.gather(one(), one())

    asyncio.run(twice())


_CHILD = """
import sys
from kills import Billed
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.collection.plan import Recording
from planner.collection.run import collect
from planner.drivers import Limits
from planner.simulated import SimulatedExtractor, SimulatedVerifier

out, bill, speed = sys.argv[3:]
prompts = [Prompt(id=f"p{i}", text=f"question {i}", gold="42") for i in range(24)]
print("ready", flush=True)
collect(prompts, out, generators={"tiny": Generator(name="tiny")}, samples=4,
        backend=Billed(bill, seconds_per_token=float(speed)),
        recordings=[Recording(strategy="beam_search", width=4, params={"beam_width": 2}),
                    Recording(strategy="sequential_revision", width=2, depth=2)],
        extractor=SimulatedExtractor(), verifier=SimulatedVerifier(), limits=Limits(max_concurrency=4))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_kills_at_random_moments_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    with start(_CHILD, tmp_path / "whole.jsonl", tmp_path / "whole.txt", 0.0) as child:
        assert child.wait(timeout=60) == 0
    out, bill = tmp_path / "log.jsonl", tmp_path / "bill.txt"
    killed_ten_times(lambda: start(_CHILD, out, bill, 4e-3), seconds=(0.05, 0.4))
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    paid = bill.read_text().splitlines()
    whole = (tmp_path / "whole.txt").read_text().splitlines()
    assert set(paid) == set(whole) and len(whole) == len(set(whole))
    # Four requests of at most four samples are in flight at a time.
    assert len(paid) - len(whole) <= KILLS * 4 * 4
    header = json.loads(out.read_bytes().splitlines()[0])
    assert header["sample_log"] == 1 and "n_missing" not in header["about"]["collected"]
