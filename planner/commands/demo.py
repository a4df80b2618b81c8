"""``planner demo``: the whole loop, offline on a log that ships with the package, then live on a lab model.

The work is left to `training.demo.recorded` and `training.demo.live`, the tables to
`planner.commands.tables.shared` and `planner.commands.tables.demo`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from planner.commands.terminal.options import as_json, folder_option, seed_option
from planner.commands.terminal.terminal import note, print_json, results
from planner.progress import progress_bars

if TYPE_CHECKING:
    from training.demo.live import LiveDemo

_LIVE: Final = ("torch", "transformers", "safetensors")
# Four bundles are trained in the live half.
_LIVE_TRIALS: Final = 8


@click.command("demo", short_help="Show what planning saves: on an embedded log, then live.")
@folder_option("demo", "Folder of the bundles, logs, reports and plans.")
@click.option("--trials", type=click.IntRange(min=1), default=60, help="Optuna trials.")
@click.option(
    "--live/--no-live",
    default=None,
    help="Also draw from the lab model in this process; by default where torch is installed.",
)
@seed_option
@as_json
def command(out: Path, trials: int, live: bool | None, seed: int, as_json: bool) -> None:
    """Train, evaluate and plan on an embedded log; then collect, train and run live on a tiny language model.

    The live half forecasts accuracy and cost of each run before it is drawn and then compares.
    """
    from difficulty.errors import require
    from planner.bundle.folder import check_results_folder

    check_results_folder(out)
    for module in ("optuna", "matplotlib"):
        require(module, extra="train")
    if live:
        for module in _LIVE:
            require(module, extra="local")
    drawing = all(find_spec(module) for module in _LIVE) if live is None else live
    offline = _offline(out, trials=trials, seed=seed, show=not as_json)
    drawn = _live(out / "live", trials=trials, seed=seed, show=not as_json) if drawing else None
    if as_json:
        from planner.commands.tables.demo import live_summary

        print_json({**offline, "live": None if drawn is None else live_summary(drawn)})
    elif live is None and not drawing:
        note("without torch this was the offline half; for the live one: pip install 'ttc-planner[local]'")


def _offline(out: Path, *, trials: int, seed: int, show: bool) -> dict[str, Any]:
    """Run and show the offline half; return what there is to say as JSON values."""
    from planner.commands.tables.plan import plan_summary
    from training.demo.recorded import run_demo

    with progress_bars() as tell:
        demo = run_demo(out, n_trials=trials, seed=seed, progress=tell)
    if show:
        from planner.commands.tables.demo import write_examples
        from planner.commands.tables.report import print_savings

        console = results()
        print_savings(console, demo.report)
        examples = write_examples(demo, out / "plans.txt")
        report = out / "report" / "report.md"
        console.print(f"All of it: {report}, and plans of some prompts: {examples}", soft_wrap=True)
    return {
        "out": str(out),
        "verdict": demo.report.verdict,
        "comparison": demo.report.comparison,
        "plans": [{"budget": limit, **plan_summary(plans)} for limit, plans in demo.plans.items()],
    }


def _live(out: Path, *, trials: int, seed: int, show: bool) -> LiveDemo:
    """Run and show the live half."""
    from difficulty.errors import require
    from planner.commands.tables.demo import print_live, write_live
    from training.demo.live import run_live

    # Its bar of loading would break ours.
    require("transformers.utils.logging", extra="local").disable_progress_bar()
    with progress_bars() as bars:
        n_trials = min(trials, _LIVE_TRIALS)
        demo = run_live(out, n_trials=n_trials, seed=seed, progress=bars, on_collect=bars)
    if show:
        print_live(results(), demo, write_live(demo, out / "live.txt"))
    return demo
