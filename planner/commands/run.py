"""``planner run``: plan, draw, select and account for a file of prompts; outcomes are JSON Lines.

Every answered request is in the run log before it is used, so that a killed run goes on without paying twice.
Deciding and drawing are left to `planner.planner`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from difficulty.errors import InvalidInputError
from planner.commands.terminal.asking import Asking, asking_options
from planner.commands.terminal.draw_options import (
    BackendOptions,
    TaskOptions,
    backend_options,
    extract_option,
    extractor_of,
    limit_options,
    tasks_options,
)
from planner.commands.terminal.options import (
    FILE_TO_READ,
    FILE_TO_WRITE,
    as_json,
    bundle_argument,
    keep_apart,
    seed_option,
)
from planner.commands.terminal.terminal import note, print_json
from planner.progress import Teller, progress_bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.drivers import Limits, Progress
    from planner.ports.outcome import Outcome
    from planner.ports.ports import Grader, Verifier


# Prompts after which it is said that no answer was found in any sample, and how much of one is shown.
_FIRST: Final = 5
_END: Final = 60


@click.command("run", short_help="Plan, draw and select for prompts, on a real backend.")
@bundle_argument
@click.argument("prompts")
@click.option(
    "--out", required=True, type=FILE_TO_WRITE, help="Outcomes, JSON Lines, in the order of the prompts."
)
@asking_options
@click.option(
    "--plans",
    "plan_file",
    type=FILE_TO_READ,
    help="Carry out the plans of a file of `planner plan`, one for each prompt by its id, instead of "
    "planning; --budget then only holds actual usage.",
)
@extract_option(" Take the way that the bundle's log was collected with.")
@click.option(
    "--verifier",
    metavar="NAME",
    help="mean_logprob, checker, reward:MODEL or process:FORM:MODEL, for plans that need one; learned "
    "puts the bundle's own in their place. Plans that pick by the learned verifier need no option, nor "
    "do those that a log with scores or verdicts is replayed for.",
)
@click.option(
    "--run-log",
    type=FILE_TO_WRITE,
    help="Record of answered requests, from which a run that is started again goes on; OUT.requests by "
    "default, removed when all is done.",
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="[GENERATOR=]TEXT",
    help="Text that prompts are put in, at {prompt}, in place of the template that the bundle records.",
)
@seed_option
@as_json
@tasks_options
@backend_options
@limit_options
def command(
    bundle: Path,
    prompts: str,
    out: Path,
    asking: Asking,
    plan_file: Path | None,
    extract: str | None,
    verifier: str | None,
    run_log: Path | None,
    seed: int,
    as_json: bool,
    task_options: TaskOptions,
    templates: tuple[str, ...],
    backend: BackendOptions,
    limits: Limits,
) -> int:
    """Plan, draw and select for a file of prompts, on a real backend.

    PROMPTS is a file of prompts (as for `planner plan`), a JSON Lines file of "question" or "problem" with
    "answer" or "solution", a sample log, or reasoning-gym:TASK. Give one of --budget, --price and
    --target-accuracy, or --plans; or --target-risk, alone or with --budget. Keys come from the environment
    only. Exit code 1 says that no prompt was answered.
    """
    import msgspec

    from planner.backends.recorded_verdicts import RecordedVerdicts
    from planner.backends.replay import ReplayBackend
    from planner.collection.grade import GoldGrader
    from planner.commands.tables.run import print_run
    from planner.commands.terminal.served import served_generators
    from planner.planner import Planner
    from planner.running.given_plans import plans_of
    from planner.running.summary import summarise
    from planner.verifiers.specs import open_verifier
    from policies.plan.wire import read_plans

    journal = run_log or out.with_name(out.name + ".requests")
    if out.exists() and not journal.exists():
        raise InvalidInputError(f"{out} exists and is complete; take another output or remove it")
    read = (bundle, Path(prompts), *([plan_file] if plan_file else ()), Path(backend.values["log"] or ""))
    keep_apart([out, journal], read)
    planner = Planner.load(bundle)
    if plan_file is not None and asking.plans_anew:
        raise click.UsageError(
            "--plans says all of it; --one-shot, --max-rounds, --price, --target-accuracy, --target-risk and "
            "--wrong-costs plan anew"
        )
    settled = plan_file is not None and asking.budget is None
    limit = None if settled else asking.limit(planner.bundle)
    tasks = task_options.read(prompts)
    served, spec = served_generators(planner.bundle.generators, tasks.prompts, backend, templates)
    planner = replace(planner, bundle=replace(planner.bundle, generators=served))
    if plan_file is not None:
        budget_unit = None if limit is None else limit.unit
        plans = plans_of(read_plans(plan_file), tasks.prompts, unit=budget_unit, source=str(plan_file))
    else:
        plans = planner.plan(tasks.prompts, **asking.of(planner.bundle), seed=seed)
    opened = spec.open(without_tokens=plans[0].unit == "samples")
    extractor = extractor_of(extract, replayed=getattr(opened, "extractor", None))
    grader: Grader = tasks.grader or GoldGrader(extractor=extractor)
    if isinstance(opened, ReplayBackend):
        grader = RecordedVerdicts(replay=opened, otherwise=grader)
    scoring: Verifier | Literal["learned"] | None = None
    if verifier == "learned":
        scoring = "learned"
    elif verifier is not None:
        scoring = open_verifier(verifier, extractor=extractor, grader=grader)
    elif isinstance(grader, RecordedVerdicts):  # plans pick by what its log records
        scoring = grader if plans[0].objective == "coverage" else grader.replay
    with progress_bars() as tell:
        how: dict[str, Any] = {
            "backend": opened,
            "verifier": scoring,
            "extractor": extractor,
            "limits": limits,
            "driver": spec.driver,
            "run_log": journal,
            "seed": seed,
            "progress": _Told(tell),
        }
        if plan_file is None:
            outcomes = planner.run(tasks.prompts, **asking.of(planner.bundle), **how)
        else:
            outcomes = planner.run(tasks.prompts, plans=plans, budget=limit, **how)
    _write(out, outcomes)
    unfinished = any(outcome.stop_reason in ("failed", "time", "limit") for outcome in outcomes)
    if run_log is None and not unfinished:
        journal.unlink()
    summary = summarise(plans, tasks.prompts, outcomes, grader=grader)
    if as_json:
        print_json({"out": str(out), **msgspec.to_builtins(summary)})
    else:
        print_run(summary, out, journal if unfinished else None)
    return 0 if summary.n_answered else 1


class _Told:
    """Moves the bar, and says once why nothing comes, where the first prompts have failed or are unread."""

    def __init__(self, tell: Teller) -> None:
        self._tell = tell
        self._n_done, self._n_unread = 0, 0

    def __call__(self, progress: Progress) -> None:
        self._tell(progress)
        outcome = progress.outcome
        self._n_done += 1
        if self._n_done == 1 and outcome.stop_reason == "failed" and outcome.errors:
            error = outcome.errors[-1]
            note(f"nothing has come yet: prompt {outcome.prompt_id!r}: {error.kind}: {error.reason}")
        came = [one for one in outcome.candidates if one.status == "ok"]
        self._n_unread += bool(came) and all(one.answer is None for one in came)
        if self._n_done == self._n_unread == _FIRST:
            text = came[-1].text
            why = (
                f"one ends with {text[-_END:]!r}: see --extract" if text else "the last one is an empty text"
            )
            note(f"no answer was found in any sample of the first {_FIRST} prompts; {why}")


def _write(out: Path, outcomes: Sequence[Outcome]) -> None:
    from difficulty.files.whole import written_whole
    from planner.ports.outcome_wire import outcome_to_json

    with written_whole(out) as part:
        part.write_bytes(b"".join(outcome_to_json(outcome) + b"\n" for outcome in outcomes))
