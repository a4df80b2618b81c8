"""``planner train``: from sample logs to a policy bundle.

It sets a test side aside by itself, so that ``planner evaluate`` on the same log judges on prompts that were
never trained on. Learning is left to `training.train`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from difficulty.log.label_signals import LABELS
from planner.commands.terminal.options import (
    as_json,
    by_family_option,
    folder_option,
    reward_option,
    seed_option,
    unit_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument, note_near_duplicates
from planner.commands.terminal.terminal import note, print_json, results
from planner.progress import progress_bars
from policies.plan.objective import OBJECTIVES, Objective

if TYPE_CHECKING:
    from difficulty.log.sample_log import SampleLog

_TEST_FRACTION: Final = 0.4


@click.command("train", short_help="Train a policy on sample logs.")
@logs_argument
@folder_option("policy", "Folder of the bundle.")
@click.option("--trials", "n_trials", type=click.IntRange(min=1), default=200, help="Optuna trials.")
@seed_option
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="accuracy",
    help="accuracy: what the selector delivers; coverage: one right sample, where a checker finds it; "
    "reward: the graded truth of what is selected; contrast, variance: what a group of rollouts holds for "
    "reinforcement learning.",
)
@reward_option
@click.option(
    "--labels",
    type=click.Choice(LABELS),
    help="What stands for right and wrong where nobody graded: agreement of the samples, their scores "
    "(verifier), or their rewards (judge); recorded verdicts then only correct it.",
)
@unit_option
@click.option(
    "--storage",
    metavar="PATH|URL",
    help="Journal file or Optuna RDB URL: resumable, shared by several workers.",
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the prompts, by group, that is set aside for `planner evaluate`; 0 trains on all. "
    f"By default {_TEST_FRACTION}, and 0 for the train side of `planner split`.",
)
@by_family_option
@click.option(
    "--learned-verifier/--no-learned-verifier",
    default=True,
    help="Fit a verifier per generator from the log, and let plans pick by it where that was shown to pay.",
)
@as_json
def command(
    logs: Logs,
    out: Path,
    seed: int,
    objective: Objective,
    storage: str | None,
    test_fraction: float | None,
    by_family: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Train a policy on sample logs and write it as a bundle.

    Several LOG files are merged. A share of the prompts is set aside first (--test-fraction): `planner
    evaluate BUNDLE LOG` with the same files judges the bundle on exactly those.
    """
    from difficulty.errors import require
    from planner.bundle.folder import open_folder
    from training.train import train

    require("optuna", extra="train")
    with open_folder(out):  # find out before the work whether the bundle can be written there
        pass
    recorded = logs.read()
    training_side, n_test = _set_aside(recorded, test_fraction, seed, by_family)
    _warn_of_single_samples(training_side, objective)
    try:
        with progress_bars() as tell:
            bundle = train(
                training_side,
                out=out,
                seed=seed,
                objective=objective,
                storage=storage,
                family=by_family,
                progress=tell,
                **how,
            )
    except KeyboardInterrupt:
        note(_how_to_resume(storage))
        raise
    if as_json:
        print_json(
            {
                "bundle": str(out),
                "objective": bundle.objective,
                "unit": bundle.unit,
                "generators": list(bundle.generators),
                "n_courses": int(bundle.deployed.sum()),
                "n_test_prompts": n_test,
                "training": dict(bundle.training),
            }
        )
        return
    from planner.commands.tables.bundle import training_table, verdict_of_training, verdict_of_verifiers
    from planner.commands.terminal.console import Paragraph

    console = results()
    console.print(Paragraph(verdict_of_training(bundle), style="bold"))
    console.print(training_table(bundle))
    console.print(verdict_of_verifiers(bundle))
    console.print(f"\nAll of it: planner inspect {out}", soft_wrap=True)
    if n_test:
        files = f"{logs}{' --on-duplicate first' * (logs.on_duplicate == 'first')}"
        console.print(
            f"{n_test:,} prompts were set aside. Next: planner evaluate {out} {files}", soft_wrap=True
        )
    else:
        console.print(f"Next: planner evaluate {out} LOG, with a log of other prompts", soft_wrap=True)


def _how_to_resume(storage: str | None) -> str:
    """Return what an interrupted training kept, and how it goes on."""
    if storage is None:
        return "nothing was kept; with --storage FILE an interrupted search keeps its trials and goes on"
    return f"finished trials are kept in {storage}; the same command again goes on from there"


def _set_aside(
    log: SampleLog, test_fraction: float | None, seed: int, by: str | None
) -> tuple[SampleLog, int]:
    """Return the log to train on and the number of prompts set aside."""
    if test_fraction is None:
        split = log.about.get("split")
        if isinstance(split, dict) and split.get("side") == "train":
            note("this log is the train side of a split: all of it is trained on")
            return log, 0
        test_fraction = _TEST_FRACTION
    if test_fraction == 0:
        return log, 0
    note_near_duplicates(log)
    train_side, test_side = log.split(test_fraction=test_fraction, seed=seed, by=by)
    return train_side, len(test_side)


def _warn_of_single_samples(log: SampleLog, objective: Objective) -> None:
    """Say so when nothing in the log tells what several samples are worth."""
    valued = objective == "reward" or bool(log.counts().n.any())  # else it is refused
    if (
        objective in ("accuracy", "reward")
        and valued
        and not (log.has_answers or log.has_scores or log.has_logprobs or log.has_chains)
    ):
        note(
            f"this log records neither answers nor scores, so {objective} is known for single samples only "
            "and no width can be planned; "
            + (
                "record the scores of what picks when you run"
                if objective == "reward"
                else "if a checker recognises right answers when you run, train with --objective coverage"
            )
        )
