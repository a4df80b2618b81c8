"""Public values survive pickling, as worker processes need; the version can be asked for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

import planner
from planner import Allocation, AllocationPlan, Budget, Candidate, Generator, Outcome, Prompt, Usage
from training.simulated.log import simulated_log


def test_a_log_comes_back_whole_and_works() -> None:
    log = simulated_log(n_prompts=9, n_samples=4, seed=0)
    again = pickle.loads(pickle.dumps(log))
    assert again == log and again.digest == log.digest
    for name in log.generators:
        assert np.array_equal(again.pool(name).correct, log.pool(name).correct)


ALLOCATION = Allocation(generator="g", strategy="dvts", width=4, depth=2, params={"beam_width": 2})
PLAN = AllocationPlan(
    prompt_id="a",
    allocation=ALLOCATION,
    expected_accuracy=0.5,
    accuracy_interval=(0.4, 0.6),
    expected_cost=8.0,
    unit="samples",
    price=0.1,
)
OUTCOME = Outcome(
    prompt_id="a",
    allocation=ALLOCATION,
    answer="42",
    text="6 × 7 = 42",
    candidates=(Candidate(text="6 × 7 = 42", answer="42", status="ok", score=0.3, steps=("a", "b")),),
    selected=0,
    selected_by="weighted_best_of_n",
    usage=Usage(samples=2, output_tokens=31.5),
    expected_usage=Usage(samples=2),
    cost=1.0,
    expected_cost=2.0,
    stop_reason="budget",
    errors=(),
)
VALUES = (
    Generator(name="tiny", temperature=0.7),
    Prompt(messages=({"role": "user", "content": "1 + 1?"},)),
    Budget(limit=3, unit="samples"),
    PLAN,
    OUTCOME,
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_equal(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_the_version_is_that_of_the_distribution() -> None:
    assert planner.__version__ == version("ttc-planner")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "planner", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"planner, version {planner.__version__}\n"
