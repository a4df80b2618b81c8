"""Plans without a log, run under a budget: the first answers tell what agreement costs here."""

from __future__ import annotations

import numpy as np
import pytest

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


def scattered(n_prompts: int) -> SampleLog:
    """Return prompts whose wrong answers never come again, most of them hard."""
    rng = np.random.default_rng(3)
    records = []
    for row, chance in enumerate(rng.beta(0.7, 2.0, n_prompts)):
        right = rng.random(N_SAMPLES) < chance
        samples = [
            {"answer": "right" if ok else f"wrong {at}", "correct": bool(ok), "output_tokens": 10}
            for at, ok in enumerate(right)
        ]
        records.append({"prompt_id": str(row), "generator": "one", "samples": samples})
    return SampleLog.from_records(records, {"one": Generator(name="one")})


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
    kept = Planner(bundle=untrained.bundle)
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
