"""Saving: the old bundle or the new one wherever it stops, no links, one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difficulty.errors import InvalidBundleError, InvalidInputError
from planner.bundle.folder import open_folder
from planner.bundle.policy_bundle import PolicyBundle

# Saves in a process that is killed at the n-th call that changes something on disk, for each n that it reads.
_KILLED = """
import os, sys
from dataclasses import replace
from planner.bundle.policy_bundle import PolicyBundle
def watch(event, args):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
bundle = PolicyBundle.load(sys.argv[1])
bundle = replace(bundle, training={**bundle.training, "seed": 777})
for line in sys.stdin:
    left = int(line)
    saving = os.fork()
    if not saving:
        sys.addaudithook(watch)
        bundle.save(sys.argv[2])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(saving, 0)[1]), flush=True)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_kill_at_any_step_leaves_the_old_bundle_or_the_new_one(
    trained: Any, trained_small: Any, tmp_path: Path
) -> None:
    target = tmp_path / "policy"
    seen = set()
    command = [sys.executable, "-c", _KILLED, trained_small.folder, target]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as saver:
        assert saver.stdin is not None and saver.stdout is not None
        for step in range(1, 60):
            PolicyBundle.load(trained.folder).save(target)
            print(step, file=saver.stdin, flush=True)
            ended = int(saver.stdout.readline())
            loaded = PolicyBundle.load(target)
            seen.add(loaded.training["seed"])
            assert len(loaded.generators) == (1 if loaded.training["seed"] == 777 else 2)
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
        else:
            pytest.fail("saving takes more steps than were tried")
    assert seen == {0, 777}
    assert step > 15
    assert names(target) == names(trained_small.folder)


def test_a_bundle_that_could_not_be_loaded_does_not_replace_one_that_can(
    trained: Any, tmp_path: Path
) -> None:
    bundle = PolicyBundle.load(trained.folder)
    bundle.save(tmp_path)
    broken = replace(bundle, table=replace(bundle.table, value=bundle.table.value * 7))
    with pytest.raises(InvalidBundleError, match="value must lie between 0 and 1"):
        broken.save(tmp_path)
    assert PolicyBundle.load(tmp_path).training == bundle.training


def test_the_next_writer_cleans_up_after_a_kill(trained: Any, tmp_path: Path) -> None:
    bundle = PolicyBundle.load(trained.folder)
    for left in (".draft", ".complete"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "references.npz").write_bytes(b"cut")
        bundle.save(tmp_path)
        assert names(tmp_path) == names(trained.folder)
        assert PolicyBundle.load(tmp_path).training == bundle.training


def test_folders_inside_are_left_alone(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("mine")
    PolicyBundle.load(trained.folder).save(tmp_path)
    assert (tmp_path / "report" / "report.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["references.npz", "manifest.json", "belief.npz", ".draft", ".complete"])
def test_nothing_is_written_through_links(trained: Any, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / name).symlink_to(outside if name.startswith(".") else outside / "precious")
    with pytest.raises(InvalidBundleError, match="holds links"):
        PolicyBundle.load(trained.folder).save(folder)
    assert (outside / "precious").read_text() == "mine"
    assert names(outside) == ["precious"]


def test_a_link_to_the_folder_itself_is_followed(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "v1")
    PolicyBundle.load(trained.folder).save(tmp_path / "current")
    assert names(tmp_path / "v1") == names(trained.folder)


def test_a_second_writer_is_told_and_an_empty_folder_is_not_left(trained: Any, tmp_path: Path) -> None:
    bundle = PolicyBundle.load(trained.folder)
    with open_folder(tmp_path / "policy"), pytest.raises(InvalidInputError, match="another training"):
        bundle.save(tmp_path / "policy")
    assert not (tmp_path / "policy").exists()
    bundle.save(tmp_path / "policy")
    with open_folder(tmp_path / "policy"):
        assert PolicyBundle.load(tmp_path / "policy").training == bundle.training


def test_a_reader_sees_one_bundle_while_another_is_written(trained: Any, tmp_path: Path) -> None:
    code = (
        "import sys; from dataclasses import replace; from planner.bundle.policy_bundle import PolicyBundle\n"
        "old = PolicyBundle.load(sys.argv[1]); new = replace(old, training={**old.training, 'seed': 777})\n"
        "for _ in range(15): old.save(sys.argv[2]); new.save(sys.argv[2])"
    )
    PolicyBundle.load(trained.folder).save(tmp_path)
    writer = subprocess.Popen([sys.executable, "-c", code, trained.folder, tmp_path])
    try:
        n_read = 0
        while writer.poll() is None:
            assert PolicyBundle.load(tmp_path).training["seed"] in (0, 777)
            n_read += 1
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == 0
    assert n_read


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_file_does_not_hang(trained: Any, tmp_path: Path) -> None:
    bundle = PolicyBundle.load(trained.folder)
    bundle.save(tmp_path)
    (tmp_path / "references.npz").unlink()
    os.mkfifo(tmp_path / "references.npz")
    with pytest.raises(InvalidBundleError, match=r"references\.npz is missing"):
        PolicyBundle.load(tmp_path)


def test_replacing_keeps_what_was_not_changed(trained: Any, tmp_path: Path) -> None:
    bundle = PolicyBundle.load(trained.folder)
    bundle.save(tmp_path)
    replace(bundle, features=None, belief=None).save(tmp_path)
    assert not [name for name in names(tmp_path) if name.startswith(("features", "belief"))]
