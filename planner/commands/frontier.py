"""``planner frontier``: what each price buys, before anything is spent, so that a server can be given one.

Every number is what plans tell; deciding is left to `planner.planner`.
"""

from __future__ import annotations

from pathlib import Path

import click

from planner.commands.terminal.options import as_json, bundle_argument, one_shot_option, prompts_argument
from planner.commands.terminal.terminal import print_json, results
from policies.cost.budget import UNITS


@click.command("frontier", short_help="Tell what each price buys for your prompts.")
@bundle_argument
@prompts_argument
@click.option(
    "--unit",
    type=click.Choice(UNITS),
    help="Unit of cost; by default the one that the bundle was trained in.",
)
@click.option("--points", type=click.IntRange(min=2), default=10, help="Points at most.")
@one_shot_option
@as_json
def command(
    bundle: Path, prompts: Path, unit: str | None, points: int, one_shot: bool, as_json: bool
) -> None:
    """Tell what each price buys for prompts like these, before anything is spent.

    A price is the value that one more unit of cost must bring: at 1e-4 per output token, 100 tokens are spent
    where they are expected to add one percentage point. It is what `planner serve --price` and
    `planner plan --price` take.
    """
    from difficulty.amounts import amount, number, price_tag
    from planner.collection.tasks import read_tasks
    from planner.commands.tables.shared import new_table
    from planner.planner import Planner

    planner = Planner.load(bundle)
    found = read_tasks(str(prompts), form="auto").prompts
    curve = planner.frontier(found, unit=unit, n_points=points, one_shot=one_shot)
    shown = (unit or planner.bundle.unit).replace("_", " ")
    one = shown.removesuffix("s")
    if as_json:
        print_json({"unit": unit or planner.bundle.unit, "points": [point._asdict() for point in curve]})
        return
    kind = planner.bundle.objective
    title = f"What each price buys for {amount(len(found), 'prompts')}, on average, with 95 % intervals"
    table = new_table(title, f"price per {one}", f"expected {kind}", f"expected {shown}")
    for point in curve:
        low, high = point.interval
        accuracy = f"{point.expected_accuracy:.3f} [{low:.2f}, {high:.2f}]"
        each = price_tag(point.price) if len(curve) > 1 else "any"
        table.add_row(each, accuracy, number(point.expected_cost))
    console = results()
    console.print(table)
    price = curve[len(curve) // 2].price
    most = (
        f": at {price_tag(price)}, {number(0.01 / price)} more are spent for .01 of {kind}"
        if price > 0
        else ""
    )
    told, taken = (
        f"A price is what one more {one} must bring{most}. Take the row that you would pay for:",
        "PRICE",
    )
    if len(curve) == 1:
        told, taken = "No plan that costs more is expected to bring more: every price buys the same.", "0"
    console.print(told)
    console.print(
        f"planner serve --bundle {bundle} --price {taken}\nplanner plan {bundle} {prompts} --price {taken}",
        soft_wrap=True,
    )
