"""Features by a function of the user's take the place of hidden states: trained, judged and planned with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.features.own_features import OwnFeatures
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner import Budget, Planner
from training import evaluate, train


def rating(prompts: Sequence[Prompt]) -> list[list[float]]:
    """Return what somebody who knows the subject makes of a prompt; its text does not show it."""
    return [[0.0, 1.0] if int(prompt.id) % 2 else [1.0, 0.0] for prompt in prompts]


def log_of(ids: Sequence[int]) -> SampleLog:
    rng = np.random.default_rng(ids[0])
    records = []
    for at in ids:
        right = rng.random(8) < (0.95 if at % 2 else 0.5)
        words = " ".join(rng.choice(["tin", "oak", "sea", "fog", "hay", "ice", "owl"], 12))
        samples = [{"answer": "x" if yes else f"{rng.integers(9)}", "correct": bool(yes)} for yes in right]
        records.append({"prompt_id": str(at), "prompt": words, "generator": "tiny", "samples": samples})
    return SampleLog.from_records(records, {"tiny": Generator(name="tiny")})


def test_a_bundle_plans_by_features_of_a_function(tmp_path: Path) -> None:
    own, folder = OwnFeatures(name="rating", function=rating), tmp_path / "policy"
    bundle = train(log_of(range(240)), folder, n_trials=1, unit="samples", hidden_states=own)
    assert bundle.policy.reads_text
    fresh = log_of(range(1000, 1080))
    plans = Planner.load(folder, hidden_states=own).plan(
        fresh.prompts, budget=Budget(limit=3, unit="samples")
    )
    told = np.array([plan.expected_accuracy for plan in plans])
    assert told[1::2].min() > told[::2].max()  # every prompt that is rated easy is told to be
    assert evaluate(folder, fresh, hidden_states=own, n_bootstrap=100).verdict
    with pytest.raises(InvalidInputError, match=r"features of your own; load it in Python .*hidden_states="):
        Planner.load(folder).plan(fresh.prompts, price=0.01)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda prompts: [[1.0]], r"one row for each of 2 prompts; got \(1, 1\)"),
        (lambda prompts: [1.0, 2.0], r"got \(2,\)"),
        (lambda prompts: [[1.0], [np.inf]], "finite or NaN"),
        (lambda prompts: [["easy"], ["hard"]], "features 'mine': could not convert"),
        (lambda prompts: [[1.0], [1.0, 2.0]], "features 'mine': "),
    ],
)
def test_what_is_no_table_of_features_is_refused(function: object, words: str) -> None:
    own = OwnFeatures(name="mine", function=function)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=words):
        own.transform([Prompt(text="1"), Prompt(text="2")])
    with pytest.raises(InvalidInputError, match="a name and a function"):
        OwnFeatures(name="", function=function)  # type: ignore[arg-type]
