"""``planner demo`` from the command line, as ``make demo`` runs it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.commands.demo import command


def test_wrong_arguments_are_refused_before_anything_is_made(tmp_path: Path):
    done = CliRunner().invoke(command, ["--out", str(tmp_path / "demo"), "--trials", "0"])
    assert done.exit_code == 2
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_both_halves_end_in_one_document(tmp_path: Path):
    """Offline and live, and a second time over what the first left."""
    for n_halves in (2, 1):
        live = "--live" if n_halves == 2 else "--no-live"
        done = CliRunner().invoke(command, ["--out", str(tmp_path / "demo"), "--trials", "3", "--json", live])
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)
        assert len(document["plans"]) == 3
        assert "best static mix" in document["verdict"]
        if n_halves == 2:
            assert len(document["live"]["runs"]) == 6
            assert document["live"]["n_prompts"] >= 100
        else:
            assert document["live"] is None
    assert (tmp_path / "demo" / "report" / "report.md").is_file()
    assert (tmp_path / "demo" / "live" / "log.jsonl.gz").is_file()
