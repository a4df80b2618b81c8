"""Logs with gaps: unknown verdicts and missing lines are left out, and training and evaluation go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from policies.cost.cost_model import CostModel
from training.evaluate import evaluate
from training.evaluation.judged import judge
from training.simulated.log import simulated_log
from training.train import train


def without(line: dict[str, Any], gap: str) -> list[dict[str, Any]]:
    """Return the line with a gap of that kind, or no line."""
    if gap == "no line":
        return []
    unknown = line["samples"][:1] if gap == "one verdict" else line["samples"]
    for sample in unknown:
        sample["correct"] = None
    return [line]


@pytest.mark.parametrize("gap", ["one verdict", "all verdicts", "no line"])
def test_a_generator_with_gaps_is_trained_and_judged(gap: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    simulated_log(80, n_samples=6, seed=1).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    gaps = {line["prompt_id"] for line in lines[::6]}  # too many for the generator to stay on the menu
    kept = [
        part
        for line in lines
        for part in (
            without(line, gap) if line["prompt_id"] in gaps and line["generator"] == "model-1" else [line]
        )
    ]
    path.write_text("\n".join(map(json.dumps, [header, *kept])))
    log = SampleLog.read(path)
    counts = log.counts()
    assert (counts.n_correct >= 0).all() and (counts.n_correct <= counts.n).all()
    train_log, test_log = log.split(0.4)
    bundle = train(train_log, tmp_path / "policy", n_trials=1, seed=0)
    report = evaluate(bundle, test_log, n_bootstrap=100)
    assert set(report.calibration) <= {"model-0", "model-1"} and "model-0" in report.calibration


@pytest.mark.parametrize("gap", ["counts only", "no tokens"])
def test_what_one_generator_lacks_is_done_without(gap: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    simulated_log(80, n_samples=6, seed=1).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    for line in lines:
        if line["generator"] != "model-1":
            continue
        if gap == "counts only":
            samples = line.pop("samples")
            line |= {"n": len(samples), "n_correct": sum(sample["correct"] for sample in samples)}
        for sample in line.get("samples", []):
            del sample["output_tokens"]
    path.write_text("\n".join(map(json.dumps, [header, *lines])))
    train_log, test_log = SampleLog.read(path).split(0.4)
    bundle = train(train_log, tmp_path / "policy", n_trials=1, seed=0, unit="output_tokens")
    assert {name for course in bundle.table.courses for name in course.generators} == {"model-0"}
    assert evaluate(bundle, test_log, n_bootstrap=100).data["n_prompts"] == len(test_log.prompts)


def test_ragged_samples_are_compared_where_they_are_known(tmp_path: Path) -> None:
    """Most test prompts have all samples that training saw, the others half of them."""
    train_log = simulated_log(120, n_samples=12, seed=1)
    bundle = train(train_log, tmp_path / "policy", n_trials=1, seed=0)
    whole = simulated_log(40, n_samples=12, seed=2)
    short = simulated_log(20, n_samples=4, seed=3)
    report = evaluate(bundle, SampleLog.merge([whole, short]), n_bootstrap=100)
    assert report.data["n_prompts"] == 40
    assert report.data["n_left_out"] == 20
    assert "20 prompts that lack samples" in report.to_markdown()
    alone = evaluate(bundle, whole, n_bootstrap=100)
    assert alone.comparison["plateau"] == report.comparison["plateau"]


def test_missing_lines_are_priced_by_tokens_of_prompts_too(tmp_path: Path) -> None:
    """Where prompts cost money and some lack a generator, their tokens for it are unknown as well."""
    path = tmp_path / "log.jsonl"
    simulated_log(120, n_samples=4, n_generators=3, seed=1).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    for generator in header["generators"].values():
        generator |= {"usd_per_mtok_in": 1.0, "usd_per_mtok_out": 4.0}
    kept = [line for at, line in enumerate(lines) if line["generator"] != "model-1" or at % 7]
    path.write_text("\n".join(map(json.dumps, [header, *kept])))
    train_log, test_log = SampleLog.read(path).split(0.4)
    bundle = train(train_log, tmp_path / "policy", unit="usd", n_trials=1, seed=0)
    report = evaluate(bundle, test_log, n_bootstrap=100)
    assert report.data["unit"] == "usd" and report.data["n_prompts"] > 0


def test_courses_that_few_prompts_tell_are_given_up_before_most_prompts_are(tmp_path: Path) -> None:
    """Each model has all samples of most prompts, and hardly any prompt has them of all models."""
    path = tmp_path / "log.jsonl"
    simulated_log(160, n_samples=6, n_generators=4, seed=1).write(path)
    header, *lines = map(json.loads, path.read_text().splitlines())
    for at, line in enumerate(lines):
        line["samples"] = line["samples"][: 2 if at % 7 in (0, 2, 5) else 6]
    path.write_text("\n".join(map(json.dumps, [header, *lines])))
    train_log, test_log = SampleLog.read(path).split(0.4)
    bundle = train(train_log, tmp_path / "policy", n_trials=1, seed=0)
    report = evaluate(bundle, test_log, n_bootstrap=100)
    assert report.data["n_courses_given_up"] > 0
    assert report.data["n_prompts"] >= 0.5 * len(test_log.prompts)
    assert "courses that too few of these prompts have samples for" in report.to_markdown()

    # What stood beside an offer that is given up is not all that is left: the best for everybody stands in.
    model = CostModel(unit=bundle.unit, generators=bundle.generators)
    left = judge(Planner(bundle=bundle), test_log, model).planner.bundle
    kept = [bundle.table.courses.index(course) for course in left.table.courses]
    lost = np.delete(bundle.policy.offered, kept, axis=1).any(axis=1)
    value = left.table.value.mean(axis=0)
    cost = left.table.cost(model, dict.fromkeys(left.generators, left.prompt_tokens[:, 0])).mean(axis=0)
    best = (value - left.policy.prices[:, None] * cost).argmax(axis=1)
    assert lost.any() and left.policy.offered[lost, best[lost]].all()
    assert (left.policy.offered[~lost] == bundle.policy.offered[~lost][:, kept]).all()
