"""What is read of logs of inspect_ai: their header and samples, from ``.json`` and ``.eval`` files.

It assumes logs of version 2; fields that are not named here are not read, so that newer releases may add
some. What the fields mean is left to `difficulty.importers.inspect_sample`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from difficulty.errors import InvalidFileError, InvalidLogError
from difficulty.importers.shared import load_document, loads
from difficulty.log.wire import canonical_json

Content: TypeAlias = str | list[dict[str, Any]] | None
"""A text, or the parts of a message."""


class Settings(msgspec.Struct):
    """What is used of the settings that a model was asked with; other fields of all of these are not read."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    reasoning_tokens: int | None = None
    reasoning_effort: str | None = None


class Evaluation(msgspec.Struct):
    task: str
    model: str
    task_id: str | None = None
    model_generate_config: Settings | None = None


class Step(msgspec.Struct):
    solver: str
    params_passed: dict[str, Any] | None = None


class Plan(msgspec.Struct):
    steps: list[Step] = []


class Header(msgspec.Struct):
    eval: Evaluation
    status: str | None = None
    plan: Plan | None = None

    @property
    def solvers(self) -> tuple[str, ...]:
        """The solvers beyond plain generation, with what they were given."""
        steps = self.plan.steps if self.plan is not None else []
        return tuple(
            step.solver + (canonical_json(step.params_passed) if step.params_passed else "")
            for step in steps
            if step.solver != "generate" or step.params_passed
        )


class Message(msgspec.Struct):
    role: str = "assistant"
    content: Content = None


class Choice(msgspec.Struct):
    message: Message | None = None
    stop_reason: str | None = None


class Usage(msgspec.Struct):
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_cache_read: int | None = None

    def less(self, other: Usage) -> Usage:
        """Return these counts less others; unknown ones stay unknown."""
        own, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Usage(*(a if a is None else a - (b or 0) for a, b in zip(own, others, strict=True)))


class Output(msgspec.Struct):
    completion: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None


class Score(msgspec.Struct):
    value: Any = None
    answer: str | int | float | None = None


class Limit(msgspec.Struct):
    type: str


class Event(msgspec.Struct):
    """What happened: a call of a model, or the begin of a span, such as that of the scorers."""

    event: str
    id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    type: str | None = None
    model: str | None = None
    output: Output | None = None


class Sample(msgspec.Struct):
    id: str | int
    input: str | list[Message]
    uuid: str | None = None
    epoch: int = 1
    target: str | list[str] | None = None
    output: Output | None = None
    scores: dict[str, Score] | None = None
    model_usage: dict[str, Usage] | None = None
    attachments: dict[str, str] | None = None
    error: Any = None
    choices: list[str] | None = None
    limit: Limit | None = None
    events: list[Event] | None = None


def read_file(path: Path) -> tuple[Header, list[Sample]]:
    """Return the evaluation's header and its samples."""
    import zipfile  # not at module level: it is slow to import and needed here only

    name = str(path)
    try:
        if path.suffix == ".eval" or zipfile.is_zipfile(path):
            from difficulty.importers.inspect_archive import read_members

            packed, members = read_members(path)
            header = loads(packed, path=name)
            samples = [loads(member, path=name) for member in members]
        else:
            header = load_document(path)
            samples = (header.get("samples") or []) if isinstance(header, dict) else []
    except InvalidFileError as error:
        raise InvalidLogError(f"not a log of inspect_ai: {error.reason}", path=name) from error
    try:
        evaluation = msgspec.convert(header, Header)
        read = msgspec.convert(list(map(_with_calls, samples)), list[Sample])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a character, written as "\\ud800"
        raise InvalidLogError(f"not a log of inspect_ai: {error}", path=name) from error
    if not read:
        raise InvalidLogError("the log has no samples; it was written with log_samples=False", path=name)
    return evaluation, read


def _with_calls(sample: Any) -> Any:
    """Return a sample with those of its events that `Event` describes."""
    events = sample.get("events") if isinstance(sample, dict) else None
    if not isinstance(events, list):
        return sample
    kept = [
        each for each in events if isinstance(each, dict) and each.get("event") in ("model", "span_begin")
    ]
    return {**sample, "events": kept}
