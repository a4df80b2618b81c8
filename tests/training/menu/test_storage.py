"""Storages of studies: cut journals go on, what is no journal is left alone, databases are shared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from difficulty.errors import InvalidInputError, MissingDependencyError
from training.menu.storage import enqueue_missing, study_storage
from training.simulated.log import simulated_log
from training.train import train


def study(storage: str | Path) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=study_storage(storage), load_if_exists=True)


def run(storage: str | Path, n_trials: int) -> int:
    """Run trials and return how many finished ones the storage holds."""
    found = study(storage)
    found.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=n_trials)
    return sum(trial.state.is_finished() for trial in found.trials)


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_journal_that_was_cut_anywhere_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    assert run(journal, 2) == 2
    whole = journal.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(0, len(whole), 41):
        journal.write_bytes(whole[:cut])
        study_storage(journal)
        assert journal.read_bytes() == whole[: max([end for end in ends if end <= cut], default=0)]
    journal.write_bytes(whole[:-20])
    assert run(journal, 1) == 2
    assert run(journal, 1) == 3
    journal.write_bytes(b'{"op')
    assert run(journal, 1) == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{"sample_log": 1, "generators": {}}\n{"prompt_id": "a"}\n',
        b"my thesis, no newline",
        b'{"op_code":0,"worker_id":"w"}{"op_code":0,"worker_id":"w"}\n',
        b"\x80\x04.\n",
        b"[" * 100_000 + b"\n",
        b'{"op_code":5,"worker_id":"w"}\n',
        b"\n",
    ],
)
def test_what_is_no_journal_is_refused_by_name_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=str(path)):
        study_storage(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run(journal, 1)
    lines = journal.read_bytes().split(b"\n")
    lines[2] = lines[2][:9]
    journal.write_bytes(b"\n".join(lines))
    with pytest.raises(InvalidInputError, match="line 3: no record of an Optuna journal"):
        study_storage(journal)


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@localhost:6379", "http://x", "mongodb://x", "://", "file:///etc/passwd", "grpc://x"],
)
def test_urls_of_other_kinds_are_refused_without_their_secrets(url: str) -> None:
    with pytest.raises(InvalidInputError, match="sqlite, postgresql") as error:
        study_storage(url)
    assert "secret" not in str(error.value)


def test_databases_that_cannot_be_used_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.menu.storage._PAUSES", ())
    (tmp_path / "text.db").write_text("no database, but text that is long enough to be looked at" * 100)
    for url in (
        f"sqlite:///{tmp_path}/text.db",
        f"sqlite:///{tmp_path}/nowhere/study.db",
        "sqlite://:x:y@/z",
    ):
        with pytest.raises(InvalidInputError, match="sqlite"):
            study_storage(url)
    with pytest.raises((InvalidInputError, MissingDependencyError), match="postgresql"):
        study_storage("postgresql+nodriver://user:secret@localhost/x")


_WORKER = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
import optuna.storages, optuna.storages.journal, sqlalchemy
from training.menu.storage import study_storage
for storage in sys.argv[1:]:
    print(flush=True)
    sys.stdin.readline()
    study = optuna.create_study(study_name="s", storage=study_storage(storage), load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
"""


def test_workers_may_make_one_storage_at_once(tmp_path: Path) -> None:
    storages = [f"sqlite:///{tmp_path / 'study.db'}", str(tmp_path / "journal")]
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _WORKER, *storages]
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    for _ in storages:
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()  # all have loaded what they need, or have left the storage before
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
    errors = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], errors
    assert [run(storage, 0) for storage in storages] == [9, 9]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are looked up in /proc")
def test_a_study_leaves_no_database_open(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    begun = study(f"sqlite:///{path}")
    begun.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    opened = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert path.exists() and path.resolve() not in opened


def test_first_trials_that_a_kill_took_with_it_are_queued_again(tmp_path: Path) -> None:
    first = [{"x": 0.25}, {"x": 0.75}]
    begun = study(tmp_path / "journal")
    enqueue_missing(begun, first)
    assert begun.ask().suggest_float("x", 0, 1) == 0.25  # and is never told
    again = study(tmp_path / "journal")
    enqueue_missing(again, first)
    enqueue_missing(again, first)
    again.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert sorted(trial.params["x"] for trial in again.trials if trial.value is not None) == [0.25, 0.75]


def test_a_journal_in_another_folder_is_locked_by_its_full_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run("studies/journal", 1) == 1
    assert run(Path("studies/journal"), 1) == 2


def test_training_refuses_a_storage_before_it_fits_anything(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(InvalidInputError, match="redis"):
        train(
            simulated_log(30, n_samples=4, seed=0),
            tmp_path / "policy",
            unit="samples",
            storage="redis://localhost/0",
            progress=lambda stage, done, total: told.append(stage),
        )
    assert not told and not (tmp_path / "policy").exists()
