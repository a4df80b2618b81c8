"""``planner collect``: from prompts to a graded sample log, on any backend.

It says what it will cost before the bulk is drawn, shows the rate, and goes on where a kill left it. Drawing
is left to `planner.collection.session`.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial as bound
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.commands.terminal.draw_options import (
    BackendOptions,
    TaskOptions,
    backend_options,
    extract_option,
    extractor_of,
    limit_options,
    tasks_options,
)
from planner.commands.terminal.options import FILE_TO_READ, FILE_TO_WRITE, as_json, seed_option
from planner.commands.terminal.recording_options import RecordingOptions, recording_options
from planner.commands.terminal.terminal import note, say
from planner.progress import Teller, progress_bars

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from planner.backends.specs import BackendSpec
    from planner.collection.estimate import Estimate
    from planner.collection.plan import CollectPlan
    from planner.collection.worker import CollectWorker
    from planner.drivers import Limits
    from planner.ports.ports import Backend


@click.command("collect", short_help="Draw samples of prompts, grade them, write a sample log.")
@click.argument("prompts")
@click.option("--out", required=True, type=FILE_TO_WRITE, help="The log: .jsonl, .jsonl.gz or .parquet.")
@click.option(
    "--generators",
    "generators_file",
    type=FILE_TO_READ,
    help="JSON or TOML file: name of each generator, with its model, prompt_template, temperature …",
)
@click.option("--temperature", type=float, help="Without --generators: of the only one.")
@click.option("--max-output-tokens", type=int, help="Without --generators: cap of the only one.")
@click.option("--samples", type=click.IntRange(min=0), default=16, help="Independent samples each.")
@recording_options
@extract_option()
@click.option(
    "--verifier",
    metavar="NAME",
    help="Scores every sample, and serves searches: mean_logprob, checker, reward:MODEL, process:FORM:MODEL.",
)
@click.option("--texts", is_flag=True, help="Keep the texts of the samples.")
@click.option("--partial", is_flag=True, help="Write the log even where something is missing.")
@click.option("--yes", is_flag=True, help="Go on without asking.")
@click.option(
    "--tokens-per-sample",
    type=click.FloatRange(min=0, min_open=True),
    help="Your guess of the mean length of an answer; otherwise a few prompts are collected and measured.",
)
@click.option("--ray", "use_ray", is_flag=True, help="Draw on Ray: actors hold a backend each.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="With --ray: actors.")
@click.option(
    "--gpus-per-worker",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=False,
    help="With --ray: GPUs of each.",
)
@seed_option
@as_json
@tasks_options
@backend_options
@limit_options
def command(
    prompts: str,
    out: Path,
    generators_file: Path | None,
    temperature: float | None,
    max_output_tokens: int | None,
    samples: int,
    recordings: RecordingOptions,
    extract: str | None,
    verifier: str | None,
    texts: bool,
    partial: bool,
    yes: bool,
    tokens_per_sample: float | None,
    use_ray: bool,
    workers: int,
    gpus_per_worker: float,
    seed: int,
    as_json: bool,
    task_options: TaskOptions,
    backend: BackendOptions,
    limits: Limits,
) -> int:
    """Draw samples of prompts with every generator, grade them, and write a sample log.

    PROMPTS is a file of prompts (as for `planner plan`, with "gold" for the reference answer), a JSON Lines
    file of "question" or "problem" with "answer" or "solution" (GSM8K, MATH), or reasoning-gym:TASK.

    A collection that was stopped, or killed, goes on when it is started again with the same arguments: what
    is finished lies in OUT.collecting, answered requests in OUT.requests. Keys come from the environment
    only. Exit code 1 says that something is missing; start again to try it again, or give --partial.
    """
    from planner.collection.estimate import what_it_tells
    from planner.collection.grade import GoldGrader
    from planner.collection.plan import CollectPlan, Recording
    from planner.collection.session import carry_out, checked_path
    from planner.commands.tables.collected import print_collected

    checked_path(out)  # before a model is loaded
    tasks = task_options.read(prompts)
    spec = backend.with_one_model()
    opened = spec.open() if not use_ray else None
    extractor = extractor_of(extract, replayed=getattr(opened, "extractor", None))
    plan = CollectPlan(
        prompts=tasks.prompts,
        generators=_generators(generators_file, spec, temperature, max_output_tokens),
        recordings=((Recording(width=samples),) if samples else ()) + recordings.read(),
        extractor=extractor,
        grader=tasks.grader or GoldGrader(extractor=extractor),
        texts=texts,
        seed=seed,
        source=tasks.name,
    )
    spec.check(plan.generators.values())
    if tasks.grader is None and not any(prompt.gold for prompt in tasks.prompts):
        note("no prompt has a reference answer: samples are not graded, and nothing can be trained on them")
    note(what_it_tells(len(plan.prompts), samples))
    worker = _worker(plan, spec, opened, verifier, workers if use_ray else 0, gpus_per_worker)
    with progress_bars() as tell:
        done = asyncio.run(
            carry_out(
                plan,
                out,
                worker=worker,
                limits=limits,
                partial=partial,
                tokens_per_sample=tokens_per_sample,
                approve=bound(_approved, tell, yes),
                progress=tell,
            )
        )
    print_collected(done, as_json=as_json)
    return 0 if done.declined or not done.n_missing else 1


def _generators(
    path: Path | None, backend: BackendSpec, temperature: float | None, max_output_tokens: int | None
) -> dict[str, Generator]:
    """Return the generators of the file, those of a replayed log, or the only one, from the options."""
    from difficulty.generator import Generator
    from planner.files.generators import read_generators

    if path is not None or backend.kind == "replay":
        if temperature is not None or max_output_tokens is not None:
            raise click.UsageError(
                "--temperature and --max-output-tokens describe a generator without a file"
            )
        if path is not None:
            return read_generators(path)
        from difficulty.log.sample_log import SampleLog

        return dict(SampleLog.read(backend.log or "").generators)
    name = Path(backend.model).name if backend.model else "default"
    model = backend.model if backend.kind == "openai" else name
    return {
        name: Generator(name=name, model=model, temperature=temperature, max_output_tokens=max_output_tokens)
    }


def _worker(
    plan: CollectPlan,
    spec: BackendSpec,
    backend: Backend | None,
    verifier: str | None,
    n_workers: int,
    gpus_per_worker: float,
) -> CollectWorker:
    """Return who draws: this process, or actors of Ray."""
    from planner.collection.worker import LocalWorker
    from planner.verifiers.specs import open_verifier

    opener = (
        None
        if verifier is None
        else bound(open_verifier, verifier, extractor=plan.extractor, grader=plan.grader)
    )
    if backend is not None:
        return LocalWorker(backend=backend, verifier=None if opener is None else opener(), driver=spec.driver)
    from planner.collection.ray import RayWorker

    return RayWorker(
        open_backend=spec.open,
        open_verifier=opener,
        driver=spec.driver,
        n_workers=n_workers,
        gpus_per_worker=gpus_per_worker,
    )


def _approved(tell: Teller, yes: bool, estimate: Estimate) -> bool:
    """Say what is left to spend, and ask where somebody can answer."""
    with tell.rests():
        say(f"to spend: {estimate}", error=True)
        if yes or not sys.stdin.isatty():
            return True
        return click.confirm("go on?", default=True, err=True)
