"""Plans without a log, run under a budget: the first answers tell what agreement costs here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from difficulty.errors import InvalidBundleError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from planner.planning.request import Request
from planner.planning.untrained import shipped_rules
from policies.cost.budget import Budget
from policies.table.recorded import Recorded
from policies.table.replay import replay

N_SAMPLES = 12


def scattered(n_prompts: int, generators: Sequence[str] = ("one",)) -> SampleLog:
    """Return prompts whose wrong answers never come again, most of them hard."""
    rng = np.random.default_rng(3)
    records = []
    for row, chance in enumerate(rng.beta(0.7, 2.0, n_prompts)):
        right = rng.random(N_SAMPLES) < chance
        samples = [
            {"answer": "right" if ok else f"wrong {at}", "correct": bool(ok), "output_tokens": 10}
            for at, ok in enumerate(right)
        ]
        records += [{"prompt_id": str(row), "generator": name, "samples": samples} for name in generators]
    return SampleLog.from_records(records, {name: Generator(name=name) for name in generators})


@pytest.mark.parametrize("rule", ["2 agree", "3 agree"])
def test_a_rule_is_matched_where_answers_hardly_agree(rule: str) -> None:
    log = scattered(240)
    course = shipped_rules(["one"], max_samples=N_SAMPLES)[rule]
    table = replay(Recorded.of(log, n_orders=24), [course])
    limit, worth = 10 * float(table.samples.mean()), float(table.value.mean())
    planner = Planner.untrained(["one"], output_tokens_per_sample=10, max_samples=N_SAMPLES)
    shares = []
    for seed in range(4):
        outcomes = planner.run(
            log.prompts,
            budget=Budget(limit=limit, unit="output_tokens"),
            backend=ReplayBackend(log, seed=seed, texts=False),
            seed=seed,
        )
        cost = sum(outcome.cost or 0.0 for outcome in outcomes)
        assert 0.98 * limit * len(outcomes) < cost <= limit * len(outcomes)
        shares.append(np.mean([outcome.answer == "right" for outcome in outcomes]))
    # Made-up prompts that are never told anew buy what costs twice as much, and run out of money: -.05.
    assert np.mean(shares) > worth - 0.025


def test_only_plans_without_a_log_learn_from_a_run() -> None:
    asked = Request(budget=Budget(limit=4, unit="samples"))
    untrained = Planner.untrained()
    kept = Planner(bundle=replace(untrained.bundle, made_up_levels=0))
    prompts = scattered(4).prompts
    for planner, learns in ((untrained, True), (kept, False)):
        batch = planner._preparer.batch(prompts, asked)
        assert batch is not None and batch.learns is learns
        plans = batch.plans(asked)
        assert (batch.learn(plans, []) is batch) is not learns


def test_what_was_seen_changes_what_is_told() -> None:
    prompts = scattered(40).prompts
    asked = Request(budget=Budget(limit=6, unit="samples"))
    planner = Planner.untrained(["one"], max_samples=N_SAMPLES)
    batch = planner._preparer.batch(prompts, asked)
    assert batch is not None
    plans = batch.plans(asked)
    run = planner.run(
        prompts,
        budget=Budget(limit=6, unit="samples"),
        backend=ReplayBackend(scattered(40), texts=False),
    )
    after = batch.learn(plans, run)
    rows = range(len(prompts))
    assert sum(after.expected(rows, plans)) > sum(plan.expected_cost for plan in plans)
    accuracy = [np.mean([plan.expected_accuracy for plan in one.plans(asked)]) for one in (batch, after)]
    assert accuracy[1] < accuracy[0]


@pytest.mark.parametrize("generators", [("one",), ("small", "medium", "one")])
def test_a_loaded_planner_learns_as_the_one_that_was_saved(
    generators: tuple[str, ...], tmp_path: Path
) -> None:
    log = scattered(64, generators)
    untrained = Planner.untrained(generators, output_tokens_per_sample=10, max_samples=N_SAMPLES)
    untrained.bundle.save(tmp_path / "new")
    # As it was saved before bundles told that they are of no log.
    replace(untrained.bundle, made_up_levels=0).save(tmp_path / "old")
    assert "made_up_levels" not in json.loads((tmp_path / "old" / "manifest.json").read_text())
    new, old, restricted = (
        Planner.load(tmp_path / "new"),
        Planner.load(tmp_path / "old"),
        Planner.load(tmp_path / "new", generators={"one": untrained.bundle.generators["one"]}),
    )
    budget = Budget(limit=60, unit="output_tokens")
    runs = []
    for planner in (untrained, new, old, restricted):
        outcomes = planner.run(log.prompts, budget=budget, backend=ReplayBackend(log, texts=False), seed=3)
        assert sum(outcome.cost or 0.0 for outcome in outcomes) <= 60 * 64
        runs.append([(outcome.answer, outcome.cost, outcome.expected_cost) for outcome in outcomes])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(runs[3]) == 64


@pytest.mark.parametrize("wrong", ["levels", "prompts", "cost"])
def test_tables_that_are_not_of_made_up_prompts_are_refused(wrong: str, tmp_path: Path) -> None:
    bundle = Planner.untrained(max_samples=4).bundle
    if wrong == "levels":
        bundle = replace(bundle, made_up_levels=len(bundle.table.courses) + 1)
    elif wrong == "prompts":
        rows = np.arange(len(bundle.table.value) - 1)
        references = bundle.references
        bundle = replace(
            bundle,
            table=bundle.table.take(rows),
            references=replace(
                references,
                n=references.n[rows],
                n_correct=references.n_correct[rows],
                output_tokens=references.output_tokens[rows],
            ),
            prompt_tokens=bundle.prompt_tokens[rows],
        )
    else:
        nothing = np.zeros_like(bundle.table.output_tokens)
        bundle = replace(bundle, table=replace(bundle.table, output_tokens=nothing))
    bundle.save(tmp_path / "bundle")
    with pytest.raises(InvalidBundleError, match="without a log"):
        Planner.load(tmp_path / "bundle")
