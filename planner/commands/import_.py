"""``planner import``: a sample log from files that people have: tables, logs of harnesses and of servers.

Options that mean nothing for a kind of file are refused. Reading is left to `difficulty.importers`, telling
what was taken for what to `planner.commands.tables.imported`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.tables.imported import summary_of, tell
from planner.commands.terminal.importing import COLUMN_OPTIONS, Wanted
from planner.commands.terminal.options import FILE_TO_READ, FILE_TO_WRITE, as_json, keep_apart
from planner.commands.terminal.terminal import note, print_json, say

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.importers.kind import Kind


def _column_options(function: click.decorators.FC) -> click.decorators.FC:
    for field, (name, meaning) in reversed(COLUMN_OPTIONS.items()):
        option = click.option(name, field, metavar="COLUMN", help=f"Column of the {meaning}.")
        function = option(function)
    return function


@click.command("import", short_help="Make a sample log of tables and of evaluation logs.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_column_options
@click.option(
    "--generator",
    metavar="COLUMN|NAME",
    help="Column of the generators' names, or the name of the one that drew everything.",
)
@click.option(
    "--generators",
    "generators_file",
    type=FILE_TO_READ,
    help="JSON or TOML file with sizes, prices and settings of the generators.",
)
@click.option(
    "--threshold", type=float, help="The least mark or reward that counts as right, where they are graded."
)
@click.option(
    "--reward-from",
    metavar="meta.KEY|score|correct",
    help="Take the rewards of samples from a list in the meta of each line, or from another field; a sample "
    "log may be given for this.",
)
@click.option("--filter", "filter_name", help="Filter of lm-evaluation-harness whose answers are taken.")
@click.option("--scorer", help="Scorer of inspect_ai, or metric of the harness, that says what is correct.")
@click.option("--prompt-field", metavar="FIELD", help="Field of the harness's documents with the question.")
@click.option(
    "--extract",
    metavar="HOW",
    help="How answers are found in whole completions: number, boxed, math, choice, whole_text, json:FIELD or "
    "regex:PATTERN; by default recorded answers are taken.",
)
@click.option(
    "--grade",
    metavar="HOW",
    help="How answers are compared with the right ones (as --extract), where samples have no verdict.",
)
@click.option(
    "--failed-samples",
    type=click.Choice(["refuse", "leave_out"]),
    default="refuse",
    help="Samples of inspect_ai that ended in an error: refuse the log, or leave them out and count them.",
)
@click.option(
    "--out",
    type=FILE_TO_WRITE,
    default=Path("samples.jsonl.gz"),
    help="Sample log to write (.jsonl, .jsonl.gz or .parquet).",
)
@as_json
def command(
    files: tuple[Path, ...],
    generators_file: Path | None,
    reward_from: str | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a sample log of CSV, TSV, Parquet, JSON Lines or JSON files, or of an evaluation's logs.

    Tables have one row a sample, or one row a prompt with lists, and columns of any names: common ones are
    found, others are named by the options. Logs of lm-evaluation-harness, inspect_ai and reasoning-gym, and
    folders of them, are recognised; sample logs, such as those that `planner serve` keeps, become one.
    """
    from difficulty.errors import InvalidInputError
    from difficulty.importers.kind import files_of, kind_of

    paths = files_of(files)
    keep_apart([out], paths)
    kinds: dict[Kind, Path] = {}
    for path in paths:
        kinds.setdefault(kind_of(path), path)
    if len(kinds) > 1:
        listed = ", ".join(f"{path} ({kind})" for kind, path in kinds.items())
        raise InvalidInputError(f"the files are of several kinds: {listed}; import them one kind at a time")
    (kind,) = kinds
    known: dict[str, Generator] = {}
    if generators_file is not None:
        from planner.files.generators import read_generators

        known = read_generators(generators_file)
    columns = {field: options.pop(field) for field in COLUMN_OPTIONS}
    wanted = Wanted(
        paths=paths,
        columns={field: column for field, column in columns.items() if column is not None},
        known=known,
        rewarded=reward_from is not None,
        **options,
    )
    log = wanted.read(kind)
    if reward_from is not None:
        log = log.with_rewards(reward_from, threshold=wanted.threshold)
    log.write(out)
    if as_json:
        print_json({"out": str(out), "kind": kind, "files": list(map(str, paths)), **summary_of(log)})
        return
    tell(log)
    untold = [name for name in log.generators if name not in known]
    if known and untold:
        note(f"{generators_file} says nothing of {', '.join(untold)}")
    say(f"wrote {out}: {log!r}")
