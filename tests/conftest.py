"""What many tests share: trained bundles on simulated logs, made once per session."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle


class Trained(NamedTuple):
    """A bundle, where it was written, and both sides of the log."""

    bundle: PolicyBundle
    folder: Path
    train_log: SampleLog
    test_log: SampleLog


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train once, on prompts whose text tells how hard they are; tests must not write to the folder."""
    from training.simulated.log import simulated_log
    from training.train import train

    train_log, test_log = simulated_log(260, n_samples=8, seed=1).split(test_fraction=0.4)
    folder = tmp_path_factory.mktemp("trained") / "policy"
    return Trained(train(train_log, folder, n_trials=1, seed=0), folder, train_log, test_log)


@pytest.fixture(scope="session")
def trained_small(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a small bundle of one generator."""
    from training.simulated.log import simulated_log
    from training.train import train

    train_log, test_log = simulated_log(60, n_samples=6, n_generators=1, seed=2).split(test_fraction=0.4)
    folder = tmp_path_factory.mktemp("trained") / "small"
    return Trained(train(train_log, folder, n_trials=1, seed=0), folder, train_log, test_log)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries wait for next to nothing, in tests of what comes after them."""
    from planner.backends.openai import patience

    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.001)
