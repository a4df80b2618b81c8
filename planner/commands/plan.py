"""``planner plan``: one allocation per prompt, before a token is spent.

Plans are JSON Lines, to ``--out`` or to standard output; the table for people is beside them. Deciding is
left to `planner.planner`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import click

from planner.commands.terminal.asking import Asking, asking_options
from planner.commands.terminal.options import (
    FILE_TO_WRITE,
    as_json,
    bundle_argument,
    keep_apart,
    prompts_argument,
    seed_option,
)
from planner.commands.terminal.terminal import note, print_json, results, say_json

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.prompt import Prompt
    from policies.plan.plan import AllocationPlan

OutFormat: TypeAlias = Literal["plans", "table", "openai-batch", "rollouts"]
_TABLES: Final = (".csv", ".tsv", ".parquet", ".xlsx")


@click.command("plan", short_help="Plan compute for prompts, before a token is spent.")
@bundle_argument
@prompts_argument
@asking_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "jsonl", "text"]),
    default="auto",
    help="Form of PROMPTS; auto takes lines that start with { for JSON.",
)
@click.option("--out", type=FILE_TO_WRITE, help="File of the plans, JSON Lines; standard output by default.")
@click.option(
    "--out-format",
    type=click.Choice(["plans", "table", "openai-batch", "rollouts"]),
    default="plans",
    help="What --out holds: plans, which `planner run --plans` carries out; a table of them (.csv, .parquet) "
    "for other tools; requests for OpenAI's batch interface; or a table (.parquet, .jsonl) of prompts with a "
    "column rollout.n for trainers. The last two plan one-shot.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="GENERATOR=NAME",
    help="Model of a generator in a batch, where the bundle does not name it.",
)
@click.option(
    "--floor",
    type=click.IntRange(min=1),
    help="Groups of rollouts: the least of a group; prompts that promise too little are left out. [2]",
)
@click.option("--cap", type=click.IntRange(min=2), help="Groups of rollouts: the most of a group. [32]")
@click.option("--generator", help="Whose rollouts they are, with --floor or --cap.")
@seed_option
@as_json
def command(
    bundle: Path,
    prompts: Path,
    asking: Asking,
    form: Literal["auto", "jsonl", "text"],
    out: Path | None,
    out_format: OutFormat,
    models: tuple[str, ...],
    floor: int | None,
    cap: int | None,
    generator: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Plan test-time compute for prompts.

    PROMPTS is a file of JSON objects, one per line ({"prompt": …} or {"messages": […]}, optionally "id",
    "group", "gold"), a file of plain text, one prompt per line, a sample log, or - for standard input. Give
    one of --budget, --price and --target-accuracy, or --target-risk.

    Without --out the plans go to standard output, unless that is a terminal, and the table to standard error.
    With --json the table is
    left out or, with --out, printed as one JSON document.
    """
    if out is None and out_format != "plans":
        raise click.UsageError(f"--out-format {out_format} goes with --out")
    if models and out_format != "openai-batch":
        raise click.UsageError("--model goes with --out-format openai-batch")
    if out is not None and out_format == "plans" and out.suffix in _TABLES:
        raise click.UsageError(
            f"plans are JSON Lines: name the file plans.jsonl; a table {out.name} for other tools is written "
            "with --out-format table (.csv, .parquet)"
        )
    keep_apart([out] if out else [], [bundle, prompts])
    from planner.collection.tasks import read_tasks
    from planner.planner import Planner
    from policies.plan.wire import plan_to_json

    planner = Planner.load(bundle)
    asked = asking.of(planner.bundle)
    found = read_tasks(str(prompts), form=form)  # the files that run and collect read, with the same ids
    if found.unused_fields:
        note(f"fields of {prompts} that planning does not use: {', '.join(found.unused_fields)}")
    texts = [prompt.content for prompt in found.prompts if prompt.content is not None]
    if len(set(texts)) < len(texts):
        note(
            f"{len(texts) - len(set(texts)):,} of {len(texts):,} prompts repeat the text of another one, and "
            "get plans of their own"
        )
    if floor is None and cap is None:
        asked["one_shot"] |= out_format not in ("plans", "table")
        plans = planner.plan(found.prompts, **asked, seed=seed)
    else:
        from planner.exports.group_plans import group_plans

        least, most, how = floor or 2, cap or 32, {name: asked[name] for name in ("budget", "price")}
        if set(how.values()) == {None} or asking.max_per_prompt is not None:
            told = "--floor and --cap go with --budget or --price, and say the most of a prompt"
            raise click.UsageError(told)
        plans = group_plans(
            planner, found.prompts, generator=generator, floor=least, cap=most, seed=seed, **how
        )
        note(f"{len(plans)} of {len(found.prompts)} prompts have a group of {least} to {most} rollouts")
    files: list[Path] = []
    seen = out is None and not as_json and sys.stdout.isatty()  # a table tells people more than JSON does
    if out is None and not seen:
        say_json(b"".join(plan_to_json(plan) + b"\n" for plan in plans))
    elif out is not None:
        if out_format not in ("plans", "table"):
            plans = [plan for plan in plans if plan.draws]
        planned = {plan.prompt_id for plan in plans}
        asked_of = [prompt for prompt in found.prompts if prompt.id in planned]
        files = _write(out, out_format, plans, asked_of, _with_models(planner.bundle.generators, models))
    if as_json and out is None:
        return
    from difficulty.amounts import amount
    from planner.commands.tables.plan import plan_summary, plan_table

    words = asking.in_words(planner.bundle)
    if as_json:
        print_json({"out": ", ".join(map(str, files)), "asked": words, **plan_summary(plans)})
        return
    console = results(error=out is None and not seen)
    console.print(
        plan_table(plans, title=f"Plans for {amount(len(plans), 'prompts')}, {words}", width=console.width)
    )
    if out is not None:
        what = {"plans": "Plans", "table": "Table", "openai-batch": "Batch", "rollouts": "Rollouts"}[
            out_format
        ]
        console.print(f"{what}: {', '.join(map(str, files))}", soft_wrap=True)
    elif seen:
        console.print("The plans themselves go to a file with --out plans.jsonl, or into a pipe.")


def _write(
    out: Path,
    form: OutFormat,
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt],
    generators: Mapping[str, Generator],
) -> list[Path]:
    """Write plans in one of the forms, and return the files."""
    if form == "table":
        from planner.exports.frames import write_plans_table

        write_plans_table(out, plans, prompts)
        return [out]
    if form == "openai-batch":
        from planner.exports.openai_batch import write_openai_batch

        return write_openai_batch(out, plans, prompts, generators=generators)
    if form == "rollouts":
        from planner.exports.frames import write_rollouts

        write_rollouts(out, prompts, [plan.allocation.n for plan in plans])
        return [out]
    from policies.plan.wire import write_plans

    write_plans(out, plans)
    return [out]


def _with_models(generators: Mapping[str, Generator], models: Sequence[str]) -> dict[str, Generator]:
    """Return generators with the models that were named for them."""
    found = dict(generators)
    for given in models:
        name, separator, model = given.rpartition("=")
        if not separator or name not in found:
            raise click.UsageError(
                f"--model {given}: give GENERATOR=NAME, with a generator of {', '.join(found)}"
            )
        found[name] = replace(found[name], model=model)
    return found
