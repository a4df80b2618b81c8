"""Places that nothing can be written to, or read from: file, reason and remedy, before the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planner.cli import main

TABLE = "question,answer,correct\n" + "".join(f"What is {n} + 1?,{n + 1},1\n" for n in range(5))
# What a user without rights meets; root passes over permissions, so that these rights are given up first.
_RIGHTS = "-dac_override,-dac_read_search"
_SCRIPT = """
import sys
from pathlib import Path
from planner.bundle.folder import open_folder
from planner.cli import main
codes = [main(["import", "table.csv", "--out", "closed/log.jsonl"])]
codes += [main(["import", "secret.csv"]), main(["evaluate", "bundle", "table.csv", "--out", "closed/report"])]
codes += [main(["compare", "table.csv", "--out", "closed/comparison"])]
try:
    with open_folder("closed"):
        codes.append("opened")
except PermissionError as error:
    codes.append(error.filename)
print(codes)
"""


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="root writes everywhere, and cannot give it up",
)
def test_folders_without_permission_are_named_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "secret.csv").write_text(TABLE)
    (tmp_path / "secret.csv").chmod(0)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "closed").mkdir(mode=0o555)
    given_up = ["setpriv", "--bounding-set", _RIGHTS, "--inh-caps", _RIGHTS] if os.geteuid() == 0 else []
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [*given_up, sys.executable, "-c", _SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 2, 'closed']"
    remedy = "Permission denied; take another path, or get the permission"
    for line in (
        f"error: closed/log.jsonl: cannot write the file: {remedy}",
        f"error: closed/report: {remedy}",
        f"error: closed/comparison: {remedy}",
    ):
        assert line in done.stderr.splitlines()
    assert "'secret.csv' is not readable" in done.stderr
    assert list((tmp_path / "closed").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (
            "none/log.jsonl",
            "none/log.jsonl: cannot write the file: No such file or directory; check the path",
        ),
        ("table.csv/log.jsonl", "Not a directory; take another path: a part of this one is a file"),
        ("folder", "'folder' is a directory"),
        ("log.csv", "the file name must end in .jsonl, .jsonl.gz or .parquet, got 'log.csv'"),
    ],
)
def test_paths_that_are_none_are_said(
    out: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "folder").mkdir()
    assert main(["import", "table.csv", "--out", out]) == 2
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "table.csv"]
