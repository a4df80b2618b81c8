"""``planner plan``: one allocation per prompt, before a token is spent.

Plans are JSON Lines, to ``--out`` or to standard output; the table for people is beside them. Deciding is
left to `planner.planner`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from planner.commands.terminal.answer_prices import (
    answer_price_of,
    no_answer_costs_option,
    wrong_costs_option,
)
from planner.commands.terminal.options import (
    as_json,
    bundle_argument,
    max_rounds_option,
    one_shot_option,
    seed_option,
)
from planner.commands.terminal.terminal import note, print_json, results, say_json
from policies.cost.budget import UNITS, Budget, check_unit

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.prompt import Prompt
    from planner.planner import Planner
    from policies.plan.plan import AllocationPlan

OutFormat: TypeAlias = Literal["plans", "openai-batch", "rollouts"]

__all__ = ["OutFormat", "budget_of", "command"]


@click.command("plan")
@bundle_argument
@click.argument("prompts", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--budget", type=float, default=None, help="Limit per prompt on average, or for the batch (--scope)."
)
@click.option(
    "--unit",
    type=click.Choice(UNITS),
    default=None,
    help="Unit of --budget; by default the one that the bundle was trained in.",
)
@click.option(
    "--scope",
    type=click.Choice(["prompt", "batch"]),
    default="prompt",
    show_default=True,
    help="Whether --budget is the average per prompt or the total.",
)
@click.option("--max-per-prompt", type=float, default=None, help="Hard cap on any plan's expected cost.")
@click.option(
    "--price", type=float, default=None, help="In place of a budget: value that a unit of cost must bring."
)
@click.option(
    "--target-accuracy",
    type=float,
    default=None,
    help="In place of a budget: mean expected accuracy to reach at least cost.",
)
@click.option(
    "--target-risk",
    type=float,
    default=None,
    help="Alone or with a budget: most answers at this share of errors among those given.",
)
@wrong_costs_option
@no_answer_costs_option
@one_shot_option
@max_rounds_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "jsonl", "text"]),
    default="auto",
    show_default=True,
    help="Form of PROMPTS; auto takes lines that start with { for JSON.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File of the plans, JSON Lines; standard output by default.",
)
@click.option(
    "--out-format",
    type=click.Choice(["plans", "openai-batch", "rollouts"]),
    default="plans",
    show_default=True,
    help="What --out holds: plans; requests for OpenAI's batch interface; or a table (.parquet, .jsonl) of "
    "prompts with a column rollout.n for trainers. The last two plan one-shot.",
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
    default=None,
    help="Groups of rollouts: the least of a group; prompts that promise too little are left out. [2]",
)
@click.option(
    "--cap", type=click.IntRange(min=2), default=None, help="Groups of rollouts: the most of a group. [32]"
)
@click.option("--generator", default=None, help="Whose rollouts they are, with --floor or --cap.")
@seed_option
@as_json
def command(
    bundle: Path,
    prompts: Path,
    budget: float | None,
    unit: str | None,
    scope: Literal["prompt", "batch"],
    max_per_prompt: float | None,
    price: float | None,
    target_accuracy: float | None,
    target_risk: float | None,
    wrong_costs: float | None,
    no_answer_costs: float | None,
    one_shot: bool,
    max_rounds: int | None,
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
    from planner.collection.tasks import read_tasks
    from planner.planner import Planner
    from policies.plan.wire import plan_to_json

    planner = Planner.load(bundle)
    limit = budget_of(planner, budget, unit, scope, max_per_prompt, [price, target_accuracy], target_risk)
    found = read_tasks(str(prompts), form=form)  # the files that run and collect read, with the same ids
    if found.unused_fields:
        note(f"fields of {prompts} that planning does not use: {', '.join(found.unused_fields)}")
    if floor is None and cap is None:
        plans = planner.plan(
            found.prompts,
            budget=limit,
            price=price,
            target_accuracy=target_accuracy,
            target_risk=target_risk,
            answer_price=answer_price_of(wrong_costs, no_answer_costs, target_risk),
            one_shot=one_shot or out_format != "plans",
            max_rounds=max_rounds,
            seed=seed,
        )
    else:
        sizes = floor or 2, cap or 32
        plans = _groups(planner, found.prompts, generator, limit, price, sizes, seed)
        note(
            f"{len(plans)} of {len(found.prompts)} prompts have a group of {sizes[0]} to {sizes[1]} rollouts"
        )
    files: list[Path] = []
    seen = out is None and not as_json and sys.stdout.isatty()  # a table tells people more than JSON does
    if out is None and not seen:
        say_json(b"".join(plan_to_json(plan) + b"\n" for plan in plans))
    elif out is not None:
        if out_format != "plans":
            plans = [plan for plan in plans if plan.draws]
        planned = {plan.prompt_id for plan in plans}
        asked_of = [prompt for prompt in found.prompts if prompt.id in planned]
        files = _write(out, out_format, plans, asked_of, _with_models(planner.bundle.generators, models))
    if as_json and out is None:
        return
    from planner.commands.tables.plan import plan_summary, plan_table

    asked = _asked(planner, limit, price, target_accuracy, target_risk)
    if as_json:
        print_json({"out": ", ".join(map(str, files)), "asked": asked, **plan_summary(plans)})
        return
    console = results(error=out is None and not seen)
    console.print(plan_table(plans, title=f"Plans for {len(plans)} prompts, {asked}"))
    if out is not None:
        what = {"plans": "Plans", "openai-batch": "Batch", "rollouts": "Rollouts"}[out_format]
        console.print(f"{what}: {', '.join(map(str, files))}", soft_wrap=True)
    elif seen:
        console.print("The plans themselves go to a file with --out plans.jsonl, or into a pipe.")


def _groups(
    planner: Planner,
    prompts: Sequence[Prompt],
    generator: str | None,
    limit: Budget | None,
    price: float | None,
    sizes: tuple[int, int],
    seed: int,
) -> list[AllocationPlan]:
    """Return the plans of groups with a least and a most number of rollouts."""
    from planner.exports.group_plans import group_plans

    if (price is None and limit is None) or (limit is not None and limit.max_per_prompt is not None):
        raise click.UsageError("--floor and --cap go with --budget or --price, and say the most of a prompt")
    floor, cap = sizes
    return group_plans(
        planner, prompts, generator=generator, budget=limit, price=price, floor=floor, cap=cap, seed=seed
    )


def _write(
    out: Path,
    form: OutFormat,
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt],
    generators: Mapping[str, Generator],
) -> list[Path]:
    """Write plans in one of the forms, and return the files."""
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


def budget_of(
    planner: Planner,
    budget: float | None,
    unit: str | None,
    scope: Literal["prompt", "batch"],
    cap: float | None,
    others: list[float | None],
    target_risk: float | None = None,
) -> Budget | None:
    """Return the budget, or None where a price or target is given instead."""
    given = [value for value in (budget, *others) if value is not None]
    if target_risk is not None and any(value is not None for value in others):
        raise click.UsageError("--target-risk goes alone or with --budget")
    if len(given) + (target_risk is not None and not given) != 1:
        raise click.UsageError("give one of --budget, --price, --target-accuracy and --target-risk")
    if budget is None:
        for name, value in (("--unit", unit), ("--max-per-prompt", cap)):
            if value is not None:
                raise click.UsageError(f"{name} goes with --budget")
        return None
    return Budget(limit=budget, unit=check_unit(unit or planner.bundle.unit), scope=scope, max_per_prompt=cap)


def _asked(
    planner: Planner, limit: Budget | None, price: float | None, target: float | None, risk: float | None
) -> str:
    """Say in words what was asked for."""
    if limit is None:
        if risk is not None:
            return f"target risk {risk:g}"
        if price is not None:
            return f"price {price:g} per {planner.bundle.unit.rstrip('s').replace('_', ' ')}"
        return f"target {planner.bundle.objective} {target:g}"
    where = "per prompt on average" if limit.scope == "prompt" else "for the batch"
    cap = "" if limit.max_per_prompt is None else f", at most {limit.max_per_prompt:g} each"
    return f"budget {limit.limit:g} {limit.unit.replace('_', ' ')} {where}{cap}"
