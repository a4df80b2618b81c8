"""``planner import``: a sample log from files that people have: tables, logs of harnesses and of servers.

Options that mean nothing for a kind of file are refused. Reading is left to `difficulty.importers`, telling
what was taken for what to `planner.commands.tables.imported`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from planner.commands.tables.imported import summary_of, tell
from planner.commands.terminal.draw_options import extractor_of
from planner.commands.terminal.options import as_json
from planner.commands.terminal.terminal import print_json, say

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.importers.kind import Kind
    from difficulty.importers.shared import Extract, Grade
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
    "--extract",
    default=None,
    metavar="HOW",
    help="How answers are found in whole completions: number, boxed, math, choice, whole_text, json:FIELD or "
    "regex:PATTERN; by default recorded answers are taken.",
)
@click.option(
    "--grade",
    default=None,
    metavar="HOW",
    help="How answers are compared with the right ones (as --extract), where samples have no verdict.",
)
@click.option(
    "--failed-samples",
    type=click.Choice(["refuse", "leave_out"]),
    default="refuse",
    show_default=True,
    help="Samples of inspect_ai that ended in an error: refuse the log, or leave them out and count them.",
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
    extract: str | None,
    grade: str | None,
    failed_samples: Literal["refuse", "leave_out"],
    out: Path,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Make a sample log of CSV, TSV, Parquet, JSON Lines or JSON files, or of an evaluation's logs.

    Tables have one row a sample, or one row a prompt with lists, and columns of any names: common ones are
    found, others are named by the options. Logs of lm-evaluation-harness, inspect_ai and reasoning-gym, and
    folders of them, are recognised; sample logs, such as those that `planner serve` keeps, become one.
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
    known: dict[str, Generator] = {}
    if generators_file is not None:
        from planner.files.generators import read_generators

        known = read_generators(generators_file)
    wanted = _Wanted(
        paths=paths,
        columns={field: column for field, column in columns.items() if column is not None},
        generator=generator,
        known=known,
        threshold=threshold,
        filter_name=filter_name,
        scorer=scorer,
        prompt_field=prompt_field,
        extract=extract,
        grade=grade,
        failed_samples=failed_samples,
        rewarded=reward_from is not None,
    )
    wanted.check(kind)
    log = _READERS[kind](wanted)
    if reward_from is not None:
        log = log.with_rewards(reward_from, threshold=threshold)
    log.write(out)
    if as_json:
        print_json({"out": str(out), "kind": kind, "files": list(map(str, paths)), **summary_of(log)})
        return
    tell(log)
    say(f"wrote {out}: {log!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What was asked for; which kinds of file can answer it, `check` says."""

    paths: list[Path]
    columns: Mapping[str, str]
    generator: str | None
    known: Mapping[str, Generator]
    threshold: float | None
    filter_name: str | None
    scorer: str | None
    prompt_field: str | None
    extract: str | None
    grade: str | None
    failed_samples: Literal["refuse", "leave_out"]
    rewarded: bool

    def check(self, kind: Kind) -> None:
        """Refuse options that mean nothing for a kind of file, rather than pass over them."""
        from difficulty.errors import InvalidInputError

        given = {
            "--generator": self.generator is not None,
            "--generators": bool(self.known),
            "--threshold": self.threshold is not None and not self.rewarded,
            "--filter": self.filter_name is not None,
            "--scorer": self.scorer is not None,
            "--prompt-field": self.prompt_field is not None,
            "--extract": self.extract is not None,
            "--grade": self.grade is not None,
            "--failed-samples": self.failed_samples != "refuse",
        }
        given |= {_OPTIONS[field][0]: True for field in self.columns} if kind != "table" else {}
        surplus = [name for name, is_given in given.items() if is_given and name not in _MEANT[kind]]
        if surplus:
            raise InvalidInputError(
                f"{self.paths[0]} is {_NAMES[kind]}, for which {', '.join(surplus)} "
                f"{'means' if len(surplus) == 1 else 'mean'} nothing; leave "
                f"{'it' if len(surplus) == 1 else 'them'} out"
            )

    def drew(self, default: str) -> Generator:
        """Return the generator that drew everything."""
        from difficulty.generator import Generator

        name = self.generator or (next(iter(self.known)) if len(self.known) == 1 else default)
        return self.known.get(name) or Generator(name=name)

    @property
    def finds(self) -> Extract | None:
        """What finds answers in texts."""
        if self.extract is None:
            return None
        rule = extractor_of(self.extract)
        return lambda text: rule.extract(text, "stop")

    @property
    def judges(self) -> Grade | None:
        """What compares answers with the right ones."""
        return None if self.grade is None else extractor_of(self.grade).equal


def _read_table(wanted: _Wanted) -> SampleLog:
    from difficulty.errors import InvalidInputError
    from difficulty.generator import Generator
    from difficulty.importers.tables import read_table

    def read(columns: Mapping[str, str], known: Mapping[str, Generator]) -> SampleLog:
        return read_table(
            *wanted.paths,
            columns=columns,
            generators=known,
            threshold=wanted.threshold,
            extract=wanted.finds,
            grade=wanted.judges,
        )

    name, known = wanted.generator, wanted.known
    if name is not None:
        try:
            return read({**wanted.columns, "generator": name}, known)
        except InvalidInputError as error:
            if f"no column {name!r} for generator" not in str(error):
                raise
        known = {name: known.get(name) or Generator(name=name)}
    return read(wanted.columns, known)


def _read_inspect(wanted: _Wanted) -> SampleLog:
    from difficulty.importers.inspect_ai import read_inspect

    return read_inspect(
        *wanted.paths,
        scorer=wanted.scorer,
        failed_samples=wanted.failed_samples,
        threshold=wanted.threshold,
        extract=wanted.finds,
    )


def _read_lm_eval(wanted: _Wanted) -> SampleLog:
    from difficulty.importers.lm_eval import read_lm_eval

    return read_lm_eval(
        *wanted.paths,
        generator=wanted.drew(wanted.paths[0].absolute().parent.name),
        filter=wanted.filter_name,
        metric=wanted.scorer,
        prompt_field=wanted.prompt_field,
        extract=wanted.finds,
        grade=wanted.judges,
    )


def _read_reasoning_gym(wanted: _Wanted) -> SampleLog:
    from difficulty.importers.reasoning_gym import read_reasoning_gym

    named = wanted.generator is not None or len(wanted.known) == 1
    drew = wanted.drew("") if named else None
    if wanted.threshold is None:
        return read_reasoning_gym(*wanted.paths, generator=drew)
    return read_reasoning_gym(*wanted.paths, generator=drew, threshold=wanted.threshold)


def _read_batch(wanted: _Wanted) -> SampleLog:
    from difficulty.importers.openai_batch import read_openai_batch

    return read_openai_batch(*wanted.paths, extract=wanted.finds)


def _read_logs(wanted: _Wanted) -> SampleLog:
    from difficulty.importers.shared import refuse_copies
    from difficulty.log.redaction import refuse_redacted
    from difficulty.log.sample_log import SampleLog

    refuse_copies(wanted.paths)
    log = SampleLog.read(*wanted.paths)
    refuse_redacted(log)
    return log


_READERS: Final[Mapping[Kind, Callable[[_Wanted], SampleLog]]] = {
    "table": _read_table,
    "lm_eval": _read_lm_eval,
    "inspect_ai": _read_inspect,
    "reasoning_gym": _read_reasoning_gym,
    "openai_batch": _read_batch,
    "sample_log": _read_logs,
}
_NAMES: Final[Mapping[Kind, str]] = {
    "table": "a table",
    "lm_eval": "a log of lm-evaluation-harness",
    "inspect_ai": "a log of inspect_ai",
    "reasoning_gym": "a file of reasoning-gym's results",
    "openai_batch": "a batch",
    "sample_log": "a sample log",
}
_DREW: Final = frozenset(("--generator", "--generators"))
_MEANT: Final[Mapping[Kind, frozenset[str]]] = {
    "table": _DREW | {"--threshold", "--extract", "--grade"},
    "lm_eval": _DREW | {"--filter", "--scorer", "--prompt-field", "--extract", "--grade"},
    "inspect_ai": frozenset(("--scorer", "--threshold", "--extract", "--failed-samples")),
    "reasoning_gym": _DREW | {"--threshold"},
    "openai_batch": frozenset(("--extract",)),
    "sample_log": frozenset(),
}
