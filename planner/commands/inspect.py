"""``planner inspect``: what a bundle is and what it was trained on.

Every file of the bundle is checked against its hash on the way.
"""

from __future__ import annotations

from pathlib import Path

import click

from planner.commands.terminal.options import as_json, bundle_argument
from planner.commands.terminal.terminal import print_json, results

__all__ = ["command"]


@click.command("inspect")
@bundle_argument
@as_json
def command(bundle: Path, as_json: bool) -> None:
    """Tell what a bundle is and was trained on, after checking its files."""
    import msgspec

    from planner.bundle.policy_bundle import PolicyBundle, read_manifest

    loaded = PolicyBundle.load(bundle)
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
    console.print(generator_table(loaded))
    console.print(course_table(loaded))
    if loaded.verifiers:
        console.print(verifier_table(loaded))
