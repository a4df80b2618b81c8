"""``planner collect``: from prompts to a graded sample log, on any backend.

It says what it will cost before the bulk is drawn, shows the rate, and goes on where a kill left it. Drawing
is left to `planner.collection.session`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as bound
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.terminal.draw_options import (
    BackendOptions,
    TaskOptions,
    backend_options,
    extractor_of,
    limit_options,
    tasks_options,
)
from planner.commands.terminal.options import as_json, seed_option
from planner.commands.terminal.terminal import note, print_json, say
from policies.course.strategies import strategies_of_kind

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from planner.backends.specs import BackendSpec
    from planner.collection.collected import Collected, CollectProgress
    from planner.collection.estimate import Estimate
    from planner.collection.plan import CollectPlan, Recording
    from planner.collection.worker import CollectWorker
    from planner.drivers import Limits
    from planner.ports.ports import Backend

__all__ = ["command"]


@click.command("collect")
@click.argument("prompts")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The log: .jsonl, .jsonl.gz or .parquet.",
)
@click.option(
    "--generators",
    "generators_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="JSON or TOML file: name of each generator, with its model, prompt_template, temperature …",
)
@click.option("--temperature", type=float, default=None, help="Without --generators: of the only one.")
@click.option(
    "--max-output-tokens", type=int, default=None, help="Without --generators: cap of the only one."
)
@click.option(
    "--samples", type=click.IntRange(min=0), default=16, show_default=True, help="Independent samples each."
)
@click.option(
    "--strategy",
    type=click.Choice([*strategies_of_kind("search"), *strategies_of_kind("revision")]),
    default=None,
    help="Record runs of this strategy too; for several, see --recordings.",
)
@click.option(
    "--recordings",
    "recordings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="JSON or TOML file of strategies to record, each with widths, depth, runs and params.",
)
@click.option("--widths", default="4", show_default=True, help="Sizes of the strategy: 4,16.")
@click.option("--depth", type=click.IntRange(min=1), default=None, help="Attempts per revision chain.")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs of each search.")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter of the strategy: beam_width=4."
)
@click.option(
    "--extract",
    default=None,
    metavar="HOW",
    help="number, boxed, math, choice, json, json:FIELD, tool_calls, clusters, program_outputs (runs the "
    "programs on this machine), whole_text or regex:PATTERN; "
    "by default the last box, else the last number.",
)
@click.option(
    "--verifier",
    default=None,
    metavar="NAME",
    help="Scores every sample, and serves searches: mean_logprob, checker, reward:MODEL, process:FORM:MODEL.",
)
@click.option("--texts", is_flag=True, help="Keep the texts of the samples.")
@click.option("--partial", is_flag=True, help="Write the log even where something is missing.")
@click.option("--yes", is_flag=True, help="Go on without asking.")
@click.option(
    "--tokens-per-sample",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Your guess of the mean length of an answer; otherwise a few prompts are collected and measured.",
)
@click.option("--ray", "use_ray", is_flag=True, help="Draw on Ray: actors hold a backend each.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="With --ray: actors."
)
@click.option(
    "--gpus-per-worker", type=click.FloatRange(min=0), default=0.0, help="With --ray: GPUs of each."
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
    strategy: str | None,
    recordings_file: Path | None,
    widths: str,
    depth: int | None,
    runs: int,
    params: tuple[str, ...],
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

    checked_path(out)  # before a model is loaded
    tasks = task_options.read(prompts)
    spec = backend.with_one_model()
    opened = spec.open() if not use_ray else None
    extractor = extractor_of(extract, replayed=getattr(opened, "extractor", None))
    recordings = _recordings(strategy, widths, depth, runs, params) + _recordings_of(recordings_file)
    plan = CollectPlan(
        prompts=tasks.prompts,
        generators=_generators(generators_file, spec, temperature, max_output_tokens),
        recordings=((Recording(width=samples),) if samples else ()) + recordings,
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
    with _bar() as bar:
        done = asyncio.run(
            carry_out(
                plan,
                out,
                worker=worker,
                limits=limits,
                partial=partial,
                tokens_per_sample=tokens_per_sample,
                approve=bound(_approved, bar, yes),
                progress=bar.tell,
            )
        )
    _report(done, as_json=as_json)
    return 0 if done.declined or not done.n_missing else 1


def _recordings(
    strategy: str | None, widths: str, depth: int | None, runs: int, params: tuple[str, ...]
) -> tuple[Recording, ...]:
    """Return what is recorded beside independent samples."""
    from planner.collection.plan import Recording

    if strategy is None:
        for name, given in (("--depth", depth is not None), ("--runs", runs > 1), ("--param", bool(params))):
            if given:
                raise click.UsageError(f"{name} goes with --strategy")
        return ()
    try:
        sizes = [int(width) for width in widths.split(",")]
    except ValueError as error:
        raise click.UsageError(f"--widths must be whole numbers such as 4,16; got {widths!r}") from error
    chains = strategy in strategies_of_kind("revision")
    if chains and len(sizes) > 1:
        raise click.UsageError(
            "chains are resampled: give --widths the largest number of chains, and --depth their length"
        )
    return tuple(
        Recording.grid(
            strategy,  # type: ignore[arg-type]
            widths=sizes,
            depth=depth or (4 if chains else 1),
            runs=runs,
            params=dict(_param(param) for param in params),
        )
    )


def _recordings_of(path: Path | None) -> tuple[Recording, ...]:
    """Return what the file of recordings asks for."""
    from planner.collection.recordings import read_recordings

    return () if path is None else read_recordings(path)


def _param(text: str) -> tuple[str, str | int | float | bool]:
    """Read NAME=VALUE; values are JSON where they can be, else text."""
    import msgspec

    name, mark, value = text.partition("=")
    if not mark or not name:
        raise click.UsageError(f"--param must be NAME=VALUE, got {text!r}")
    try:
        return name, msgspec.json.decode(value, type=int | float | bool)
    except msgspec.DecodeError:
        return name, value.encode().decode("unicode_escape") if "\\" in value else value


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


class _Bar:
    """The progress bar: pieces, rate and failures; it rests while a question is asked."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("collecting", total=None, rate="")
        self._begun = False

    def tell(self, progress: CollectProgress) -> None:
        """Show how far the collection is."""
        if not self._begun:
            self._begun = True
            self._progress.start()
        seconds = max(progress.seconds, 1e-9)
        usage = progress.usage
        rate = f"{usage.samples / seconds:,.1f} samples/s {usage.output_tokens / seconds:,.0f} tok/s"
        failed = f", {progress.n_failures} requests failed" if progress.n_failures else ""
        self._progress.update(
            self._task, completed=progress.n_done, total=progress.n_pieces, rate=rate + failed
        )

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Stop drawing the bar for a while."""
        self._progress.stop()
        yield
        self._begun = False


@contextmanager
def _bar() -> Iterator[_Bar]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from planner.commands.terminal.console import PlainConsole

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=PlainConsole(stderr=True))
    try:
        yield _Bar(progress)
    finally:
        progress.stop()


def _approved(bar: _Bar, yes: bool, estimate: Estimate) -> bool:
    """Say what is left to spend, and ask where somebody can answer."""
    with bar.resting():
        say(f"to spend: {estimate}", error=True)
        if yes or not sys.stdin.isatty():
            return True
        return click.confirm("go on?", default=True, err=True)


def _report(done: Collected, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "out": str(done.path) if done.log is not None else None,
                "n_pieces": done.n_pieces,
                "n_missing": done.n_missing,
                "n_samples": done.n_samples,
                "failures": dict(done.failures),
                "missing": dict(done.missing),
                "usage": done.usage,
                "seconds": done.seconds,
                "declined": done.declined,
            }
        )
        return
    from planner.commands.tables.shared import counted

    usage = done.usage
    say(
        f"{done.n_pieces - done.n_missing} of {done.n_pieces} pieces, {done.n_samples} samples recorded; "
        f"{usage.output_tokens:,.0f} output and {usage.prompt_tokens:,.0f} prompt tokens in "
        f"{usage.requests:,.0f} requests"
    )
    if done.failures:
        say("failed for good: " + counted(done.failures))
    if done.n_missing:
        why = f" ({counted(done.missing)})" if done.missing else ""
        say(f"{done.n_missing} pieces are missing{why}: start again with the same arguments to go on")
    if done.log is not None:
        say(repr(done.log))
        if done.log.counts().n.any():
            say(f"Next: planner train {done.path}")
        else:
            say("Nothing is graded, so nothing can be trained on it: collect prompts with answers")
