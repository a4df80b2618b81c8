"""A menu holds what the log can value, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.course.allocation import Allocation
from policies.menu.build import build_menu, width_grid
from policies.menu.curves import measure_curves
from training.simulated.log import simulated_log


def log_of(*records: dict[str, Any]) -> SampleLog:
    return SampleLog.from_records(records, {"g": Generator(name="g")})


def strategies(menu: tuple[Allocation, ...]) -> set[tuple[str, str]]:
    return {(a.strategy, str(a.parameters.get("verifier", ""))) for a in menu}


@pytest.mark.parametrize("n_samples", [1, 2, 5, 16, 100, 999])
def test_widths_start_at_one_rise_and_never_pass_the_pool(n_samples: int) -> None:
    for votes in (True, False):
        widths = width_grid(n_samples, votes=votes)
        assert widths[0] == 1
        assert list(widths) == sorted(set(widths))
        assert widths[-1] <= n_samples
    assert all(width % 2 for width in width_grid(n_samples, votes=True))


def test_votes_need_answers_and_selection_needs_scores() -> None:
    right = {"correct": True}
    unanswered = [{"prompt_id": "a", "generator": "g", "samples": [right] * 3}]
    assert build_menu(log_of(*unanswered)) == (Allocation(generator="g", strategy="majority_vote", width=1),)
    assert strategies(build_menu(simulated_log(4, n_samples=5))) == {("majority_vote", "")}
    assert strategies(build_menu(simulated_log(4, n_samples=5, scores=True))) == {
        ("majority_vote", ""),
        ("best_of_n", "score"),
        ("weighted_best_of_n", "score"),
    }


def test_a_score_that_is_missing_somewhere_offers_no_selection() -> None:
    samples = [{"answer": "1", "correct": True, "score": 0.5}, {"answer": "1", "correct": True}]
    menu = build_menu(log_of({"prompt_id": "a", "generator": "g", "samples": samples}))
    assert strategies(menu) == {("majority_vote", "")}


def test_coverage_needs_correctness_only() -> None:
    menu = build_menu(
        log_of({"prompt_id": "a", "generator": "g", "n": 8, "n_correct": 2}), objective="coverage"
    )
    assert {a.strategy for a in menu} == {"first_success"}
    assert [a.width for a in menu] == list(width_grid(8, votes=False))


def test_a_width_needs_nine_in_ten_prompts() -> None:
    def prompts(n_short: int) -> SampleLog:
        sizes = [3] * n_short + [9] * (20 - n_short)
        return log_of(
            *(
                {"prompt_id": str(i), "generator": "g", "samples": [{"answer": "1", "correct": True}] * size}
                for i, size in enumerate(sizes)
            )
        )

    assert max(a.width for a in build_menu(prompts(2))) == 9
    assert max(a.width for a in build_menu(prompts(3))) == 3


def test_unlabelled_samples_offer_nothing() -> None:
    log = log_of({"prompt_id": "a", "generator": "g", "samples": [{"answer": "1"}]})
    with pytest.raises(InvalidInputError, match="no sample of this log is labelled"):
        build_menu(log)


def test_generators_without_labels_are_left_out() -> None:
    log = SampleLog.from_records(
        [
            {"prompt_id": "a", "generator": "g", "samples": [{"answer": "1", "correct": True}]},
            {"prompt_id": "a", "generator": "h", "samples": [{"answer": "1"}]},
        ],
        {name: Generator(name=name) for name in ("g", "h")},
    )
    assert {a.generator for a in build_menu(log)} == {"g"}


@pytest.mark.parametrize("objective", ["accuracy", "coverage"])
def test_everything_on_the_menu_can_be_valued_and_is_named_once(objective: Any) -> None:
    log = simulated_log(5, n_samples=7, n_generators=3, scores=True)
    menu = build_menu(log, objective=objective)
    assert len(set(menu)) == len(menu)
    assert not np.isnan(measure_curves(log, menu).value).any()
    assert {a.generator for a in menu} == set(log.generators)


def test_planned_revisions_keep_the_settings_that_their_chains_were_drawn_with() -> None:
    steps = [
        {"answer": "4", "correct": True, "output_tokens": 3, "chain": chain, "step": step}
        for chain in range(2)
        for step in range(2)
    ]
    records = [
        {
            "prompt_id": f"p{index}",
            "prompt": f"{index} + 1?",
            "generator": "tiny",
            "strategy": "sequential_revision",
            "params": {"depth": 2, "context": 1, "instruction": "Check your answer."},
            "samples": steps,
        }
        for index in range(3)
    ]
    log = SampleLog.from_records(records, {"tiny": Generator(name="tiny")})
    planned = [a for a in build_menu(log) if a.strategy == "sequential_revision"]
    assert planned
    for allocation in planned:
        assert allocation.parameters["context"] == 1
        assert allocation.parameters["instruction"] == "Check your answer."
        assert allocation.parameters["selection"] == "majority"
