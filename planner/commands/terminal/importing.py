"""What ``planner import`` was asked for: which options mean something for which kind of file.

It assumes that kinds are told (`difficulty.importers.kind`). Options that mean nothing for a kind are
refused, rather than passed over. Reading is left to `difficulty.importers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from planner.commands.terminal.draw_options import extractor_of

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.importers.kind import Kind
    from difficulty.log.sample_log import SampleLog

COLUMN_OPTIONS: Final = {
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
    "family": ("--family", "families of prompts, such as tasks or subjects, for --by-family"),
    "samples": ("--samples", "lists of objects, one for each sample"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What was asked for; which kinds of file can answer it, `read` says."""

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

    def read(self, kind: Kind) -> SampleLog:
        """Return the log of files of one kind.

        Raises
        ------
        InvalidInputError
            When an option means nothing for this kind, or a file is not as it should be.
        """
        self._check(kind)
        return _READERS[kind].read(self)

    def _check(self, kind: Kind) -> None:
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
        given |= {COLUMN_OPTIONS[field][0]: True for field in self.columns} if kind != "table" else {}
        meant = _READERS[kind].options.split()
        surplus = [name for name, is_given in given.items() if is_given and name not in meant]
        if surplus:
            raise InvalidInputError(
                f"{self.paths[0]} is {_READERS[kind].name}, for which {', '.join(surplus)} "
                f"{'means' if len(surplus) == 1 else 'mean'} nothing; leave "
                f"{'it' if len(surplus) == 1 else 'them'} out"
            )

    @property
    def drew(self) -> Generator | None:
        """Who drew everything; None where the files say it themselves."""
        from difficulty.generator import Generator

        name = self.generator or (next(iter(self.known)) if len(self.known) == 1 else "")
        return self.known.get(name) or (Generator(name=name) if name else None)

    @property
    def rules(self) -> dict[str, Any]:
        """How answers are found in texts and compared with the right ones: arguments of readers."""
        found = None if self.extract is None else extractor_of(self.extract)
        return {
            "extract": None if found is None else lambda text: found.extract(text, "stop"),
            "grade": None if self.grade is None else extractor_of(self.grade).equal,
        }


def _read_table(wanted: Wanted) -> SampleLog:
    from difficulty.errors import InvalidInputError
    from difficulty.generator import Generator
    from difficulty.importers.tables import read_table

    read = partial(read_table, *wanted.paths, threshold=wanted.threshold, **wanted.rules)
    name, known = wanted.generator, wanted.known
    if name is not None:
        try:
            return read(columns={**wanted.columns, "generator": name}, generators=known)
        except InvalidInputError as error:
            if f"no column {name!r} for generator" not in str(error):
                raise
        known = {name: known.get(name) or Generator(name=name)}
    return read(columns=wanted.columns, generators=known)


def _read_inspect(wanted: Wanted) -> SampleLog:
    from difficulty.importers.inspect_ai import read_inspect

    how = {name: getattr(wanted, name) for name in ("scorer", "failed_samples", "threshold")}
    return read_inspect(*wanted.paths, **how, **wanted.rules)


def _read_lm_eval(wanted: Wanted) -> SampleLog:
    from difficulty.importers.lm_eval import read_lm_eval

    return read_lm_eval(
        *wanted.paths,
        generator=wanted.drew,
        generators=wanted.known,
        filter=wanted.filter_name,
        metric=wanted.scorer,
        prompt_field=wanted.prompt_field,
        **wanted.rules,
    )


def _read_reasoning_gym(wanted: Wanted) -> SampleLog:
    from difficulty.importers.reasoning_gym import read_reasoning_gym

    more = {} if wanted.threshold is None else {"threshold": wanted.threshold}
    return read_reasoning_gym(*wanted.paths, generator=wanted.drew, **more)


def _read_batch(wanted: Wanted) -> SampleLog:
    from difficulty.importers.openai_batch import read_openai_batch

    return read_openai_batch(*wanted.paths, extract=wanted.rules["extract"])


def _read_logs(wanted: Wanted) -> SampleLog:
    from difficulty.importers.shared import refuse_copies
    from difficulty.log.redaction import refuse_redacted
    from difficulty.log.sample_log import SampleLog

    refuse_copies(wanted.paths)
    log = SampleLog.read(*wanted.paths)
    refuse_redacted(log)
    return log


class _Reader(NamedTuple):
    """What files of a kind are called, how they are read, and the options that mean something for them."""

    name: str
    read: Callable[[Wanted], SampleLog]
    options: str


_DREW: Final = "--generator --generators"
_READERS: Final[Mapping[Kind, _Reader]] = {
    "table": _Reader("a table", _read_table, f"{_DREW} --threshold --extract --grade"),
    "lm_eval": _Reader(
        "a log of lm-evaluation-harness",
        _read_lm_eval,
        f"{_DREW} --filter --scorer --prompt-field --extract --grade",
    ),
    "inspect_ai": _Reader(
        "a log of inspect_ai", _read_inspect, "--scorer --threshold --extract --grade --failed-samples"
    ),
    "reasoning_gym": _Reader(
        "a file of reasoning-gym's results", _read_reasoning_gym, f"{_DREW} --threshold"
    ),
    "openai_batch": _Reader("a batch", _read_batch, "--extract"),
    "sample_log": _Reader("a sample log", _read_logs, ""),
}
