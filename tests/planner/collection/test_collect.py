"""Collecting: what the log holds, what is refused, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from collecting import EVERYTHING, GENERATORS, PROMPTS, Counting, gather

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.answers.rules import MultipleChoice
from planner.collection.collected import CollectProgress
from planner.collection.estimate import Estimate
from planner.collection.plan import Recording
from planner.collection.run import collect
from planner.ports.ports import Completion, SampleRequest
from planner.simulated import SimulatedBackend, SimulatedExtractor
from planner.strategies.task import Task


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
