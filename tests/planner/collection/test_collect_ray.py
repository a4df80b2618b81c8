"""Collecting on Ray: the same log as in one process, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from difficulty.errors import BackendError, InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.collection.collected import Collected
from planner.collection.grade import GoldGrader
from planner.collection.plan import CollectPlan, Recording
from planner.collection.ray import RayWorker
from planner.collection.session import carry_out
from planner.collection.worker import CollectWorker, LocalWorker
from planner.drivers import Limits
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier


def plan(n_prompts: int = 40) -> CollectPlan:
    return CollectPlan(
        prompts=tuple(Prompt(id=f"p{i}", text=f"question {i}", gold="42") for i in range(n_prompts)),
        generators={"tiny": Generator(name="tiny")},
        recordings=(Recording(width=4), Recording(strategy="dvts", width=4, params={"beam_width": 2})),
        extractor=SimulatedExtractor(),
        grader=GoldGrader(extractor=SimulatedExtractor()),
    )


class Deadly:
    """Kills its process, once."""

    def __init__(self, mark: str, *, times: int) -> None:
        self.mark, self.times = Path(mark), times

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        died = len(list(self.mark.iterdir()))
        if requests[0].prompt.id == "p17" and died < self.times:
            (self.mark / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return await SimulatedBackend(n_steps=2).sample(requests)


class Refusing:
    """Never has anything."""

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        raise BackendError("wrong key", status=401)


async def gather(out: Path, worker: CollectWorker, **changes: object) -> Collected:
    return await carry_out(plan(), out, worker=worker, **({"limits": Limits()} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("n_workers", "shard_size", "gpus"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_numbers_out_of_range_are_refused(n_workers: int, shard_size: int, gpus: float) -> None:
    with pytest.raises(InvalidInputError, match=r"at least|>= 0"):
        RayWorker(
            open_backend=SimulatedBackend, n_workers=n_workers, shard_size=shard_size, gpus_per_worker=gpus
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'ttc-planner[ray]'")
    here = Path(__file__)
    folders = [os.fspath(one) for one in (here.parents[3], here.parents[2] / "support", here.parent)]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(folders)}},
    )
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    """One local cluster for all."""

    async def test_the_log_is_that_of_one_process(self, tmp_path: Path) -> None:
        backend, verifier = partial(SimulatedBackend, n_steps=2), SimulatedVerifier
        alone = LocalWorker(backend=backend(), verifier=verifier())
        await gather(tmp_path / "alone.jsonl", alone)
        worker = RayWorker(open_backend=backend, open_verifier=verifier, n_workers=2, shard_size=7)
        seen: list[int] = []
        done = await gather(tmp_path / "ray.jsonl", worker, progress=lambda one: seen.append(one.n_done))
        assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
        assert done.n_missing == 0 and seen[-1] == 80 and len(seen) == 12

    async def test_the_shard_of_a_killed_worker_is_done_again(self, tmp_path: Path) -> None:
        mark = tmp_path / "deaths"
        mark.mkdir()
        alone = LocalWorker(backend=SimulatedBackend(n_steps=2), verifier=SimulatedVerifier())
        await gather(tmp_path / "alone.jsonl", alone)
        worker = RayWorker(
            open_backend=partial(Deadly, os.fspath(mark), times=1),
            open_verifier=SimulatedVerifier,
            n_workers=2,
            shard_size=7,
        )
        await gather(tmp_path / "ray.jsonl", worker)
        assert len(list(mark.iterdir())) == 1
        assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()

    async def test_a_shard_that_always_kills_is_an_error_and_the_rest_is_kept(self, tmp_path: Path) -> None:
        mark = tmp_path / "deaths"
        mark.mkdir()
        worker = RayWorker(
            open_backend=partial(Deadly, os.fspath(mark), times=99),
            open_verifier=SimulatedVerifier,
            shard_size=16,
        )
        with pytest.raises(BackendError, match="brought its worker down"):
            await gather(tmp_path / "ray.jsonl", worker)
        assert (tmp_path / "ray.jsonl.collecting").read_bytes().count(b'"piece"') == 32

    async def test_errors_of_a_worker_keep_their_type(self, tmp_path: Path) -> None:
        worker = RayWorker(open_backend=Refusing, open_verifier=SimulatedVerifier)
        with pytest.raises(BackendError, match="wrong key"):
            await gather(tmp_path / "ray.jsonl", worker)
        with pytest.raises(InvalidInputError, match="needs the verifier"):
            await gather(tmp_path / "none.jsonl", RayWorker(open_backend=SimulatedBackend))

    async def test_caps_hold_between_shards(self, tmp_path: Path) -> None:
        worker = RayWorker(open_backend=SimulatedBackend, open_verifier=SimulatedVerifier, shard_size=4)
        done = await gather(tmp_path / "ray.jsonl", worker, limits=Limits(max_samples=20))
        assert done.n_missing and done.usage.samples <= 20
