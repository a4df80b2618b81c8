"""``planner extend``: add a generator to a bundle from few labelled prompts, and say what to label next.

The old bundle stays as it is. Learning is left to `training.extension.extend`.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any, Final

import click

from planner.commands.terminal.options import (
    FILE_TO_READ,
    as_json,
    bundle_argument,
    folder_option,
    seed_option,
)
from planner.commands.terminal.recorded import Logs, logs_argument
from planner.commands.terminal.terminal import print_json, results
from planner.progress import progress_bars

_SHOWN: Final = 5


@click.command("extend", short_help="Add a generator to a policy, from about 100 prompts.")
@bundle_argument
@logs_argument
@folder_option("extended", "Folder of the extended bundle.")
@click.option("--generator", metavar="NAME", help="Which generator of LOG, where several are new.")
@click.option(
    "--candidates",
    type=FILE_TO_READ,
    help="File of prompts that could be labelled next, as for `planner plan`; by default those of LOG that "
    "nobody graded.",
)
@click.option("--next", "n_next", type=click.IntRange(min=1), default=50, help="How many of them to name.")
@seed_option
@as_json
def command(bundle: Path, logs: Logs, out: Path, candidates: Path | None, as_json: bool, **how: Any) -> None:
    """Add a generator to a bundle from labelled samples of a hundred prompts or so.

    LOG holds the samples of the new generator. Prompts of the old training are the best to label, others will
    do. Samples of more prompts help without being graded, by how far they agree; and far more if the old log
    is given as well, since answers that were graded there need no grading again. Then nothing need be graded
    at first, and the prompts that are named to be labelled next are those whose labels help most.
    """
    from difficulty.files.whole import check_writable
    from planner.bundle.policy_bundle import PolicyBundle
    from planner.collection.tasks import read_tasks
    from training.extension.extend import extend

    check_writable(out)
    known = PolicyBundle.load(bundle)
    recorded = logs.read()
    asked = [] if candidates is None else read_tasks(str(candidates), form="auto").prompts
    with progress_bars() as tell:
        tell("extension", 0, 1)
        found = extend(known, recorded, candidates=asked, **how)
        found.bundle.save(out)
        tell("extension", 1, 1)
    if as_json:
        told = {name: getattr(found, name) for name in found.__slots__}
        print_json({**told, "bundle": str(out)})
        return
    console = results()
    ungraded = found.n_drawn - found.n_labelled
    rest = f" and {ungraded:,} that nobody graded" if ungraded else ""
    rest += f" ({found.n_told:,} told by graded answers of others)" if found.n_told else ""
    skill = (
        f"{100 * found.skill:.0f} % of the differences between prompts are foretold"
        if isfinite(found.skill)
        else "single samples do not tell how far prompts differ"
    )
    console.print(
        f"{found.generator}, from {found.n_labelled} labelled prompts{rest}: {skill}; success is "
        f"{found.rate:.2f} on average, and known to ± {found.deviation:.2f} for a single prompt.",
        style="bold",
    )
    used = f"Plans may use it at {100 * found.offered:.0f} % of the prices."
    console.print(used if found.offered else "Plans do not use it: it was not shown to pay at any price.")
    if found.next_prompts:
        more = "" if len(found.next_prompts) <= _SHOWN else ", … (all with --json)"
        console.print(
            f"Label next: {', '.join(found.next_prompts[:_SHOWN])}{more}", markup=False, soft_wrap=True
        )
    console.print(f"Next: planner plan {out} PROMPTS, or planner inspect {out}", markup=False, soft_wrap=True)
