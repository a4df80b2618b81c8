"""``planner split``: cut a sample log in two, so that near-duplicates stay on one side.

Training by ``planner train`` does this by itself; this command is for people who want the two files. The cut
is left to `SampleLog.split`.
"""

from __future__ import annotations

from pathlib import Path

import click

from planner.commands.terminal.options import (
    FILE_TO_WRITE,
    as_json,
    by_family_option,
    keep_apart,
    seed_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument, note_near_duplicates
from planner.commands.terminal.terminal import print_json, say


@click.command("split", short_help="Split sample logs into a train and a test side.")
@logs_argument
@click.option(
    "--train",
    "train_path",
    required=True,
    type=FILE_TO_WRITE,
    help="File of the train side (.jsonl, .jsonl.gz or .parquet).",
)
@click.option("--test", "test_path", required=True, type=FILE_TO_WRITE, help="File of the test side.")
@click.option("--test-fraction", type=float, default=0.4, help="Share of prompts, by group.")
@by_family_option
@seed_option
@as_json
def command(
    logs: Logs,
    train_path: Path,
    test_path: Path,
    test_fraction: float,
    by_family: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Split sample logs into a train and a test side, by group of prompts or by family."""
    keep_apart((train_path, test_path), logs.paths)
    whole = logs.read()
    sides = whole.split(test_fraction=test_fraction, seed=seed, by=by_family)
    near = whole.near_duplicates()
    for side, path in zip(sides, (train_path, test_path), strict=True):
        side.write(path)
    rows = [
        {"side": name, "path": str(path), "n_prompts": len(side), "n_samples": side.n_samples}
        for name, path, side in zip(("train", "test"), (train_path, test_path), sides, strict=True)
    ]
    if as_json:
        found = {"n_prompts": near.n_prompts, "n_groups": near.n_groups}
        result = {"test_fraction": test_fraction, "seed": seed, "near_duplicates": found, "sides": rows}
        print_json(result if by_family is None else {**result, "by_family": by_family})
        return
    note_near_duplicates(whole)
    for row in rows:
        say(f"{row['side']:<5} {row['n_prompts']:,} prompts, {row['n_samples']:,} samples: {row['path']}")
