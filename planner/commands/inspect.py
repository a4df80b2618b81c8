"""``planner inspect``: what a bundle is and what it was trained on.

Every file of the bundle is checked against its hash on the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.commands.terminal.options import (
    FILE_TO_READ,
    FILE_TO_WRITE,
    as_json,
    bundle_argument,
    keep_apart,
)
from planner.commands.terminal.terminal import print_json, results

if TYPE_CHECKING:
    from planner.bundle.policy_bundle import PolicyBundle


@click.command("inspect", short_help="Tell what a policy is and was trained on.")
@bundle_argument
@click.option(
    "--decisions",
    type=FILE_TO_WRITE,
    help="Write the policy as a table of decisions: which course at which price, as .csv or .md.",
)
@click.option(
    "--prompts",
    type=FILE_TO_READ,
    help="Prompts like those to come, for --decisions of a policy that reads texts.",
)
@as_json
def command(bundle: Path, decisions: Path | None, prompts: Path | None, as_json: bool) -> None:
    """Tell what a bundle is and was trained on, after checking its files."""
    import msgspec

    from planner.bundle.manifest import read_manifest
    from planner.bundle.policy_bundle import PolicyBundle

    loaded = PolicyBundle.load(bundle)
    if decisions is not None:
        keep_apart([decisions], [bundle, *([prompts] if prompts else [])])
        _write_decisions(loaded, decisions, prompts)
    elif prompts is not None:
        raise click.UsageError("--prompts goes with --decisions")
    if as_json:
        print_json(msgspec.to_builtins(read_manifest(bundle)))
        return
    from planner.commands.tables.bundle import (
        bundle_table,
        course_table,
        generator_table,
        verdict_of_training,
        verifier_table,
    )

    console = results()
    console.print(bundle_table(loaded, str(bundle)))
    console.print(verdict_of_training(loaded))
    console.print()
    console.print(generator_table(loaded))
    console.print(course_table(loaded))
    scores = verifier_table(loaded)
    if scores.row_count:
        console.print(scores)
    if decisions is not None:
        console.print(f"Decisions: {decisions}", soft_wrap=True)


def _write_decisions(bundle: PolicyBundle, path: Path, prompts: Path | None) -> None:
    from planner.exports.decision_table import DecisionForm, decision_table, decisions_as_text
    from planner.files.prompts import read_prompts
    from planner.planner import Planner

    forms: dict[str, DecisionForm] = {".csv": "csv", ".md": "markdown"}
    if path.suffix not in forms:
        raise click.UsageError(f"--decisions writes .csv or .md; got {path.name}")
    asked = () if prompts is None else read_prompts(prompts).prompts
    found = decision_table(Planner(bundle=bundle), asked)
    path.write_text(decisions_as_text(found, forms[path.suffix]), encoding="utf-8")
