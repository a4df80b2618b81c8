"""Options that the drawing commands share: where tasks come from, which backend draws, what may be spent.

Each group of options reaches the command as one value. What the values mean is left to
`planner.collection.tasks`, `planner.backends.specs` and `planner.drivers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from planner.commands.terminal.options import Decorator, fields_of, json_option, packed
from planner.commands.terminal.terminal import note

if TYPE_CHECKING:
    from planner.answers.rule import AnswerRule
    from planner.backends.specs import BackendSpec
    from planner.collection.tasks import TaskSource
    from planner.drivers import Limits

_BACKEND: Final = (
    click.option(
        "--backend",
        "kind",
        type=click.Choice(["openai", "transformers", "vllm", "replay"]),
        required=True,
        help="openai: an OpenAI-like server; transformers, vllm: a model in this process; replay: a log.",
    ),
    click.option("--base-url", metavar="URL", help="Address of the server, up to /v1."),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="[GENERATOR=]NAME|PATH",
        help="Model on the server, folder or hub name; planner run takes one for each generator.",
    ),
    click.option("--log", metavar="PATH", help="Sample log to replay."),
    click.option(
        "--api",
        type=click.Choice(["chat", "completions"]),
        default="chat",
        help="Endpoint of the server.",
    ),
    click.option("--single", is_flag=True, help="One sample per request."),
    json_option("--extra-body", 'More request fields: {"top_k": 0}.'),
    json_option(
        "--generator-bodies",
        'Request fields by generator, nested as its provider wants them: {"deep": {"thinking": '
        '{"budget_tokens": "{thinking_tokens}"}}}.',
    ),
    click.option(
        "--thinking-field",
        metavar="FIELD",
        help="Field of the server for thinking budgets; by default thinking_token_budget.",
    ),
    json_option("--engine-options", 'Arguments of vllm.LLM: {"max_model_len": 4096}.'),
    json_option(
        "--chat-options",
        'Variables of the chat template, for a model in this process: {"enable_thinking": false}.',
    ),
    click.option(
        "--key-variable",
        metavar="NAME",
        help="Environment variable of the server's key; by default PLANNER_API_KEY, and OPENAI_API_KEY for "
        "that company's own address.",
    ),
    click.option("--concurrency", type=click.IntRange(min=1), default=64, help="Requests in flight."),
    click.option(
        "--timeout-seconds",
        type=click.FloatRange(min=0, min_open=True),
        default=600.0,
        help="Limit for one try of a request.",
    ),
)
_OF_GENERATORS: Final = ("model", "max_output_tokens")  # fields of a backend that no option is
_TASKS: Final = (
    click.option(
        "--format",
        "form",
        type=click.Choice(["auto", "jsonl", "text"]),
        default="auto",
        help="Form of a file of prompts.",
    ),
    click.option("--size", type=click.IntRange(min=1), help="Only the first so many tasks."),
    click.option("--task-seed", type=int, default=0, help="Seed of a reasoning-gym task."),
    json_option("--task-options", 'Options of a reasoning-gym task: {"min_terms": 2}.'),
)
_LIMITS: Final = (
    click.option("--max-samples", type=click.IntRange(min=1), help="Hard cap on samples."),
    click.option("--max-output-tokens-total", type=click.IntRange(min=1), help="Hard cap on output tokens."),
    click.option(
        "--max-seconds",
        type=click.FloatRange(min=0, min_open=True),
        help="Hard cap on the seconds of this session.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOptions:
    """How to read the tasks of a source; see `planner.collection.tasks.read_tasks`."""

    form: Literal["auto", "jsonl", "text"]
    size: int | None
    task_seed: int
    task_options: str

    def read(self, source: str) -> TaskSource:
        """Return the tasks, with a note on fields that nothing reads."""
        from planner.collection.tasks import read_tasks

        tasks = read_tasks(
            source, form=self.form, size=self.size, seed=self.task_seed, config=self.task_options
        )
        if tasks.unused_fields:
            note(f"fields of {source} that are not used: {', '.join(tasks.unused_fields)}")
        return tasks


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendOptions:
    """What was said of a backend; the models may be named by generators that are not read yet."""

    values: Mapping[str, Any]
    models: tuple[str, ...]

    @property
    def concurrency(self) -> int:
        """Requests in flight."""
        return int(self.values["concurrency"])

    def spec(self, model: str | None) -> BackendSpec:
        """Return the backend whose generators use `model` where they name none."""
        from planner.backends.specs import BackendSpec

        return BackendSpec(model=model, **self.values)

    def with_one_model(self) -> BackendSpec:
        """Return the backend of a command that takes at most one ``--model``.

        Raises
        ------
        click.UsageError
            When there are several.
        """
        if len(self.models) > 1:
            raise click.UsageError("--model is given twice; name the model of each generator in --generators")
        return self.spec(self.models[0] if self.models else None)


def _backend(values: dict[str, Any]) -> BackendOptions:
    from planner.backends.specs import BackendSpec

    names = [field.name for field in fields(BackendSpec) if field.name not in _OF_GENERATORS]
    return BackendOptions(models=values.pop("models"), values={name: values.pop(name) for name in names})


def _limits(values: dict[str, Any]) -> Limits:
    from planner.drivers import Limits

    known = values["concurrency"] if "concurrency" in values else values["backend"].concurrency
    return Limits(
        max_samples=values.pop("max_samples"),
        max_output_tokens=values.pop("max_output_tokens_total"),
        max_seconds=values.pop("max_seconds"),
        max_concurrency=known,
    )


backend_options: Final = packed("backend", _backend, _BACKEND)
"""A backend, as the argument ``backend``."""

tasks_options: Final = packed("task_options", fields_of(TaskOptions), _TASKS)
"""A source of tasks, as the argument ``task_options``."""

limit_options: Final = packed("limits", _limits, _LIMITS)
"""Hard caps, as the argument ``limits``, with the concurrency of the backend."""


def extract_option(more: str = "") -> Decorator:
    """Return the option ``--extract``; its help may say more."""
    return click.option(
        "--extract",
        metavar="HOW",
        help="number, boxed, math, choice, json, json:FIELD, tool_calls, clusters, program_outputs (runs the "
        f"programs on this machine), whole_text or regex:PATTERN; by default the last box, else the last "
        f"number.{more}",
    )


def extractor_of(name: str | None, *, replayed: object = None) -> AnswerRule:
    """Return the extractor of that name; by default the last box, else the last number.

    Parameters
    ----------
    name : str, optional
        As for `planner.answers.rules.extractor_named`, or ``number`` or ``choice`` for short; or
        ``program_outputs``, which runs programs here, as whoever writes it knows.
    replayed : AnswerRule, optional
        The default where a log is replayed, whose answers are extracted already.
    """
    from planner.answers.rule import AnswerRule
    from planner.answers.rules import USUAL_RULE, extractor_named

    if name == "program_outputs":
        from planner.verifiers.program_outputs import ProgramOutputs

        return ProgramOutputs(allow_execution=True)
    if name is not None:
        return extractor_named(name)
    return replayed if isinstance(replayed, AnswerRule) else USUAL_RULE
