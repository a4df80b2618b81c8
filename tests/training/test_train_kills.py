"""Training that is killed at random moments: the folder holds the old bundle or the new one, whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from planner.bundle.folder import MANIFEST
from planner.bundle.policy_bundle import PolicyBundle
from training.simulated.log import simulated_log
from training.train import train

_TRAIN = """
import sys
from difficulty.log.sample_log import SampleLog
from training.train import train
def tell(stage, done, total):
    print(stage, flush=True)
train(SampleLog.read(sys.argv[1]), sys.argv[2], n_trials=1, seed=1, progress=tell)
"""


def start(log: Path, policy: Path) -> subprocess.Popen[bytes]:
    """Train in a process of its own, which tells each stage in a line."""
    return subprocess.Popen(
        [sys.executable, "-c", _TRAIN, str(log), str(policy)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A log and the folder of a bundle that was trained on it with seed 0."""
    log, policy = tmp_path / "log.jsonl", tmp_path / "policy"
    source = simulated_log(60, n_samples=6, n_generators=2, seed=2)
    source.write(log)
    train(source, policy, n_trials=1, seed=0)
    return log, policy


def test_the_old_bundle_stands_where_training_was_killed(places: tuple[Path, Path]) -> None:
    log, policy = places
    before = {path.name: path.read_bytes() for path in policy.iterdir()}
    process = start(log, policy)
    assert process.stdout is not None
    for line in process.stdout:
        if line.decode().strip() == "policy":
            process.kill()
            break
    process.communicate()
    assert process.returncode != 0
    for name, content in before.items():
        assert (policy / name).read_bytes() == content
    # And the folder is free again: what a dead process held stands in nobody's way.
    train(simulated_log(30, n_samples=3, n_generators=1), policy, n_trials=1, seed=5)
    assert PolicyBundle.load(policy).training["seed"] == 5


@pytest.mark.slow
def test_ten_kills_leave_the_old_bundle_or_the_new_one(places: tuple[Path, Path], tmp_path: Path) -> None:
    log, policy = places
    begun = monotonic()
    whole = start(log, tmp_path / "unhurt")
    assert whole.communicate()[1] == b"" and whole.returncode == 0
    took = monotonic() - begun
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = start(log, policy)
        try:
            process.wait(timeout=float(rng.uniform(0.2, 1.05) * took))
        except subprocess.TimeoutExpired:
            process.kill()
        assert process.communicate()[1] == b""
        assert PolicyBundle.load(policy).training["seed"] in (0, 1)
    last = start(log, policy)
    assert last.communicate()[1] == b"" and last.returncode == 0
    assert PolicyBundle.load(policy).training["seed"] == 1
    names = {path.name for path in policy.iterdir()}
    assert names == {path.name for path in (tmp_path / "unhurt").iterdir()} and MANIFEST in names
    for name in names:
        assert (policy / name).read_bytes() == (tmp_path / "unhurt" / name).read_bytes()
