"""``planner savings``: what a log says would have been saved, before anything is trained.

Measuring and choosing are left to `training.savings`, the screen to `planner.commands.tables.savings`.
"""

from __future__ import annotations

from typing import Any

import click

from planner.commands.terminal.options import (
    as_json,
    bootstrap_option,
    reward_option,
    seed_option,
    unit_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument, note_near_duplicates
from planner.commands.terminal.terminal import results, say_json
from policies.plan.objective import GROUP_OBJECTIVES, OBJECTIVES


@click.command("savings", short_help="Tell from a log what could be saved, before training.")
@logs_argument
@unit_option
@click.option(
    "--objective",
    type=click.Choice([name for name in OBJECTIVES if name not in GROUP_OBJECTIVES]),
    default="accuracy",
    help="accuracy: what the selector delivers; coverage: one right sample, where a checker finds it; "
    "reward: the graded truth of what is selected.",
)
@reward_option
@click.option(
    "--generator",
    metavar="NAME",
    help="Who is sampled today; by default the one that gets furthest with the same N for everybody.",
)
@click.option(
    "--n",
    type=click.IntRange(min=1),
    metavar="N",
    help="Samples that everybody gets today; by default the fewest that get 90 % of the way from one to the "
    "best.",
)
@bootstrap_option()
@seed_option
@as_json
def command(logs: Logs, as_json: bool, **how: Any) -> None:
    """Tell what stopping early, pooling and choosing the model would have saved at equal accuracy.

    LOG holds several samples of each prompt, or one of each of several models. Nothing is trained: all is
    chosen on one half of the prompts and reported on the other, against the same number of samples for
    everybody.
    """
    from planner.commands.tables.savings import print_savings
    from training.savings.savings import savings

    recorded = logs.read()
    if not as_json:
        note_near_duplicates(recorded)
    found = savings(recorded, **how)
    if as_json:
        say_json(found.to_json())
    else:
        how_to_train = [str(logs), *([f"--unit {how['unit']}"] if how["unit"] else [])]
        if how["objective"] != "accuracy":
            how_to_train.append(f"--objective {how['objective']}")
        if how["objective"] == "reward" and how["reward"] != "reward":
            how_to_train.append(f"--reward {how['reward']}")
        print_savings(results(), found, " ".join(how_to_train))
