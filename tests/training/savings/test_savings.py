"""What a log says would have been saved: planted savings are found, luck is not, and nothing is in-sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from training.savings.parts import MODEL, NUMBER, STOPPING
from training.savings.savings import Savings, savings
from training.simulated.log import simulated_log


def log_of(correct: dict[str, Any], *, tokens: dict[str, int] | None = None, text: bool = True) -> SampleLog:
    """Return a log of correctness by generator, shape (P, M); wrong answers differ from one another."""
    records = []
    for name, right in correct.items():
        for row, samples in enumerate(right):
            if not len(samples):
                continue
            drawn = [
                {
                    "answer": "right" if good else f"wrong-{at}",
                    "correct": bool(good),
                    "output_tokens": (tokens or {}).get(name, 10),
                }
                for at, good in enumerate(samples)
            ]
            record: dict[str, Any] = {"prompt_id": f"p{row}", "generator": name, "samples": drawn}
            if text:
                record["prompt"] = " ".join(f"word{row}{letter}" for letter in "abcdefgh")
            records.append(record)
    return SampleLog.from_records(records, {name: Generator(name=name) for name in correct})


def way(found: Savings, name: str) -> dict[str, Any]:
    return next(way for way in found.ways if way["name"] == name)


def test_stopping_at_the_one_right_sample_of_eight_saves_what_is_not_drawn() -> None:
    correct = np.array([np.roll([1] + [0] * 7, row) for row in range(40)])
    found = savings(log_of({"m": correct}), objective="coverage", unit="samples", n=8)
    assert (found.today["value"], found.today["cost"], found.today["n"]) == (1.0, 8.0, 8)
    # The right one is equally likely to be any of the eight draws.
    assert way(found, STOPPING)["saved_share"] == pytest.approx(3.5 / 8, abs=0.04)
    assert way(found, STOPPING)["saved_share_interval"][0] > 0.3
    assert way(found, NUMBER)["saved_share"] == pytest.approx(0.0, abs=1e-6)


def test_what_stops_early_may_draw_as_many_as_anybody_does_today() -> None:
    drawn = [{"answer": "right", "correct": True}] * 6 + [{"answer": "wrong", "correct": False}] * 4
    records = [
        {"prompt_id": f"p{row}", "prompt": f"word{row} " * 8, "generator": "m", "samples": drawn}
        for row in range(40)
    ]
    found = savings(SampleLog.from_records(records, {"m": Generator(name="m")}), unit="samples", n=9)
    # A vote of 8 ties and loses, so only what may draw beyond it can stop where the vote of 9 is decided.
    assert found.today["n"] == 9 and way(found, STOPPING)["saved_share"] > 0.1


def test_a_cheaper_model_that_is_as_good_saves_the_difference_in_price() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random((60, 1)) < 0.5) & np.ones((60, 4), dtype=bool)
    log = log_of({"dear": right, "cheap": right}, tokens={"dear": 40, "cheap": 10})
    found = savings(log, generator="dear", n=1)
    assert found.today == {**found.today, "generator": "dear", "n": 1, "cost": 40.0}
    assert way(found, MODEL)["saved_share"] == pytest.approx(0.75)
    assert way(found, NUMBER)["saved"] == pytest.approx(0.0)


def test_one_sample_each_of_several_models_tells_who_is_as_good_for_less() -> None:
    right = np.arange(60)[:, None] % 3 > 0
    log = log_of({"dear": right, "cheap": right, "poor": ~right}, tokens={"dear": 40, "poor": 5})
    found = savings(log, generator="dear")
    assert (found.today["n"], found.today["cost"]) == (1, 40.0)
    assert way(found, MODEL)["saved_share"] == pytest.approx(0.75)
    assert found.data["most_samples"] == 3  # one vote of all three

    silent = SampleLog.from_records(
        [
            {
                "prompt_id": f"p{row}",
                "generator": name,
                "samples": [{"correct": bool(row % 3), "output_tokens": size}],
            }
            for row in range(60)
            for name, size in (("dear", 40), ("cheap", 10))
        ],
        {name: Generator(name=name) for name in ("dear", "cheap")},
    )
    found = savings(silent, generator="dear")
    assert way(found, MODEL)["saved_share"] == pytest.approx(0.75)
    assert found.data["most_samples"] == 1


def test_the_luckiest_of_many_equal_models_is_not_told_as_a_saving() -> None:
    sure = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.2, 0.9, size=(60, 1))
        log = log_of({f"m{at}": rng.random((60, 5)) < p for at in range(4)})
        share = way(savings(log, n=3, generator="m0", n_bootstrap=200), MODEL)["saved_share_interval"]
        sure += share[0] is not None and share[0] > 0
    assert sure <= 1


def test_collecting_counts_samples_that_nothing_is_compared_on() -> None:
    whole = simulated_log(60, n_samples=6, n_generators=3, seed=5)
    rare = [prompt.id for prompt in whole.prompts[:15]]
    log = SampleLog.merge(
        [
            whole.select_generators(["model-0", "model-1"]),
            whole.select(rare).select_generators(["model-2"]),
        ]
    )
    spent = sum(float(np.nansum(log.pool(name).output_tokens)) for name in log.generators)
    found = savings(log, unit="output_tokens", n_bootstrap=100)
    assert found.collecting["cost"] == pytest.approx(spent)
    assert found.data["n_left_out"] == 0


def test_collecting_is_repaid_when_the_savings_have_added_up_to_it() -> None:
    correct = np.array([np.roll([1] + [0] * 7, row) for row in range(40)])
    found = savings(log_of({"m": correct}), objective="coverage", unit="samples", n=8)
    saved = found.ways[-1]["saved"]
    assert found.collecting["cost"] == 320.0
    assert found.collecting["repaid_after"] == int(np.ceil(320 / saved))
    first, last = found.collecting["repaid_after_interval"]
    assert first <= found.collecting["repaid_after"] <= last


def test_what_saves_nothing_is_never_repaid() -> None:
    found = savings(log_of({"m": np.ones((20, 4), dtype=bool)}), unit="samples")
    assert found.today["n"] == 1
    assert found.collecting["repaid_after"] is None


def test_a_number_between_those_of_the_grid_is_measured_and_not_rounded() -> None:
    rng = np.random.default_rng(0)
    log = log_of({"m": rng.random((40, 8)) < 0.6})
    found = savings(log, unit="samples", n=4)
    assert (found.today["n"], found.today["cost"]) == (4, 4.0)


def test_near_duplicates_are_drawn_and_halved_together() -> None:
    rng = np.random.default_rng(0)
    log = log_of({"m": rng.random((30, 4)) < 0.6})
    doubled = [
        {
            "prompt_id": f"{name}-{prompt.id}",
            "prompt": prompt.content,
            "generator": "m",
            "samples": [
                {"answer": sample.answer, "correct": sample.correct, "output_tokens": 10}
                for sample in log.samples(prompt.id, "m")
            ],
        }
        for prompt in log.prompts
        for name in ("one", "two")
    ]
    twice = SampleLog.from_records(doubled, {"m": Generator(name="m")})
    found = savings(twice, n=3)
    assert (found.data["n_prompts"], found.data["n_groups"]) == (60, 30)


def test_prompts_that_lack_samples_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    right: list[Any] = (rng.random((40, 6)) < 0.6).tolist()
    right[0], right[1] = right[0][:1], right[1][:2]
    found = savings(log_of({"m": right}))
    assert (found.data["n_prompts"], found.data["n_left_out"]) == (38, 2)


def test_generators_that_many_prompts_lack_are_compared_as_far_as_half_of_the_prompts_go() -> None:
    rng = np.random.default_rng(0)
    right = {
        f"m{at}": [
            (rng.random(rng.choice([0, 5], p=[0.3, 0.7])) < 0.1 + 0.2 * at).tolist() for _ in range(40)
        ]
        for at in range(4)
    }
    log = log_of(right)
    found = savings(log, unit="samples", n_bootstrap=100)
    assert found.today["generator"] == "m3" and found.today["n"] > 1
    assert 20 <= found.data["n_prompts"] < 40
    assert savings(log, unit="samples", generator="m0", n_bootstrap=100).today["generator"] == "m0"


def test_the_same_seed_gives_the_same_savings() -> None:
    rng = np.random.default_rng(0)
    log = log_of({"m": rng.random((40, 6)) < 0.6})
    assert savings(log, seed=3).to_json() == savings(log, seed=3).to_json()


@pytest.mark.parametrize(
    ("arguments", "shape", "error", "words"),
    [
        ({}, (30, 1), InvalidInputError, "at least 2 labelled samples"),
        ({"n": 9}, (30, 4), InvalidInputError, "n must be at most 3.*got 9"),
        (
            {"generator": "other"},
            (30, 4),
            UnknownGeneratorError,
            "one of m; got 'other'",
        ),
        ({}, (6, 4), InvalidInputError, "at least 10 prompts that differ"),
        ({"n_bootstrap": 3}, (30, 4), InvalidInputError, "n_bootstrap must be at least 100"),
    ],
)
def test_what_cannot_be_told_is_refused_with_a_remedy(
    arguments: dict[str, Any], shape: tuple[int, int], error: type[Exception], words: str
) -> None:
    correct = np.random.default_rng(0).random(shape) < 0.6
    with pytest.raises(error, match=words):
        savings(log_of({"m": correct}), **arguments)


def test_a_log_that_nobody_graded_is_refused_with_what_to_do() -> None:
    drawn = [{"answer": "4"}, {"answer": "5"}]
    records = [{"prompt_id": f"p{row}", "generator": "m", "samples": drawn} for row in range(20)]
    log = SampleLog.from_records(records, {"m": Generator(name="m")})
    for objective in ("accuracy", "coverage"):
        with pytest.raises(InvalidInputError, match=r"known to be right or wrong.*import --grade"):
            savings(log, objective=objective)
