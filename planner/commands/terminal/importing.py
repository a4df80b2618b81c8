"""What ``planner import`` was asked for: which options mean something for which kind of file.

It assumes that kinds are told (`difficulty.importers.kind`). Options that mean nothing for a kind are
refused, rather than passed over. Reading is left to `difficulty.importers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from planner.commands.terminal.draw_options import extractor_of

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.importers.kind import Kind
    from difficulty.importers.shared import Extract, Grade
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
        return _READERS[kind](self)

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


def _read_table(wanted: Wanted) -> SampleLog:
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


def _read_inspect(wanted: Wanted) -> SampleLog:
    from difficulty.importers.inspect_ai import read_inspect

    return read_inspect(
        *wanted.paths,
        scorer=wanted.scorer,
        failed_samples=wanted.failed_samples,
        threshold=wanted.threshold,
        extract=wanted.finds,
        grade=wanted.judges,
    )


def _read_lm_eval(wanted: Wanted) -> SampleLog:
    from difficulty.importers.lm_eval import read_lm_eval

    return read_lm_eval(
        *wanted.paths,
        generator=wanted.drew("") if wanted.generator is not None or len(wanted.known) == 1 else None,
        generators=wanted.known,
        filter=wanted.filter_name,
        metric=wanted.scorer,
        prompt_field=wanted.prompt_field,
        extract=wanted.finds,
        grade=wanted.judges,
    )


def _read_reasoning_gym(wanted: Wanted) -> SampleLog:
    from difficulty.importers.reasoning_gym import read_reasoning_gym

    named = wanted.generator is not None or len(wanted.known) == 1
    drew = wanted.drew("") if named else None
    if wanted.threshold is None:
        return read_reasoning_gym(*wanted.paths, generator=drew)
    return read_reasoning_gym(*wanted.paths, generator=drew, threshold=wanted.threshold)


def _read_batch(wanted: Wanted) -> SampleLog:
    from difficulty.importers.openai_batch import read_openai_batch

    return read_openai_batch(*wanted.paths, extract=wanted.finds)


def _read_logs(wanted: Wanted) -> SampleLog:
    from difficulty.importers.shared import refuse_copies
    from difficulty.log.redaction import refuse_redacted
    from difficulty.log.sample_log import SampleLog

    refuse_copies(wanted.paths)
    log = SampleLog.read(*wanted.paths)
    refuse_redacted(log)
    return log


_READERS: Final[Mapping[Kind, Callable[[Wanted], SampleLog]]] = {
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
    "inspect_ai": frozenset(("--scorer", "--threshold", "--extract", "--grade", "--failed-samples")),
    "reasoning_gym": _DREW | {"--threshold"},
    "openai_batch": frozenset(("--extract",)),
    "sample_log": frozenset(),
}
