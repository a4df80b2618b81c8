"""Plans as files for OpenAI's batch interface: one request a line, one model a file.

It assumes plans that decide everything before the first sample, since a batch can wait for nothing. Results
come back through ``planner import``, which knows the ids that are written here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.files.whole import written_whole
from difficulty.generator import Generator
from difficulty.importers.openai_batch import custom_id
from difficulty.prompt import Prompt, as_prompts
from planner.backends.openai.learning import ServerTraits
from planner.backends.openai.request import RequestStyle
from planner.ports.ports import SampleRequest
from policies.course.course import Course
from policies.plan.plan import AllocationPlan

BATCH_LIMITS: Final = (50_000, 200 * 1000 * 1000)
"""Requests and bytes that one file may have."""

_MOST_CHOICES: Final = 128  # of one request
_URL: Final = "/v1/chat/completions"
_TRAITS: Final = ServerTraits(native_n=True, logprobs=False, limit_field="max_completion_tokens", seeds=False)


def batch_requests(
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt | str],
    *,
    generators: Mapping[str, Generator],
    extra_body: Mapping[str, object] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the requests of plans, in order.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        One-shot plans, one per prompt.
    prompts : sequence of Prompt or str
        In the same order.
    generators : mapping of str to Generator
        Settings of the generators that the plans name, each with its `model`.
    extra_body : mapping, optional
        Further fields of every request.

    Raises
    ------
    InvalidInputError
        When plans and prompts do not match, a plan waits for samples or draws anything but whole answers, or
        a generator names no model.
    UnknownGeneratorError
        When a plan names a generator that is not there.

    Examples
    --------
    >>> from policies.course.allocation import Allocation
    >>> plan = AllocationPlan(
    ...     prompt_id="q1", allocation=Allocation(generator="g", strategy="majority_vote", width=4),
    ...     expected_accuracy=0.5, accuracy_interval=(0.0, 1.0), expected_cost=4.0, unit="samples",
    ... )
    >>> small = {"g": Generator(name="g", model="small-1b", temperature=0.7)}
    >>> request, = batch_requests([plan], [Prompt(id="q1", text="2 + 2?")], generators=small)
    >>> request["custom_id"], request["body"]["n"], request["body"]["messages"][0]["content"]
    ('q1#g#0', 4, '2 + 2?')
    """
    prompts = as_prompts(prompts)
    if [plan.prompt_id for plan in plans] != [prompt.id for prompt in prompts]:
        raise InvalidInputError("plans and prompts must be the same prompts in the same order")
    style = RequestStyle(extra_body=dict(extra_body or {}), thinking_field=None)
    for plan, prompt in zip(plans, prompts, strict=True):
        drawn: dict[str, int] = {}
        for step in _course(plan).steps:
            if step.generator not in generators:
                raise UnknownGeneratorError(
                    f"plan of prompt {plan.prompt_id!r} names generator {step.generator!r}; given are "
                    f"{', '.join(generators) or 'none'}"
                )
            generator = generators[step.generator]
            if generator.model is None:
                raise InvalidInputError(
                    f"generator {generator.name!r} names no model, which a batch needs: name it "
                    f"(--model {quote(generator.name + '=NAME')}, in Python Generator(model=...))"
                )
            temperature = step.parameters.get("temperature")
            if temperature is not None:
                generator = replace(generator, temperature=float(temperature))
            for start in range(0, step.n, _MOST_CHOICES):
                n = min(_MOST_CHOICES, step.n - start)
                first = drawn.get(step.generator, 0)
                drawn[step.generator] = first + n
                request = SampleRequest(prompt=prompt, generator=generator, n=n, seed=0)
                yield {
                    "custom_id": custom_id(prompt.id, step.generator, first),
                    "method": "POST",
                    "url": _URL,
                    "body": style.body(request, n=n, seed=0, traits=_TRAITS),
                }


def write_openai_batch(
    path: str | os.PathLike[str],
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt | str],
    *,
    generators: Mapping[str, Generator],
    extra_body: Mapping[str, object] | None = None,
) -> list[Path]:
    """Write the requests of plans, and return the files: one, or one for each model and 50,000 requests.

    Parameters
    ----------
    path : str or path
        Name of the file; of several, ``name-model.jsonl`` and ``name-model-2.jsonl`` beside it.
    plans, prompts, generators, extra_body
        As in `batch_requests`.

    Raises
    ------
    InvalidInputError, UnknownGeneratorError
        As in `batch_requests`; nothing is written then.
    """
    by_model: dict[str, list[bytes]] = {}
    for request in batch_requests(plans, prompts, generators=generators, extra_body=extra_body):
        line = msgspec.json.encode(request) + b"\n"
        by_model.setdefault(str(request["body"]["model"]), []).append(line)
    parts = {model: _cut(lines) for model, lines in by_model.items()}
    written = []
    for model, files in parts.items():
        for number, lines in enumerate(files, start=1):
            name = Path(path)
            if len(parts) > 1 or len(files) > 1:
                plain = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in model)
                again = f"-{number}" if number > 1 else ""
                name = name.with_name(f"{name.stem}-{plain}{again}{name.suffix}")
            with written_whole(name) as part:
                part.write_bytes(b"".join(lines))
            written.append(name)
    return written


def _course(plan: AllocationPlan) -> Course:
    course = plan.course
    if course is None or not course.one_shot or any(step.kind != "sample" for step in course.steps):
        raise InvalidInputError(
            f"plan of prompt {plan.prompt_id!r} ({course}) waits for samples, and a batch can wait for "
            "nothing; plan with one_shot=True (--one-shot)"
        )
    return course


def _cut(lines: Iterable[bytes]) -> list[list[bytes]]:
    """Return the lines in parts that keep to the limits of a file."""
    files: list[list[bytes]] = []
    size = 0
    for line in lines:
        if not files or len(files[-1]) == BATCH_LIMITS[0] or size + len(line) > BATCH_LIMITS[1]:
            files.append([])
            size = 0
        files[-1].append(line)
        size += len(line)
    return files
