"""An append-only log of a run, from which a killed run resumes without paying twice.

Each completed request is one JSON line, written before its result is used; each outcome is one line too, and
is forced to disk. Keys are hashes of what was asked, so that a resumed run finds what it has paid for
whatever the order. A last line that was torn by the kill is cut off and reported; a broken line anywhere else
is an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

from difficulty.errors import InvalidInputError
from planner.files.append import AppendFile
from planner.ports.outcome import Outcome
from planner.ports.outcome_wire import outcome_from_json, outcome_to_json
from planner.ports.ports import Completion, SampleRequest, ScoreRequest, Scores
from planner.ports.spending import usage_of_completion
from planner.strategies.task import Task
from policies.cost.usage import Usage

RUN_LOG_SCHEMA: Final = 1
_HEADER: Final = {"run_log": RUN_LOG_SCHEMA}
_FINAL: Final = ("complete", "satisfied")


class Recorded(NamedTuple):
    """A completion that was paid for earlier; the request and its seconds are counted on one of them only.

    `booked` says that its line names who paid, so that it is among what `RunLog.paid` returns.
    """

    completion: Completion
    requests: int
    seconds: float
    booked: bool = False

    @property
    def usage(self) -> Usage:
        """What it has used."""
        own = Usage(requests=self.requests, seconds=self.seconds)
        return usage_of_completion(self.completion) + own


class Paid(NamedTuple):
    """What a prompt has paid, at the prices of which generator; "" where a line of old does not say."""

    generator: str
    usage: Usage


class RunLog:
    """The open log of one run; use `RunLog.open`."""

    _file: AppendFile

    def __init__(self) -> None:
        self._samples: dict[str, dict[int, Recorded]] = {}
        self._scores: dict[str, Scores] = {}
        self._payers_of_scores: dict[str, str] = {}
        self._paid: dict[str, list[Paid]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._lost: dict[str, list[Paid]] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, resume: bool = False) -> Self:
        """Open a new log, or one to resume.

        Parameters
        ----------
        path : path
            The file; it is created where it does not exist.
        resume : bool
            Continue the log when it exists.

        Raises
        ------
        InvalidInputError
            When the file exists and `resume` is false, is no run log of this version, has a broken line
            before the last, or is in use by another process.
        """
        path = Path(path)
        if path.exists() and path.stat().st_size and not resume:
            raise InvalidInputError(f"{path} exists; pass resume=True to continue it, or another path")
        log = cls()
        header = msgspec.json.encode(_HEADER) + b"\n"
        read_line = partial(log._read_line, path)
        log._file = AppendFile.open(path, user="run", header=header, read_line=read_line)
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def sample(self, request: SampleRequest, index: int) -> Recorded | None:
        """Return completion `index` of `request` where it is recorded."""
        return self._samples.get(sample_key(request), {}).get(request.seed + index)

    def scores(self, request: ScoreRequest) -> Scores | None:
        """Return the scores of `request` where they are recorded."""
        return self._scores.get(score_key(request))

    def payer_of_scores(self, request: ScoreRequest) -> str:
        """Return at whose prices recorded scores were booked; "" where a line of old does not say."""
        return self._payers_of_scores.get(score_key(request), "")

    def paid(self, task: Task) -> list[Paid]:
        """Return all that earlier sessions paid for a prompt under this seed, whatever it is asked now."""
        return self._paid.get(_payer(task), [])

    def outcome(self, task: Task) -> Outcome | None:
        """Return the outcome of `task` where it is recorded and final."""
        return self._outcomes.get(_task_key(task))

    def lost(self, task: Task) -> list[Paid]:
        """Return what earlier sessions spent on failed or cancelled requests of this task."""
        return self._lost.get(_task_key(task), [])

    def add_samples(
        self,
        request: SampleRequest,
        indices: Sequence[int],
        completions: Sequence[Completion],
        *,
        seconds: float,
        task: Task | None = None,
    ) -> None:
        """Record the completions at `indices` of one request that an engine answered, and who pays them."""
        line: dict[str, object] = {
            "samples": sample_key(request),
            "seeds": [request.seed + index for index in indices],
            "seconds": seconds,
            "completions": [msgspec.to_builtins(completion) for completion in completions],
        }
        self._append(line | _paid_by(task, request.generator.name))

    def add_scores(
        self, request: ScoreRequest, scores: Scores, *, task: Task | None = None, generator: str = ""
    ) -> None:
        """Record the scores of one request, and who pays them at the prices of which generator."""
        line: dict[str, object] = {
            "scores": score_key(request),
            "values": list(scores),
            "verifier_tokens": scores.verifier_tokens,
        }
        more = {"steps": scores.steps, "tokens_each": scores.tokens_each}
        line |= {name: values for name, values in more.items() if values}
        self._append(line | _paid_by(task, generator))

    def add_lost(self, task: Task, usage: Usage, generator: str) -> None:
        """Record what failed or cancelled work cost; a resumed run tries again and keeps it in the books."""
        line = {"lost": _task_key(task), "usage": msgspec.to_builtins(usage)}
        self._append(line | _paid_by(task, generator))

    def add_outcome(self, task: Task, outcome: Outcome) -> None:
        """Record an outcome and force the log to disk."""
        self._append({"task": _task_key(task), "result": msgspec.Raw(outcome_to_json(outcome))})
        self._file.sync()

    def _append(self, line: Mapping[str, object]) -> None:
        self._file.append(msgspec.json.encode(line) + b"\n")

    def _read_line(self, path: Path, line: bytes, number: int) -> None:
        where = f"{path}, line {number}"
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
            if number == 1:
                if record != _HEADER:
                    raise InvalidInputError(f"{where}: not a run log of version {RUN_LOG_SCHEMA}")
            elif "samples" in record:
                self._read_samples(record)
            elif "scores" in record:
                scores = Scores(
                    msgspec.convert(record["values"], tuple[float, ...]),
                    verifier_tokens=record["verifier_tokens"],
                    tokens_each=msgspec.convert(record.get("tokens_each", ()), tuple[int, ...]),
                    steps=msgspec.convert(record.get("steps", ()), tuple[tuple[float, ...], ...]),
                )
                self._scores[record["scores"]] = scores
                if self._book(record, Usage(verifier_tokens=scores.verifier_tokens)):
                    self._payers_of_scores[record["scores"]] = record["generator"]
            elif "lost" in record:
                usage = msgspec.convert(record["usage"], Usage)
                self._book(record, usage)
                self._lost.setdefault(record["lost"], []).append(Paid(record.get("generator", ""), usage))
            else:
                outcome = outcome_from_json(msgspec.json.encode(record["result"]))
                if outcome.stop_reason in _FINAL:
                    self._outcomes[record["task"]] = outcome
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, UnicodeDecodeError) as error:
            raise InvalidInputError(
                f"{where}: a broken record before the end ({error}); restore the file or start a new one"
            ) from error

    def _read_samples(self, record: Mapping[str, Any]) -> None:
        completions = msgspec.convert(record["completions"], tuple[Completion, ...])
        if len(completions) != len(record["seeds"]):
            raise msgspec.ValidationError("seeds and completions differ in number")
        samples = self._samples.setdefault(record["samples"], {})
        for position, (seed, completion) in enumerate(zip(record["seeds"], completions, strict=True)):
            first = position == 0
            one = Recorded(completion, int(first), record["seconds"] if first else 0.0, "payer" in record)
            self._book(record, one.usage)
            samples[seed] = one

    def _book(self, record: Mapping[str, Any], usage: Usage) -> bool:
        """Note what a line says was paid, and return whether it says by whom; lines of old do not."""
        if "payer" not in record:
            return False
        payer, generator = msgspec.convert((record["payer"], record["generator"]), tuple[str, str])
        self._paid.setdefault(payer, []).append(Paid(generator, usage))
        return True


def _paid_by(task: Task | None, generator: str) -> dict[str, object]:
    return {} if task is None else {"payer": _payer(task), "generator": generator}


def _payer(task: Task) -> str:
    """Return who pays: a prompt, in a run of this seed."""
    prompt = task.prompt
    return _digest((prompt.id, prompt.text, prompt.messages), task.seed)


def _digest(*parts: object) -> str:
    data = msgspec.json.encode(parts, order="sorted", enc_hook=repr)
    return sha256(data).hexdigest()[:32]


def sample_key(request: SampleRequest) -> str:
    """Return what the completion of a seed depends on, the seed left out."""
    prompt, generator = request.prompt, request.generator
    drawing = {
        field.name: getattr(generator, field.name)
        for field in fields(generator)
        if field.name not in ("params", "active_params") and not field.name.startswith("usd_per_mtok")
    }
    content = (prompt.id, prompt.text, prompt.messages)
    return _digest(content, drawing, request.prefix, request.stop, request.max_output_tokens)


def score_key(request: ScoreRequest) -> str:
    """Return what the scores of a request depend on."""
    prompt = request.prompt
    content = (prompt.id, prompt.text, prompt.messages)
    asked = (request.verifier, request.generator)
    return _digest(content, asked, request.completions, request.mean_logprobs, request.output_tokens)


def _task_key(task: Task) -> str:
    # The words of the first version, so that its run logs are continued.
    described = "AllAtOnce()" if task.wave_size is None else f"FixedWaves(size={task.wave_size})"
    if task.strategy is not None:
        described += task.strategy.identity
    allocation = (
        task.allocation.strategy,
        task.allocation.width,
        task.allocation.depth,
        task.allocation.params,
    )
    opening = sample_key(task.request(n=1, offset=0))
    return _digest(opening, task.first_seed, allocation, described)
