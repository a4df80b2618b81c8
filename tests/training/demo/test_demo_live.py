"""The live half of the demo: real samples of the lab model, forecast before they are drawn."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.collection.collected import Collected
from planner.commands.tables.demo import live_summary, print_live, write_live
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.cost.usage import Usage
from training.demo.live import LiveDemo, LiveRun, lab_batches, live_budgets, run_live
from training.rehearsal.forecast import Forecast, Range

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="the lab model needs torch: pip install 'ttc-planner[local]'")


def test_batches_share_no_problem_and_are_the_same_again():
    first, second = lab_batches(200, 80, seed=3)
    texts = {prompt.text for prompt in (*first, *second)}
    assert (len(first), len(second), len(texts)) == (200, 80, 280)
    assert len({prompt.id for prompt in (*first, *second)}) == 280
    assert lab_batches(200, 80, seed=3) == [first, second]
    assert lab_batches(200, 80, seed=4) != [first, second]


def test_budgets_rise_and_can_be_planned_in_both_modes(trained):
    planner = Planner(bundle=trained.bundle)
    prompts = trained.test_log.prompts
    budgets = live_budgets(planner, prompts)
    limits = [budget.limit for budget in budgets]
    assert limits == sorted(set(limits)) and len(limits) == 3
    for budget in budgets:
        for one_shot in (False, True):
            plans = planner.plan(prompts, budget=budget, one_shot=one_shot)
            assert np.mean([plan.expected_cost for plan in plans]) <= budget.limit * (1 + 1e-9)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    """A live demo as small as it gets, and its folder."""
    folder = tmp_path_factory.mktemp("live")
    seen = []
    demo = run_live(
        folder,
        n_train=45,
        n_samples=4,
        n_prompts=12,
        n_trials=1,
        n_rehearsals=6,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
        on_collect=lambda report: seen.append(("collect", report.n_done, report.n_pieces)),
    )
    return SimpleNamespace(demo=demo, folder=folder, seen=seen)


def test_a_small_live_demo_keeps_true_books(small):
    demo = small.demo
    assert demo.collected.n_samples == 45 * 2 * 4
    assert [run.one_shot for run in demo.runs] == [True, False] * 3
    for run in demo.runs:
        mode = "-one-shot" if run.one_shot else ""
        lines = (small.folder / f"outcomes-{run.budget.limit:g}{mode}.jsonl").read_text().splitlines()
        outcomes = [json.loads(line) for line in lines]
        gold = {prompt.id: prompt.gold for prompt in demo.prompts}
        assert [one["prompt_id"] for one in outcomes] == list(gold)
        assert run.accuracy == np.mean([one["answer"] == gold[one["prompt_id"]] for one in outcomes])
        assert run.usage.output_tokens == sum(one["usage"]["output_tokens"] for one in outcomes)
        assert run.cost == pytest.approx(run.usage.output_tokens / len(outcomes))
        assert (
            0 <= run.forecast.accuracy.lower <= run.forecast.accuracy.mean <= run.forecast.accuracy.upper <= 1
        )
    assert demo.usage.output_tokens == sum(run.usage.output_tokens for run in demo.runs)


def test_a_live_demo_leaves_a_log_that_can_be_trained_on_and_replayed(small):
    log = SampleLog.read(small.folder / "log.jsonl.gz")
    assert log == small.demo.collected.log
    assert not {prompt.text for prompt in log.prompts} & {prompt.text for prompt in small.demo.prompts}
    planner = Planner.load(small.folder / "policy")
    outcomes = planner.run(log.prompts[:5], budget=small.demo.runs[-1].budget, backend=ReplayBackend(log))
    assert len(outcomes) == 5
    assert len(json.loads((small.folder / "live.json").read_text())) == 6


def test_progress_reaches_the_end_of_every_stage(small):
    ends = {stage: (done, total) for stage, done, total in small.seen}
    assert {"model", "collect", "rehearsals", "live"} <= set(ends)
    assert all(done == total for done, total in ends.values())


def a_demo():
    """Two runs, one of which came out where nobody expected it."""
    run = LiveRun(
        budget=Budget(limit=50, unit="output_tokens"),
        one_shot=True,
        forecast=Forecast(accuracy=Range(0.5, 0.4, 0.6), cost=Range(48.0, 44.0, 50.0)),
        accuracy=0.55,
        cost=47.25,
        usage=Usage(samples=10, output_tokens=470, requests=10),
        seconds=2.0,
    )
    far = LiveRun(
        budget=run.budget, one_shot=False, forecast=run.forecast, accuracy=0.7, cost=123.4, usage=run.usage,
        seconds=2.0,
    )  # fmt: skip
    collected = Collected(
        path="log", log=None, n_pieces=1, n_missing=0, n_samples=8, failures={}, missing={},
        usage=Usage(samples=8, output_tokens=100), seconds=4.0,
    )  # fmt: skip
    return LiveDemo(collected=collected, bundle=None, prompts=(), runs=(run, far))


def test_the_screen_says_how_many_forecasts_held_and_fits():
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        print_live(console, a_demo(), "demo/live/live.txt")
    text = captured.get()
    assert "0.50 [0.40, 0.60]" in text and "48 [44, 50]" in text
    assert "0.70 ✗" in text and "123 ✗" in text and "0.55 ✓" not in text  # that one is in the file
    assert "2 of 4 forecasts held" in " ".join(text.split()) and "…" not in text
    assert "All of it: demo/live/live.txt" in text and len(text.splitlines()) <= 12


def test_the_file_holds_every_run_and_the_books(tmp_path: Path):
    text = write_live(a_demo(), tmp_path / "live.txt").read_text()
    assert "0.55 ✓" in text and "47.2 ✓" in text and "0.70 ✗" in text
    assert "decided at once" in text and "may react" in text
    assert "20 samples, 940 output tokens" in text and "235 tokens/s" in text


def test_the_summary_is_json_with_every_figure():
    summary = json.loads(json.dumps(live_summary(a_demo())))
    assert [run["inside"] for run in summary["runs"]] == [
        {"accuracy": True, "cost": True},
        {"accuracy": False, "cost": False},
    ]
    assert summary["runs"][0]["forecast"]["accuracy"] == [0.5, 0.4, 0.6]
    assert summary["collected"]["n_samples"] == 8
    assert summary["usage"]["output_tokens"] == 940


@pytest.mark.slow
def test_live_runs_come_out_where_rehearsals_said(tmp_path):
    """Accuracy and cost of 120 fresh problems under three budgets, three collections, both kinds of plans.

    Of 36 figures with 95 % intervals, 13 misses or more have a chance of 2e-8 where the intervals are exact.
    """
    held = []
    for seed in (11, 12, 13):
        demo = run_live(tmp_path / str(seed), n_prompts=120, seed=seed)
        held += [inside for run in demo.runs for inside in run.inside]
        for run in demo.runs:
            accuracy = run.forecast.accuracy
            assert accuracy.upper - accuracy.lower < 0.3, "an interval this wide says nothing"
            assert run.cost <= run.budget.limit * 1.05
    assert len(held) == 36
    assert held.count(False) < 13
