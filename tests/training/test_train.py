"""Training: from any kind of log to a bundle, the same bytes for the same seed, static where nothing pays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_runs import agent_runs
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError, UnknownUnitError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.progress import progress_bars
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from policies.course.stop import Success
from training.simulated.log import simulated_log
from training.train import train


def quickly(log: SampleLog, folder: Path, **more: Any) -> PolicyBundle:
    return train(log, folder, **{"n_trials": 1, **more})


def records_of(log: SampleLog, *without: str, text: bool = True) -> list[dict[str, Any]]:
    """Return the lines of a log, without some fields of its samples, or without its texts."""
    lines = []
    for prompt in log.prompts:
        for name in log.generators:
            samples = [
                {"answer": s.answer, "correct": s.correct, "output_tokens": s.output_tokens}
                for s in log.samples(prompt.id, name)
            ]
            line: dict[str, Any] = {
                "prompt_id": prompt.id,
                "generator": name,
                "samples": [{k: v for k, v in s.items() if k not in without} for s in samples],
            }
            if text:
                line["prompt"] = prompt.text
            lines.append(line)
    return lines


def stripped(log: SampleLog, *without: str, text: bool = True) -> SampleLog:
    return SampleLog.from_records(records_of(log, *without, text=text), log.generators)


def planned(folder: Path, log: SampleLog, limit: float, unit: str) -> None:
    """Plan some prompts from what is on disk, and look whether plans are sane and within the budget."""
    for one_shot in (False, True):
        plans = Planner.load(folder).plan(
            log.prompts[:20],
            budget=Budget(limit=limit, unit=unit),  # type: ignore[arg-type]  # named by the case
            one_shot=one_shot,
        )
        assert all(0 <= plan.expected_accuracy <= 1 for plan in plans)
        assert 0 < np.mean([plan.expected_cost for plan in plans]) <= limit * (1 + 1e-9)


_CHILD = """
import sys
from training import train
from training.simulated.log import simulated_log
log, _ = simulated_log(60, n_samples=6, n_generators=1, seed=2).split(test_fraction=0.4)
train(log, sys.argv[1], n_trials=1, seed=0)
"""


def test_another_process_writes_the_same_bytes(trained_small: Any, tmp_path: Path) -> None:
    theirs = tmp_path / "policy"
    environment = {**os.environ, "PYTHONHASHSEED": "11"}
    subprocess.run([sys.executable, "-c", _CHILD, theirs], check=True, env=environment)
    names = sorted(path.name for path in trained_small.folder.iterdir())
    assert names == sorted(path.name for path in theirs.iterdir())
    for name in names:
        assert (trained_small.folder / name).read_bytes() == (theirs / name).read_bytes(), name


def test_what_was_learned_and_shown_is_recorded(trained: Any) -> None:
    manifest = json.loads((trained.folder / "manifest.json").read_text())
    record = manifest["training"]
    assert manifest["policy_bundle"] == 3
    assert record["n_prompts"] == len(trained.train_log)
    assert record["n_samples"] == trained.train_log.n_samples
    assert record["log_digest"] == trained.train_log.digest
    assert record["seed"] == 0
    assert set(record["skill"]) == set(trained.train_log.generators)
    # Texts of this log tell how hard a prompt is, and choices by them pay beyond their error.
    assert all(0.5 < share <= 1 for share in record["skill"].values())
    by_text = [band for band in record["verdict"] if "text" in band["deployed"]]
    assert by_text
    assert all(band["gain"] > 2 * band["error"] > 0 for band in by_text)
    assert all(band["gain"] == 0 for band in record["verdict"] if band["deployed"] == "static mix")


def test_nothing_is_chosen_by_shuffled_texts(tmp_path: Path) -> None:
    log = simulated_log(120, n_samples=8, n_generators=1, text_tells=False, seed=0)
    bundle = quickly(log, tmp_path / "policy")
    assert not [band for band in bundle.training["verdict"] if "text" in band["deployed"]]
    planned(tmp_path / "policy", log, 200, "output_tokens")


def test_a_log_without_text_is_planned_for_the_population(tmp_path: Path) -> None:
    bundle = quickly(stripped(simulated_log(60, n_samples=6), text=False), tmp_path / "policy")
    assert bundle.features is None and bundle.belief is None and bundle.training["skill"] == {}
    plans = Planner.load(tmp_path / "policy").plan(
        ["anything", "else"], budget=Budget(limit=200, unit="output_tokens")
    )
    assert len({plan.expected_accuracy for plan in plans}) <= 2


def test_chains_that_a_checker_ends_are_trained_and_planned(tmp_path: Path) -> None:
    """An agent's runs: first attempts are hardly ever right, most runs are in the end, and then they end."""
    log = agent_runs()
    bundle = quickly(log, tmp_path / "policy", objective="coverage", unit="output_tokens")
    chained = [course for course in bundle.table.courses if course.steps[-1].kind == "revise"]
    assert chained and {course.stop for course in chained} == {Success()}
    (plan,) = Planner.load(tmp_path / "policy").plan(
        ["question 3"], budget=Budget(limit=60, unit="output_tokens")
    )
    assert plan.course is not None and plan.course.steps[-1].kind == "revise"
    assert plan.expected_accuracy > 0.8  # four samples bring .34


def test_counts_only_are_trained_in_samples(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=10, n_generators=1)
    counts = log.counts()
    records = [
        {"prompt_id": p.id, "generator": "model-0", "n": int(n), "n_correct": int(c)}
        for p, n, c in zip(log.prompts, counts.n[:, 0], counts.n_correct[:, 0], strict=True)
    ]
    plain = SampleLog.from_records(records, log.generators)
    bundle = quickly(plain, tmp_path / "policy", objective="coverage")
    assert (bundle.unit, bundle.objective) == ("samples", "coverage")
    assert {course.selection.by for course in bundle.table.courses} == {"first_success"}
    planned(tmp_path / "policy", plain, 3, "samples")
    with pytest.raises(UnknownUnitError, match="output_tokens"):
        quickly(plain, tmp_path / "other", unit="output_tokens")
    assert not (tmp_path / "other").exists()


def test_without_token_counts_the_unit_is_samples(tmp_path: Path) -> None:
    log = stripped(simulated_log(40, n_samples=4), "output_tokens", text=False)
    assert quickly(log, tmp_path / "policy").unit == "samples"
    planned(tmp_path / "policy", log, 2, "samples")
    with pytest.raises(UnknownUnitError, match="record output_tokens in the samples"):
        Planner.load(tmp_path / "policy").plan(["x"], budget=Budget(limit=500, unit="output_tokens"))


def test_a_few_missing_token_counts_do_not_change_the_unit(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=5, n_generators=1)
    records = records_of(log, text=False)
    for line in records[:5]:
        del line["samples"][0]["output_tokens"]
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.unit == "output_tokens"
    planned(tmp_path / "policy", log, 100, "output_tokens")


def test_units_that_need_figures_take_them_from_the_cost_model(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=3, n_generators=1)
    assert quickly(log, tmp_path / "flops", unit="flops").unit == "flops"
    with pytest.raises(UnknownUnitError, match="joules_per_output_token"):
        quickly(log, tmp_path / "joules", unit="joules")
    energy = CostModel(unit="samples", joules_per_output_token={"model-0": 0.5})
    assert quickly(log, tmp_path / "joules", unit="joules", cost_model=energy).unit == "joules"


@pytest.mark.parametrize(
    ("unit", "lacks"), [("usd", "add usd_per_mtok_in"), ("total_tokens", "prompt_tokens")]
)
def test_a_unit_that_nothing_can_be_priced_in_is_refused_before_the_work(
    tmp_path: Path, unit: str, lacks: str
) -> None:
    log = simulated_log(40, n_samples=3, n_generators=1)
    seen: list[tuple[str, int, int]] = []
    with pytest.raises(UnknownUnitError, match=lacks):
        quickly(
            stripped(log),  # and its prompts have no length
            tmp_path / "policy",
            unit=unit,
            progress=lambda *stage: seen.append(stage),
        )
    assert not seen and not (tmp_path / "policy").exists()


def test_ragged_logs_keep_every_prompt_and_every_sample(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=8, n_generators=1)
    records = records_of(log)
    for line in records[::3]:
        line["samples"] = line["samples"][:4]
    ragged = SampleLog.from_records(records, log.generators)
    bundle = quickly(ragged, tmp_path / "policy")
    assert bundle.training["n_prompts"] == 60
    # Two thirds of the prompts have eight samples, and courses go as far.
    assert max(course.n for course in bundle.table.courses) > 4
    assert not np.isnan(bundle.table.value).any()
    planned(tmp_path / "policy", log, 100, "output_tokens")


def test_samples_that_nobody_graded_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=6, n_generators=1)
    records = records_of(log)
    for line in records[:10]:
        line["samples"][0]["correct"] = None
    for sample in records[-1]["samples"]:
        sample["correct"] = None
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.training["n_prompts"] == 39
    assert (bundle.references.n[:10] == 5).all() and (bundle.references.n[10:] == 6).all()
    assert (bundle.references.n_correct >= 0).all()
    planned(tmp_path / "policy", log, 100, "output_tokens")


def test_prompts_that_lack_a_generator_are_kept(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=4)
    records = [line for at, line in enumerate(records_of(log)) if at >= 16 or line["generator"] != "model-1"]
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.training["n_prompts"] == 60
    assert (bundle.references.n[:8, 1] == 0).all() and (bundle.references.n[8:] == 4).all()
    assert not np.isnan(bundle.table.value).any()
    planned(tmp_path / "policy", log, 100, "output_tokens")


def test_near_duplicates_share_a_fold_and_are_counted(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=4, n_generators=1)
    records = records_of(log)
    for number, line in enumerate(records_of(log)[:6]):
        records.append({**line, "prompt_id": f"again-{number}", "prompt": f"{line['prompt']} ".upper()})
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.training["n_near_duplicates"] >= 12
    assert bundle.training["n_prompts"] == 46


def test_references_are_capped_and_stay_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["training.policy.made_bundle"], "_MAX_REFERENCES", 25)
    log = simulated_log(60, n_samples=3, n_generators=1)
    bundle = quickly(log, tmp_path / "policy")
    assert len(bundle.references) == len(bundle.table.value) == len(bundle.prompt_tokens) == 25
    single = next(at for at, course in enumerate(bundle.table.courses) if course.n == 1)
    rates = bundle.references.n_correct[:, 0] / bundle.references.n[:, 0]
    assert_allclose(bundle.table.value[:, single], rates, atol=1e-6)
    # Prompts that are no references were trained on all the same.
    assert all(bundle.was_trained_on(prompt) for prompt in log.prompts)
    assert (bundle.texts.find([prompt.text for prompt in log.prompts]).same >= 0).all()
    planned(tmp_path / "policy", log, 100, "output_tokens")


def test_progress_tells_every_stage_to_its_end_and_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, int, int]] = []
    log = simulated_log(40, n_samples=3, n_generators=1)
    quickly(log, tmp_path / "policy", progress=lambda *stage: seen.append(stage))
    ends = {stage: (done, total) for stage, done, total in seen}
    assert {"verifier", "belief", "table", "policy"} <= set(ends)
    assert all(done == total for done, total in ends.values())
    with progress_bars() as bars:
        for stage in ends:
            bars(stage, 1, 1)
    shown = capsys.readouterr().err
    assert all(name in shown for name in ("learned verifier", "belief from text", "what courses are worth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"seed": 2**32}, "seed must be at most 4,294,967,295"),
        ({"objective": "beauty"}, "objective must be one of"),
        ({"unit": "bananas"}, "unit must be one of"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    log = stripped(simulated_log(30, n_samples=2, n_generators=1), text=False)
    with pytest.raises(InvalidInputError, match=message):
        quickly(log, tmp_path / "policy", **arguments)
    assert not (tmp_path / "policy").exists()


def test_a_second_training_into_the_same_folder_is_told_before_it_works(tmp_path: Path) -> None:
    log = simulated_log(30, n_samples=4, n_generators=1)
    told: list[str] = []

    def second(stage: str, done: int, total: int) -> None:
        if not told:
            with pytest.raises(InvalidInputError, match=r"another training writes its bundle there") as error:
                train(log, tmp_path / "policy", n_trials=1, progress=lambda *progress: pytest.fail("began"))
            told.append(str(error.value))

    quickly(log, tmp_path / "policy", progress=second)
    assert told and str(tmp_path / "policy") in told[0]
    quickly(log, tmp_path / "policy")


def test_a_failed_training_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        train(simulated_log(5, n_samples=4), tmp_path / "policy", n_trials=1)
    assert not (tmp_path / "policy").exists()


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"only 19 prompts.*at least 20"):
        quickly(stripped(simulated_log(19, n_samples=2), text=False), tmp_path / "policy")


def test_chains_without_single_samples_are_refused_in_so_many_words(tmp_path: Path) -> None:
    """They were said to be ungraded."""
    attempts = [
        {"answer": str(at), "correct": at == 1, "output_tokens": 9, "chain": 0, "step": at} for at in range(2)
    ]
    chains = [{"prompt_id": f"p{row}", "generator": "g", "samples": attempts} for row in range(30)]
    log = SampleLog.from_records(chains, {"g": Generator(name="g")})
    with pytest.raises(InvalidInputError, match=r"runs of chains or searches only.*single samples"):
        quickly(log, tmp_path / "bundle")


def test_chains_and_recorded_searches_are_courses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records: list[dict[str, Any]] = []

    def sample(right: bool, **more: Any) -> dict[str, Any]:
        return {"answer": "1" if right else "2", "correct": right, "output_tokens": 20, **more}

    for place in range(24):
        draws = rng.random(12) < rng.uniform(0.2, 0.9)
        line = {"prompt_id": str(place), "generator": "g"}
        records += [
            {**line, "samples": [sample(bool(x)) for x in draws[:4]]},
            {
                **line,
                "samples": [sample(bool(x), chain=i // 2, step=i % 2) for i, x in enumerate(draws[4:8])],
            },
            {**line, "strategy": "dvts", "params": {"n": 8}, "samples": [sample(bool(x)) for x in draws[8:]]},
        ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    bundle = quickly(log, tmp_path / "policy")
    assert {step.kind for course in bundle.table.courses for step in course.steps} == {
        "sample",
        "revise",
        "search",
    }
    assert not np.isnan(bundle.table.value).any()


@pytest.mark.parametrize("one_shot", [False, True])
def test_runs_of_new_prompts_come_to_what_plans_expect(trained: Any, one_shot: bool) -> None:
    """Guarantee: accuracy and cost of a run are what its plans promised, but for chance.

    Prompts are independent, and so are the reference prompts that promises come from; z = 5.1 leaves a
    false-alarm rate below 1e-6 per figure, if means are normal.
    """
    planner = Planner.load(trained.folder)
    fresh = simulated_log(300, n_samples=8, seed=77)
    budget = Budget(limit=120, unit="output_tokens")
    plans = planner.plan(fresh.prompts, budget=budget, one_shot=one_shot, seed=1)
    outcomes = planner.run(
        fresh.prompts, budget=budget, backend=ReplayBackend(fresh, seed=1), one_shot=one_shot, seed=1
    )
    right = np.array(
        [outcome.answer == prompt.gold for outcome, prompt in zip(outcomes, fresh.prompts, strict=True)]
    )
    told = np.array([plan.expected_accuracy for plan in plans])
    error = 5.1 * np.sqrt((right - told).var() * (1 / len(fresh) + 1 / len(trained.train_log)))
    assert abs(right.mean() - told.mean()) <= error < 0.2
    cost = np.array([outcome.cost for outcome in outcomes], dtype=float)
    due = np.array([plan.expected_cost for plan in plans])
    spread = 5.1 * np.sqrt((cost - due).var() * (1 / len(fresh) + 1 / len(trained.train_log)))
    assert abs(cost.mean() - due.mean()) <= spread < 60
    assert cost.mean() <= 120 * (1 + 1e-9)
