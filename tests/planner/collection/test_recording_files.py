"""Files of recordings: several strategies at once, and mistakes that are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError
from planner.collection.plan import Recording
from planner.collection.recordings import read_recordings
from policies.course.allocation import ParameterValue

BOTH = """
[[recordings]]
strategy = "beam_search"
widths = [4, 8]
runs = 2
params = { beam_width = 4, delimiter = "\\n" }

[[recordings]]
strategy = "sequential_revision"
widths = [8]
depth = 6
"""


def test_entries_become_grids(tmp_path: Path) -> None:
    path = tmp_path / "recordings.toml"
    path.write_text(BOTH)
    params: dict[str, ParameterValue] = {"beam_width": 4, "delimiter": "\n"}
    assert list(read_recordings(path)) == [
        *Recording.grid("beam_search", widths=(4, 8), runs=2, params=params),
        Recording(strategy="sequential_revision", width=8, depth=6),
    ]


def test_json_says_the_same_and_chains_have_four_attempts_by_default(tmp_path: Path) -> None:
    path = tmp_path / "recordings.json"
    path.write_text(json.dumps({"recordings": [{"strategy": "sequential_revision", "widths": [2]}]}))
    assert read_recordings(path) == (Recording(strategy="sequential_revision", width=2, depth=4),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recordings = 3", "Expected"),
        ("", "must hold a list of recordings"),
        ("[[recordings]]\nstrategy = 'beam_search'", "widths"),
        ("[[recordings]]\nstrategy = 'beams'\nwidths = [4]", "recording 1: strategy must be one of"),
        ("[[recordings]]\nstrategy = 'dvts'\nwidths = [4]\ncolour = 1", "unknown field"),
        ("[[recordings]]\nstrategy = 'dvts'\nwidths = [4]\nparams = {colour = 1}", "no parameter colour"),
        ("[[recordings]]\nstrategy = 'sequential_revision'\nwidths = [2, 4]", "chains are resampled"),
        ("[[recordings]]\nstrategy = 'majority_vote'\nwidths = [2]", "need not be recorded"),
        ("[[recordings", "neither JSON nor"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "recordings.toml"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        read_recordings(path)
