"""``planner import``: a sample log from files that people have: tables, lm-evaluation-harness, inspect_ai.

It tells which column was taken for what, what nothing reads, and what is missing. Reading is left to
`difficulty.importers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from planner.commands.terminal.options import as_json
from planner.commands.terminal.terminal import note, print_json, say

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.importers.kind import Kind
    from difficulty.log.sample_log import SampleLog

__all__ = ["command"]

_OPTIONS: Final = {
    "prompt_id": ("--id", "ids of the prompts"),
    "prompt": ("--prompt", "texts of the prompts, or lists of messages"),
    "answer": ("--answer", "answers found in the completions"),
    "correct": ("--correct", "verdicts: 0 and 1, true and false, …"),
    "output_tokens": ("--tokens", "output tokens"),
    "score": ("--score", "scores of a verifier"),
    "reward": ("--reward", "rewards: the graded truth of a sample"),
    "gold": ("--gold", "right answers"),
    "text": ("--text", "whole completions"),
    "prompt_tokens": ("--prompt-tokens", "prompt tokens"),
    "mean_logprob": ("--logprob", "mean log-probabilities per token"),
    "finish": ("--finish", "reasons why completions ended; 'length' marks a cut one"),
    "group": ("--group", "groups of near-duplicates"),
    "samples": ("--samples", "lists of objects, one for each sample"),
}


def _column_options(function: click.decorators.FC) -> click.decorators.FC:
    for field, (name, meaning) in reversed(_OPTIONS.items()):
        option = click.option(name, field, default=None, metavar="COLUMN", help=f"Column of the {meaning}.")
        function = option(function)
    return function


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_column_options
@click.option(
    "--generator",
    default=None,
    metavar="COLUMN|NAME",
    help="Column of the generators' names, or the name of the one that drew everything.",
)
@click.option(
    "--generators",
    "generators_file",
    default=None,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON or TOML file with sizes, prices and settings of the generators.",
)
@click.option(
    "--threshold",
    type=float,
    default=None,
    help="The least mark or reward that counts as right, where they are graded.",
)
@click.option(
    "--reward-from",
    default=None,
    metavar="meta.KEY|score|correct",
    help="Take the rewards of samples from a list in the meta of each line, or from another field; a sample "
    "log may be given for this.",
)
@click.option(
    "--filter", "filter_name", default=None, help="Filter of lm-evaluation-harness whose answers are taken."
)
@click.option(
    "--scorer",
    default=None,
    help="Scorer of inspect_ai, or metric of the harness, that says what is correct.",
)
@click.option(
    "--prompt-field",
    default=None,
    metavar="FIELD",
    help="Field of the harness's documents with the question.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("samples.jsonl.gz"),
    show_default=True,
    help="Sample log to write (.jsonl, .jsonl.gz or .parquet).",
)
@as_json
def command(
    files: tuple[Path, ...],
    generator: str | None,
    generators_file: Path | None,
    threshold: float | None,
    reward_from: str | None,
    filter_name: str | None,
    scorer: str | None,
    prompt_field: str | None,
    out: Path,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Make a sample log of CSV, TSV, Parquet, JSON Lines or JSON files, or of an evaluation's logs.

    Tables have one row a sample, or one row a prompt with lists, and columns of any names: common ones are
    found, others are named by the options. Logs of lm-evaluation-harness and inspect_ai, and folders of
    them, are recognised.
    """
    from difficulty.errors import InvalidInputError
    from difficulty.importers.kind import files_of, kind_of

    paths = files_of(files)
    kinds: dict[Kind, Path] = {}
    for path in paths:
        kinds.setdefault(kind_of(path), path)
    if len(kinds) > 1:
        listed = ", ".join(f"{path} ({kind})" for kind, path in kinds.items())
        raise InvalidInputError(f"the files are of several kinds: {listed}; import them one kind at a time")
    (kind,) = kinds
    if kind == "sample_log" and reward_from is None:
        raise InvalidInputError(f"{paths[0]} is a sample log already; every command reads it as it is")
    given = {field: column for field, column in columns.items() if column is not None}
    known: dict[str, Generator] = {}
    if generators_file is not None:
        from planner.files.generators import read_generators

        known = read_generators(generators_file)
    if kind == "sample_log":
        from planner.commands.terminal.recorded import read_logs

        log = read_logs(paths, "error")
    elif kind == "table":
        log = _read_table(paths, given, generator, known, threshold)
    else:
        if given:
            raise InvalidInputError(
                f"{paths[0]} is a log of {kind}, which has no columns; leave out "
                + ", ".join(_OPTIONS[field][0] for field in given)
            )
        log = _read_log(
            kind,
            paths,
            generator,
            known,
            threshold=threshold,
            filter_name=filter_name,
            scorer=scorer,
            prompt_field=prompt_field,
        )
    if reward_from is not None:
        log = log.with_rewards(reward_from, threshold=threshold)
    log.write(out)
    if as_json:
        print_json({"out": str(out), "kind": kind, "files": list(map(str, paths)), **_summary(log)})
        return
    _tell(log)
    say(f"wrote {out}: {log!r}")


def _read_table(
    paths: list[Path],
    columns: dict[str, str],
    generator: str | None,
    known: Mapping[str, Generator],
    threshold: float | None,
) -> SampleLog:
    from difficulty.errors import InvalidInputError
    from difficulty.generator import Generator
    from difficulty.importers.tables import read_table

    if generator is not None:
        try:
            return read_table(
                *paths, columns={**columns, "generator": generator}, generators=known, threshold=threshold
            )
        except InvalidInputError as error:
            if f"no column {generator!r} for generator" not in str(error):
                raise
        known = {generator: known.get(generator) or Generator(name=generator)}
    return read_table(*paths, columns=columns, generators=known, threshold=threshold)


def _read_log(
    kind: Kind,
    paths: list[Path],
    generator: str | None,
    known: Mapping[str, Generator],
    *,
    threshold: float | None,
    filter_name: str | None,
    scorer: str | None,
    prompt_field: str | None,
) -> SampleLog:
    if kind == "inspect_ai":
        from difficulty.importers.inspect_ai import read_inspect

        return read_inspect(*paths, scorer=scorer, threshold=threshold)
    from difficulty.generator import Generator
    from difficulty.importers.lm_eval import read_lm_eval

    name = generator or (next(iter(known)) if len(known) == 1 else paths[0].parent.name)
    return read_lm_eval(
        *paths,
        generator=known.get(name) or Generator(name=name),
        filter=filter_name,
        metric=scorer,
        prompt_field=prompt_field,
    )


def _summary(log: SampleLog) -> dict[str, object]:
    counts = log.counts().n
    n_recorded = log.n_recorded()
    drawn = n_recorded[n_recorded > 0]
    return {
        "n_prompts": len(log),
        "n_samples": log.n_samples,
        "generators": list(log.generators),
        "samples_per_prompt": [int(drawn.min()), int(drawn.max())] if drawn.size else [0, 0],
        "unknown_verdicts": int(n_recorded.sum() - counts.sum()),
        "missing_lines": int((n_recorded == 0).sum()),
        "about": dict(log.about),
    }


def _tell(log: SampleLog) -> None:
    """Say what was taken for what, and what the log lacks."""
    about, summary = log.about, _summary(log)
    for name in ("columns", "sample_fields"):
        taken = about.get(name)
        if isinstance(taken, dict):
            for field, column in taken.items():
                say(f"  {field:<14} <- {'samples: ' if name == 'sample_fields' else ''}{column}", error=True)
    unused = about.get("unused_columns")
    if isinstance(unused, list):
        note(f"not used: {', '.join(unused)}")
    if about.get("empty_rows_left_out"):
        note(f"left out: {about['empty_rows_left_out']} empty rows")
    if summary["unknown_verdicts"]:
        note(f"{summary['unknown_verdicts']:,} of {log.n_samples:,} samples have no verdict")
    least, most = log.n_recorded().min(), log.n_recorded().max()
    if least != most:
        note(f"ragged: {least} to {most} samples for a prompt and generator")
    if not log.has_tokens:
        note("not every sample has its tokens; costs can be told in samples only")
    if not log.has_text:
        note("not every prompt has a text; difficulty cannot be read from texts")
