"""Of a large log some prompts are learned from: drawn by lot, with enough of each generator."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.commands.tables.bundle import training_table
from planner.commands.terminal.held_out import held_out
from training.policy.drawn import drawn_prompts
from training.simulated.log import simulated_log
from training.train import train


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.policy.drawn._MOST", 40)
    monkeypatch.setattr("training.policy.drawn._OF_EACH", 10)


def ids(log: SampleLog) -> list[str]:
    return [prompt.id for prompt in log.prompts]


def test_large_logs_are_drawn_from_in_their_order_and_small_ones_kept() -> None:
    log = simulated_log(200, n_samples=2, n_generators=1)
    drawn = drawn_prompts(log, seed=0)
    assert len(drawn) == 40
    assert ids(drawn) == [name for name in ids(log) if name in set(ids(drawn))]
    assert min(ids(log).index(name) for name in ids(drawn)) < 40  # not the first or the last ones
    assert max(ids(log).index(name) for name in ids(drawn)) >= 160
    assert ids(drawn_prompts(log, seed=0)) == ids(drawn) != ids(drawn_prompts(log, seed=1))
    assert drawn_prompts(drawn, seed=1).digest == drawn.digest


def test_generators_that_few_prompts_have_keep_more_than_their_share() -> None:
    usual = simulated_log(200, n_samples=2, n_generators=1)
    sample = {"answer": "1", "correct": True, "output_tokens": 3}
    few = [
        {"prompt_id": prompt.id, "prompt": prompt.text, "generator": "few", "samples": [sample]}
        for prompt in usual.prompts[:12]
    ]
    none = [{**few[0], "prompt_id": f"ungraded {n}", "samples": [{"answer": "1"}]} for n in range(50)]
    more = SampleLog.from_records([*few, *none], {"few": Generator(name="few")})
    drawn = drawn_prompts(SampleLog.merge([usual, more]), seed=3)
    assert 40 < len(drawn) <= 50
    assert (drawn.values().n[:, list(drawn.generators).index("few")] > 0).sum() >= 10
    assert not any(name.startswith("ungraded") for name in ids(drawn))


def test_a_bundle_knows_what_it_was_drawn_from_and_can_be_judged_on_the_others(tmp_path: Path) -> None:
    log = simulated_log(100, n_samples=3, n_generators=1)
    bundle = train(log, tmp_path / "policy", n_trials=1)
    drawn = set(ids(drawn_prompts(log, seed=0)))
    assert (bundle.training["n_prompts"], bundle.training["n_drawn_from"]) == (40, 100)
    assert {prompt.id for prompt in log.prompts if bundle.was_trained_on(prompt)} == drawn
    assert set(ids(held_out(bundle, log).log)) <= set(ids(log)) - drawn
    screen = StringIO()
    Console(file=screen, width=200).print(training_table(bundle))
    assert "40 prompts, 120 samples (drawn from 100 prompts)" in screen.getvalue()
