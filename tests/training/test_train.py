"""Training: from any kind of log to a bundle, the same bytes for the same seed, static where nothing pays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from difficulty.belief.weight_spec import STATIC
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.errors import InvalidInputError, UnknownUnitError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from policies.menu.curves import measure_curves
from training.simulated.log import simulated_log
from training.train import train


def quickly(log: SampleLog, folder: Path, **more: Any) -> PolicyBundle:
    return train(log, folder, **{"n_trials": 3, "adaptive": False, **more})


def stripped(log: SampleLog, *fields: str, text: bool = True) -> SampleLog:
    """Return the log without some fields of its samples, or without its texts."""
    records = []
    for prompt in log.prompts:
        for name in log.generators:
            samples = [
                {"answer": s.answer, "correct": s.correct, "output_tokens": s.output_tokens}
                for s in log.samples(prompt.id, name)
            ]
            record: dict[str, Any] = {
                "prompt_id": prompt.id,
                "generator": name,
                "samples": [{k: v for k, v in s.items() if k not in fields} for s in samples],
            }
            if text:
                record["prompt"] = prompt.text
            records.append(record)
    return SampleLog.from_records(records, log.generators)


_CHILD = """
import sys
from training import train
from training.simulated.log import simulated_log
log, _ = simulated_log(260, n_samples=8, seed=1).split(test_fraction=0.4)
train(log, sys.argv[1], n_trials=15, seed=0, adaptive=False)
log, _ = simulated_log(60, n_samples=6, n_generators=1, seed=2).split(test_fraction=0.4)
train(log, sys.argv[2], n_trials=3, seed=0)
"""


def test_another_process_writes_the_same_bytes(trained: Any, trained_small: Any, tmp_path: Path) -> None:
    pairs = [(trained.folder, tmp_path / "policy"), (trained_small.folder, tmp_path / "small")]
    environment = {**os.environ, "PYTHONHASHSEED": "11"}
    subprocess.run(
        [sys.executable, "-c", _CHILD, *(theirs for _, theirs in pairs)], check=True, env=environment
    )
    for ours, theirs in pairs:
        names = sorted(path.name for path in ours.iterdir())
        assert names == sorted(path.name for path in theirs.iterdir())
        for name in names:
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_text_that_tells_difficulty_is_deployed_and_recorded(trained: Any) -> None:
    record = trained.bundle.training
    assert trained.bundle.policy.family != "static"
    assert record["verdict"]["deployed"] == "learned"
    assert record["verdict"]["gain_interval"][0] > 0
    assert record["n_prompts"] == len(trained.train_log)
    assert record["n_trials"] == 15
    assert record["log_digest"] == trained.train_log.digest
    assert record["left_out"] == {"prompts": 0, "allocations": 0}
    assert record["predictor"]["explained_share_of_level"] > 0.8
    low, high = record["placebo"]["gain_interval"]
    assert low <= record["placebo"]["gain_over_static"] <= high
    assert record["placebo"]["gain_over_static"] < record["verdict"]["gain_over_static"] / 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_texts_fall_back_to_static(tmp_path: Path, seed: int) -> None:
    log = simulated_log(120, n_samples=8, n_generators=1, text_tells=False, seed=seed)
    bundle = quickly(log, tmp_path / "policy", n_trials=12)
    assert bundle.policy == STATIC
    assert bundle.training["verdict"]["deployed"] == "static"
    assert bundle.deployed.all()


def test_a_log_without_text_falls_back_cleanly(tmp_path: Path) -> None:
    bundle = quickly(stripped(simulated_log(60, n_samples=6), text=False), tmp_path / "policy")
    assert bundle.features is None
    assert bundle.predictor is None
    assert bundle.policy == STATIC
    loaded = Planner.load(tmp_path / "policy")
    plans = loaded.plan(["anything", "else"], budget=Budget(limit=200, unit="output_tokens"))
    assert len(plans) == 2


def test_counts_only_are_trained_in_samples(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=10, n_generators=1)
    counts = log.counts()
    records = [
        {"prompt_id": p.id, "generator": "model-0", "n": int(n), "n_correct": int(c)}
        for p, n, c in zip(log.prompts, counts.n[:, 0], counts.n_correct[:, 0], strict=True)
    ]
    plain = SampleLog.from_records(records, log.generators)
    bundle = quickly(plain, tmp_path / "policy", objective="coverage")
    assert bundle.unit == "samples"
    assert bundle.objective == "coverage"
    assert {a.strategy for a in bundle.curves.allocations} == {"first_success"}
    with pytest.raises(UnknownUnitError, match="output_tokens were not recorded"):
        quickly(plain, tmp_path / "other", unit="output_tokens")


def test_without_token_counts_the_unit_is_samples(tmp_path: Path) -> None:
    log = stripped(simulated_log(40, n_samples=4), "output_tokens", text=False)
    assert quickly(log, tmp_path / "policy").unit == "samples"
    planner = Planner.load(tmp_path / "policy")
    with pytest.raises(UnknownUnitError, match="not recorded"):
        planner.plan(["x"], budget=Budget(limit=500, unit="output_tokens"))


def test_a_few_missing_token_counts_do_not_change_the_unit(tmp_path: Path) -> None:
    log = stripped(simulated_log(40, n_samples=5, n_generators=1), text=False)
    records: list[dict[str, Any]] = []
    for place, prompt in enumerate(log.prompts):
        samples: list[dict[str, Any]] = [
            {"answer": s.answer, "correct": s.correct, "output_tokens": s.output_tokens}
            for s in log.samples(prompt.id, "model-0")
        ]
        if place < 5:
            del samples[0]["output_tokens"]
        records.append({"prompt_id": prompt.id, "generator": "model-0", "samples": samples})
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.unit == "output_tokens"
    assert not np.isnan(bundle.curves.output_tokens).any()


def test_units_that_need_figures_take_them_from_the_cost_model(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=3, n_generators=1)
    flops = quickly(log, tmp_path / "flops", unit="flops", n_trials=1)
    assert flops.unit == "flops"
    with pytest.raises(UnknownUnitError, match="joules_per_output_token"):
        quickly(log, tmp_path / "joules", unit="joules", n_trials=1)
    energy = CostModel(unit="samples", joules_per_output_token={"model-0": 0.5})
    assert quickly(log, tmp_path / "joules", unit="joules", cost_model=energy, n_trials=1).unit == "joules"


def test_prompts_that_lack_a_generator_are_left_out_and_counted(tmp_path: Path) -> None:
    log = stripped(simulated_log(60, n_samples=3), text=False)
    records = [
        {
            "prompt_id": prompt.id,
            "generator": name,
            "samples": [
                {"answer": s.answer, "correct": s.correct, "output_tokens": s.output_tokens}
                for s in log.samples(prompt.id, name)
            ],
        }
        for place, prompt in enumerate(log.prompts)
        for name in log.generators
        if not (place < 4 and name == "model-1")
    ]
    bundle = quickly(SampleLog.from_records(records, log.generators), tmp_path / "policy")
    assert bundle.training["n_prompts"] == 56
    assert bundle.training["left_out"]["prompts"] == 4


def test_references_are_capped_and_stay_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["training.train"], "_MAX_REFERENCES", 25)
    log = stripped(simulated_log(60, n_samples=3), text=False)
    bundle = quickly(log, tmp_path / "policy")
    assert len(bundle.references) == len(bundle.curves.prompt_ids) == 25
    kept = log.select(bundle.curves.prompt_ids)
    assert_array_equal(kept.counts().n_correct, bundle.references.n_correct)
    assert_array_equal(measure_curves(kept, bundle.curves.allocations).value, bundle.curves.value)
    # Prompts that are no references were trained on all the same.
    assert all(bundle.was_trained_on(prompt) for prompt in log.prompts)


def test_the_same_storage_for_another_log_holds_another_study(tmp_path: Path) -> None:
    for seed in (0, 1):
        log = stripped(simulated_log(40, n_samples=3, n_generators=1, seed=seed), text=False)
        quickly(log, tmp_path / str(seed), storage=tmp_path / "journal", n_trials=2)
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    names = optuna.get_all_study_names(optuna.storages.JournalStorage(journal))
    assert len(names) == 2


def test_other_prices_hold_another_study_and_the_same_ones_go_on(tmp_path: Path) -> None:
    log = simulated_log(40, n_samples=3, n_generators=1)
    for number, price in enumerate((1.0, 2.0, 2.0)):
        model = CostModel(
            unit="joules",
            generators=log.generators,
            joules_per_output_token=dict.fromkeys(log.generators, price),
            joules_per_prompt_token=dict.fromkeys(log.generators, 0.0),
        )
        quickly(
            log,
            tmp_path / str(number),
            storage=tmp_path / "journal",
            n_trials=2,
            unit="joules",
            cost_model=model,
        )
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    names = optuna.get_all_study_names(optuna.storages.JournalStorage(journal))
    assert len(names) == 2
    assert all("-priced-" in name for name in names)


def test_progress_tells_every_stage_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    quickly(
        simulated_log(40, n_samples=3, n_generators=1),
        tmp_path / "policy",
        progress=lambda *stage: seen.append(stage),
    )
    assert ("curves", 1, 1) in seen
    assert ("predictor", 1, 1) in seen
    assert [stage for stage in seen if stage[0] == "trials"] == [("trials", n, 3) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_trials": 0}, "n_trials must be at least 1"),
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
    log = simulated_log(30, n_samples=4)
    told: list[str] = []

    def second(stage: str, done: int, total: int) -> None:
        if not told:
            with pytest.raises(InvalidInputError, match=r"another training writes its bundle there") as error:
                train(log, tmp_path / "policy", n_trials=1, progress=lambda *progress: pytest.fail("began"))
            told.append(str(error.value))

    train(log, tmp_path / "policy", n_trials=1, adaptive=False, progress=second)
    assert told and str(tmp_path / "policy") in told[0]
    train(log, tmp_path / "policy", n_trials=1, adaptive=False)


def test_a_failed_training_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        train(simulated_log(5, n_samples=4), tmp_path / "policy", n_trials=1)
    assert not (tmp_path / "policy").exists()


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"only 19 prompts.*at least 20"):
        quickly(stripped(simulated_log(19, n_samples=2), text=False), tmp_path / "policy")


def test_chains_and_recorded_runs_are_on_the_menu(tmp_path: Path) -> None:
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
    assert {a.strategy for a in bundle.curves.allocations} == {
        "majority_vote",
        "sequential_revision",
        "dvts",
    }
    assert not np.isnan(bundle.curves.value).any()


@pytest.mark.parametrize("every", [1, 2])
def test_a_bundle_keeps_what_a_reward_model_read_and_says_for_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int
) -> None:
    rng = np.random.default_rng(0)
    records: list[dict[str, Any]] = []
    for place in range(24):
        right = rng.random(6) < rng.uniform(0.2, 0.9)
        line = {"prompt_id": str(place), "generator": "g", "prompt_tokens": 10}
        samples = [
            {"answer": "1" if x else "2", "correct": bool(x), "output_tokens": 20, "score": rng.random()}
            for x in right
        ]
        run = {**samples[4], "prompt_tokens": 40, "output_tokens": 80}
        if place % every == 0:
            run["verifier_tokens"] = 500 + place
        records += [
            {**line, "samples": samples[:4]},
            {**line, "strategy": "beam_search", "params": {"n": 4}, "samples": [run]},
        ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    paid = CostModel(unit="total_tokens", verifier_params=1e9)
    folder = tmp_path / "policy"
    quickly(log, folder, unit="total_tokens", cost_model=paid)
    bundle = PolicyBundle.load(folder)
    column = next(i for i, a in enumerate(bundle.curves.allocations) if a.strategy == "beam_search")
    assert bundle.curves.verifier_tokens is not None
    assert_array_equal(bundle.curves.verifier_tokens[::every, column], 500 + np.arange(24)[::every])
    by_score = [a for a in bundle.curves.allocations if "best" in a.strategy]
    counts = (1, 0) if every == 1 else (0, 1)
    assert bundle.training["scoring"] == {
        "recorded": counts[0],
        "partly_recorded": counts[1],
        "estimated": len(by_score),
    }
    assert by_score
    capsys.readouterr()
    assert main(["inspect", str(folder)]) == 0
    shown = f"recorded for {counts[0]}, partly recorded for {counts[1]} and estimated for {len(by_score)}"
    assert shown in " ".join(capsys.readouterr().out.split())
    free = quickly(log, tmp_path / "free", unit="total_tokens")
    assert "scoring" not in free.training


def test_realised_cost_is_the_budget_within_sampling_error(trained: Any) -> None:
    """Guarantee: plans for new prompts of the population cost what was expected.

    Realised costs of different prompts are independent, and so are the reference prompts that expectations
    come from; z = 5.1 leaves a false-alarm rate below 1e-6 for three budgets, if their means are normal.
    """
    planner = Planner.load(trained.folder)
    fresh = simulated_log(500, n_samples=8, seed=77)
    allocations = planner.bundle.curves.allocations
    measured = measure_curves(fresh, allocations).output_tokens
    weights = planner.belief(fresh.prompts).weights.astype(np.float64)
    rows = np.arange(len(fresh))
    for limit in (80.0, 150.0, 400.0):
        plans = planner.plan(fresh.prompts, budget=Budget(limit=limit, unit="output_tokens"))
        columns = np.array([allocations.index(plan.allocation) for plan in plans])
        expected = np.array([plan.expected_cost for plan in plans])
        assert expected.mean() <= limit * (1 + 1e-9)
        assert_allclose(expected.mean(), limit, rtol=0.02)
        error = measured[rows, columns] - expected
        residual = planner.bundle.curves.output_tokens[:, columns].T - expected[:, None]
        of_references = np.sqrt(((weights * residual).mean(axis=0) ** 2).sum())
        of_prompts = error.std() / np.sqrt(len(fresh))
        assert abs(error.mean()) <= 5.1 * np.hypot(of_references, of_prompts)
        # And the test could fail: one part in eight would show.
        assert 5.1 * np.hypot(of_references, of_prompts) < limit / 8
