"""Training that is killed at random moments: the old bundle stays loadable, no finished trial is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

import numpy as np
import optuna
import pytest

from planner.bundle.folder import MANIFEST
from planner.bundle.policy_bundle import PolicyBundle
from training.menu.storage import study_storage
from training.simulated.log import simulated_log
from training.train import train

_TRAIN = """
import sys
from difficulty.log.sample_log import SampleLog
from training.train import train
log = SampleLog.read(sys.argv[1])
train(log, sys.argv[2], n_trials=int(sys.argv[3]), seed=1, storage=sys.argv[4])
"""


def finished(journal: Path) -> dict[tuple[str, int], float | None]:
    """Return the value of every finished trial, by study and number."""
    if not journal.exists():
        return {}
    storage = study_storage(journal)
    assert storage is not None
    studies = {study.study_name: study._study_id for study in storage.get_all_studies()}
    return {
        (name, trial.number): trial.value
        for name, key in studies.items()
        for trial in storage.get_all_trials(key)
        if trial.state == optuna.trial.TrialState.COMPLETE
    }


@pytest.mark.slow
def test_ten_kills_lose_nothing(tmp_path: Path) -> None:
    log, policy, journal = tmp_path / "log.jsonl", tmp_path / "policy", tmp_path / "journal"
    source = simulated_log(60, n_samples=6, n_generators=2, seed=2)
    source.write(log)
    train(source, policy, n_trials=2, seed=0)

    def start(storage: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _TRAIN, str(log), str(policy), "24", str(storage)]
        return subprocess.Popen(command, stderr=subprocess.PIPE)

    begun = monotonic()
    whole = start(tmp_path / "unhurt")
    assert whole.communicate()[1] == b"" and whole.returncode == 0
    took = monotonic() - begun
    rng = np.random.default_rng(0)
    known: dict[tuple[str, int], float | None] = {}
    for _ in range(10):
        process = start(journal)
        try:
            process.wait(timeout=float(rng.uniform(0.2, 1.0) * took))
        except subprocess.TimeoutExpired:
            process.kill()
        assert process.communicate()[1] == b""
        assert PolicyBundle.load(policy).training["seed"] in (0, 1)
        now = finished(journal)
        assert known.items() <= now.items()
        known = now
    last = start(journal)
    assert last.communicate()[1] == b"" and last.returncode == 0
    assert PolicyBundle.load(policy).training["seed"] == 1
    assert known.items() <= finished(journal).items()
    assert len([name for name, _ in finished(journal) if name.startswith("policy-")]) >= 24
    assert sorted(path.name for path in policy.iterdir() if path.name.startswith(".")) == []
    assert (policy / MANIFEST).is_file()
