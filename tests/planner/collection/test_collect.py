"""Collecting: what ends up in the log, what a kill costs, what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from difficulty.errors import BackendError, InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber, MultipleChoice
from planner.collection.collected import Collected, CollectProgress
from planner.collection.estimate import Estimate
from planner.collection.plan import Recording
from planner.collection.run import acollect, collect
from planner.collection.session import working_path
from planner.drivers import Limits
from planner.ports.ports import Backend, Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier
from planner.strategies.task import Task

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


@pytest.mark.parametrize("driver", ["concurrent", "lockstep"])
def test_a_log_holds_samples_chains_and_runs_graded_with_their_tokens(driver: str, tmp_path: Path) -> None:
    backend = Counting(SimulatedBackend(n_steps=3))
    done = gather(tmp_path / "log.jsonl.gz", backend, driver=driver)
    log = SampleLog.read(tmp_path / "log.jsonl.gz")
    assert done.log == log and done.n_missing == 0 and not done.failures
    assert [prompt.id for prompt in log.prompts] == [prompt.id for prompt in PROMPTS]
    assert log.prompts[1].group == "g0" and log.prompts[0].gold == "42"
    assert dict(log.generators) == GENERATORS
    assert log.has_answers and log.has_tokens and log.has_scores and log.has_logprobs and log.has_chains
    assert log.counts().n.tolist() == [[4, 4]] * 6
    assert {(runs.strategy, dict(runs.params)["n"], runs.n[0]) for runs in log.runs()} == {
        ("beam_search", 2, 2),
        ("beam_search", 4, 2),
        ("dvts", 4, 1),
    }
    samples = log.samples("p0", "small")
    assert all(sample.correct is (sample.answer == "42") for sample in samples)
    assert {sample.correct for i in range(6) for sample in log.samples(f"p{i}", "large")} == {True, False}
    assert all(sample.text is None for sample in samples)
    assert log.prompts[0].prompt_tokens == 20
    chains = log.chains("small")
    assert chains is not None and chains.correct.shape == (6, 2, 3) and chains.prompt_tokens.min() == 20
    # Every token that was generated is in the books, and every one that is in the log was generated.
    assert done.usage.output_tokens == backend.output_tokens
    assert sum(backend.samples.values()) == done.usage.samples
    assert set(backend.samples.values()) == {1}
    assert not list(tmp_path.glob("*.collecting")) and not list(tmp_path.glob("*.requests"))


class Saying:
    """Answers every request with the same texts in turn."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [
            [
                Completion(text=text, prompt_tokens=5, output_tokens=9, finish_reason="stop")
                for text in self.texts[: request.n]
            ]
            for request in requests
        ]


def test_the_default_rule_grades_what_models_write(tmp_path: Path) -> None:
    right = ["The answer is 3/4.", r"\boxed{\frac{6}{8}}", "<think>1/2?</think>It is \u00be", "#### .75"]
    wrong = ["9" * 5000, r"\boxed{3^4}", "It is 3:4"]
    done = collect(
        [Prompt(id="p", text="3 of 4?", gold=r"\frac{3}{4}")],
        tmp_path / "log.jsonl",
        generators={"small": GENERATORS["small"]},
        backend=Saying(*right, *wrong),
        samples=len(right + wrong),
    )
    assert done.log is not None
    assert [sample.correct for sample in done.log.samples("p", "small")] == [True] * 4 + [False] * 3


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


def test_failed_samples_are_left_out_counted_and_typed(tmp_path: Path) -> None:
    backend = SimulatedBackend(failure_rate=0.2, truncation_rate=0.2)
    done = gather(tmp_path / "log.jsonl", backend, recordings=[], samples=8)
    log = done.log
    assert log is not None
    n_failed = done.failures["RetryableBackendError"]
    assert 0 < n_failed == 6 * 2 * 8 - done.n_samples
    assert log.about["collected"]["failures"] == {"RetryableBackendError": n_failed}  # type: ignore[index]
    samples = [sample for i in range(6) for sample in log.samples(f"p{i}", "small")]
    cut = [sample for sample in samples if sample.finish == "length"]
    assert cut and all(sample.answer is None and sample.correct is False for sample in cut)
    assert {sample.finish for sample in samples} == {"stop", "length"}


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


def test_the_estimate_is_measured_on_pieces_that_are_kept(tmp_path: Path) -> None:
    asked: list[Estimate] = []
    backend = Counting(SimulatedBackend())
    prompts = [Prompt(id=f"q{i}", text=f"question {i}", gold="42") for i in range(200)]
    arguments = {"generators": GENERATORS, "samples": 8, "extractor": SimulatedExtractor()}

    def refuse(estimate: Estimate) -> bool:
        asked.append(estimate)
        return False

    out = tmp_path / "log.jsonl"
    done = collect(prompts, out, backend=backend, approve=refuse, **arguments)  # type: ignore[arg-type]
    assert done.declined and done.log is None and done.n_pieces - done.n_missing == 4 * 2
    assert sum(backend.samples.values()) == 4 * 2 * 8
    (estimate,) = asked
    assert estimate.n_samples == 196 * 2 * 8 and "measured on 8 pieces" in str(estimate)
    assert estimate.output_tokens == pytest.approx(backend.output_tokens / 8 * 392)
    backend.samples.clear()
    whole = collect(prompts, out, backend=backend, approve=lambda _: True, **arguments)  # type: ignore[arg-type]
    assert sum(backend.samples.values()) == estimate.n_samples and not whole.n_missing
    low, high = estimate.output_tokens_interval or (0.0, 0.0)
    assert low < estimate.output_tokens < high


def test_a_guess_spends_nothing_before_it_is_approved(tmp_path: Path) -> None:
    asked: list[Estimate] = []
    priced = Generator(name="small", usd_per_mtok_in=1.0, usd_per_mtok_out=10.0)
    prompts = [Prompt(id=f"q{i}", text="?", prompt_tokens=100) for i in range(10)]
    backend = Counting(SimulatedBackend())
    done = collect(
        prompts,
        tmp_path / "log.jsonl",
        generators={"small": priced},
        backend=backend,
        samples=4,
        tokens_per_sample=250,
        approve=lambda estimate: bool(asked.append(estimate)),
    )
    assert done.declined and not backend.samples
    assert asked[0].output_tokens == 10 * 4 * 250
    assert asked[0].usd == pytest.approx(10 * (100 * 1.0 + 1000 * 10.0) / 1e6)


def test_progress_counts_up_to_all_pieces(tmp_path: Path) -> None:
    seen: list[CollectProgress] = []
    gather(tmp_path / "log.jsonl", SimulatedBackend(), recordings=[], progress=seen.append)
    assert sorted({one.n_done for one in seen}) == list(range(1, 13))
    assert seen[-1].usage.samples == 48


@pytest.mark.parametrize("singly", [True, False])
def test_a_backend_that_sends_samples_by_themselves_is_asked_for_them_one_by_one(
    singly: bool, tmp_path: Path
) -> None:
    sizes: list[int] = []

    class Sending:
        draws_singly = singly

        async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
            sizes.extend(request.n for request in requests)
            return await SimulatedBackend().sample(requests)

    gather(tmp_path / "log.jsonl", Sending(), recordings=[])
    assert sizes == ([1] * 48 if singly else [4] * 12)


def test_chains_end_where_an_attempt_failed(tmp_path: Path) -> None:
    recordings = [Recording(strategy="sequential_revision", width=3, depth=4)]
    done = gather(
        tmp_path / "log.jsonl", SimulatedBackend(failure_rate=0.2), samples=0, recordings=recordings
    )
    assert done.log is not None and done.failures["RetryableBackendError"] > 0
    chains = done.log.chains("small")
    assert chains is not None and chains.correct.shape[2] == 4
    assert (chains.correct == -1).any()


def test_verifiers_that_fail_leave_scores_out(tmp_path: Path) -> None:
    class Broken:
        async def score(self, requests: Sequence[object]) -> list[list[float]]:
            from difficulty.errors import VerifierError

            raise VerifierError("no")

    done = gather(tmp_path / "log.jsonl", SimulatedBackend(), recordings=[], verifier=Broken())
    assert done.log is not None and not done.log.has_scores
    assert done.failures == {"VerifierError": 12}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"samples": -1}, "samples must be at least 0"),
        ({"samples": 0, "recordings": []}, "something to record"),
        (
            {"recordings": [Recording(strategy="dvts", width=4)], "verifier": None},
            "needs the verifier 'score'",
        ),
        ({"recordings": [EVERYTHING[0], EVERYTHING[0]]}, "recorded twice"),
        ({"extractor": MultipleChoice()}, "'42' is not one that"),
        ({"tokens_per_sample": 0.0}, "above 0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_spent(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    backend = Counting(SimulatedBackend())
    with pytest.raises(InvalidInputError, match=said):
        gather(tmp_path / "log.jsonl", backend, **changes)
    assert not backend.samples


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        ({"strategy": "majority_vote", "width": 4}, "need not be recorded"),
        ({"width": 4, "runs": 2}, "runs is for searches"),
        ({"width": 4, "depth": 2}, "no depth"),
        ({"strategy": "beam_search", "width": 4, "depth": 2}, "depth 1"),
        ({"strategy": "beam_search", "width": 4, "params": {"colour": "red"}}, "no parameter colour"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_recordings_that_mean_nothing_are_refused(recording: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Recording(**recording)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["log.txt", "missing/log.jsonl"])
def test_outputs_that_cannot_be_written_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        gather(tmp_path / name, SimulatedBackend())


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


async def test_collect_says_what_to_use_inside_a_loop(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="await acollect"):
        gather(tmp_path / "log.jsonl", SimulatedBackend())


def test_seeds_of_runs_and_samples_differ() -> None:
    from planner.collection.grade import GoldGrader
    from planner.collection.plan import CollectPlan

    plan = CollectPlan(
        prompts=tuple(PROMPTS[:1]),
        generators={"small": GENERATORS["small"]},
        recordings=(Recording(width=2), *EVERYTHING),
        extractor=SimulatedExtractor(),
        grader=GoldGrader(extractor=SimulatedExtractor()),
    )
    tasks: list[Task] = [plan.task(piece) for piece in plan.pieces]
    seeds = {(plan.recordings[piece.recording].strategy, piece.run): task.first_seed
             for piece, task in zip(plan.pieces, tasks, strict=True)}  # fmt: skip
    assert seeds[None, 0] not in {seed for key, seed in seeds.items() if key[0] is not None}
    assert seeds["beam_search", 0] != seeds["beam_search", 1]


_CHILD = """
import os, sys
sys.path[:0] = sys.argv[3:]
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.collection.plan import Recording
from planner.collection.run import collect
from planner.drivers import Limits
from planner.simulated import SimulatedBackend, SimulatedExtractor, SimulatedVerifier

class Billed:
    def __init__(self):
        self.inner = SimulatedBackend(n_steps=3, seconds_per_token=SPEED)
        self.bill = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async def sample(self, requests):
        rows = await self.inner.sample(requests)
        for request in requests:
            for index in range(request.n):
                key = f"{request.prompt.id} {len(request.stop)} {len(request.prefix)} {request.seed + index}"
                os.write(self.bill, key.encode() + bytes([10]))
        return rows

prompts = [Prompt(id=f"p{i}", text=f"question {i}", gold="42") for i in range(24)]
print("ready", flush=True)
collect(prompts, sys.argv[1], generators={"tiny": Generator(name="tiny")}, backend=Billed(), samples=4,
        recordings=[Recording(strategy="beam_search", width=4, params={"beam_width": 2}),
                    Recording(strategy="sequential_revision", width=2, depth=2)],
        extractor=SimulatedExtractor(), verifier=SimulatedVerifier(), limits=Limits(max_concurrency=4))
"""


def _start(out: Path, bill: Path, *, speed: float) -> subprocess.Popen[bytes]:
    folders = [os.fspath(Path(__file__).parents[3])]
    code = _CHILD.replace("SPEED", repr(speed))
    return subprocess.Popen(
        [sys.executable, "-c", code, os.fspath(out), os.fspath(bill), *folders], stdout=subprocess.PIPE
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_kills_at_random_moments_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    with _start(tmp_path / "whole.jsonl", tmp_path / "whole.txt", speed=0.0) as child:
        assert child.wait(timeout=60) == 0
    out, bill = tmp_path / "log.jsonl", tmp_path / "bill.txt"
    rng = random.Random(0)
    n_kills = 0
    while True:
        with _start(out, bill, speed=4e-3) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            try:
                assert child.wait(timeout=rng.uniform(0.05, 0.4) if n_kills < 10 else 60) == 0
                break
            except subprocess.TimeoutExpired:
                child.kill()
                n_kills += 1
    assert n_kills == 10, "the collection was over before the tenth kill"
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    paid = bill.read_text().splitlines()
    whole = (tmp_path / "whole.txt").read_text().splitlines()
    assert set(paid) == set(whole) and len(whole) == len(set(whole))
    # Four requests of at most four samples are in flight at a time.
    assert len(paid) - len(whole) <= n_kills * 4 * 4
    header = json.loads(out.read_bytes().splitlines()[0])
    assert header["sample_log"] == 1 and "n_missing" not in header["about"]["collected"]
