"""Tables that say what a bundle is and was trained on.

Every number comes from the bundle; nothing is computed here but means over its training prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from rich.table import Table

from planner.commands.tables.shared import new_table, number, strategy_name

if TYPE_CHECKING:
    from planner.bundle.policy_bundle import PolicyBundle
    from policies.ladder.ladder import Ladder

__all__ = [
    "bundle_table",
    "generator_table",
    "ladder_table",
    "menu_table",
    "verdict_of_training",
    "verdict_of_verifiers",
    "verifier_table",
]

_LEVELS_SHOWN: Final = 8


def bundle_table(bundle: PolicyBundle, path: str) -> Table:
    """Return what a bundle is and was trained on."""
    training = bundle.training
    table = new_table(f"Policy bundle {path}", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    deployed = int(bundle.deployed.sum())
    rows: list[tuple[str, str]] = [
        ("objective", bundle.objective),
        ("unit of cost", bundle.unit),
        ("generators", ", ".join(bundle.generators)),
        ("policy", f"{bundle.policy.family}, mean of {len(bundle.policy.members)}"),
        ("menu", f"{len(bundle.curves.allocations)} allocations measured, {deployed} in use"),
    ]
    if training:
        rows += [
            ("trained on", f"{training['n_prompts']} prompts, {training['n_samples']:,} samples"),
            ("settings", f"{training['n_trials']} trials, seed {training['seed']}"),
        ]
        left_out = training.get("left_out", {})
        if left_out.get("prompts"):
            rows.append(("left out", f"{left_out['prompts']} prompts with too few samples of some generator"))
        if left_out.get("allocations"):
            rows.append(
                ("not priced", f"{left_out['allocations']} allocations whose {bundle.unit} are not recorded")
            )
        scoring = training.get("scoring")
        if scoring is not None:
            rows.append(
                (
                    "reward model",
                    f"what it reads is recorded for {scoring['recorded']}, partly recorded for "
                    f"{scoring.get('partly_recorded', 0)} and estimated for {scoring['estimated']} "
                    "allocations",
                )
            )
        predictor = training.get("predictor")
        if predictor is None:
            rows.append(("predictor", "none: the log has no text"))
        else:
            share = predictor["explained_share_of_level"]
            told = "an unknown share" if share is None else f"{share:.0%}"
            rows.append(("predictor", f"text explains {told} of how prompts differ in success (out of fold)"))
        about = training.get("about", {})
        rows += [(name, str(about[name])) for name in ("source", "licence") if name in about]
    for row in rows:
        table.add_row(*row)
    return table


def verdict_of_training(bundle: PolicyBundle) -> str:
    """Say what training found, with its interval."""
    verdict = bundle.training.get("verdict")
    if verdict is None:
        return "Nothing was recorded yet: plans rest on a broad prior."
    gain, (low, high) = verdict["gain_over_static"], verdict["gain_interval"]
    if bundle.objective == "accuracy" and all(allocation.n == 1 for allocation in bundle.curves.allocations):
        scope = " Only single samples could be valued."
    else:
        scope = ""
    if verdict["deployed"] == "static":
        return (
            "Telling prompts apart was not shown to pay in training: the bundle plans the best static mix."
            f"{scope}"
        )
    text = (
        f"In cross-fitted replay the learned policy gains {gain:+z.3f} [{low:+z.3f}, {high:+z.3f}] "
        f"{bundle.objective} over the best static mix at equal cost.{scope}"
    )
    placebo = bundle.training.get("placebo")
    if placebo is None:
        return text
    low, high = placebo["gain_interval"]
    gain = placebo["gain_over_static"]
    return f"{text} With predictions dealt to the wrong prompts: {gain:+z.3f} [{low:+z.3f}, {high:+z.3f}]."


def generator_table(bundle: PolicyBundle) -> Table:
    """Return the generators with what one sample of each is worth and costs on the training prompts."""
    table = new_table("Generators")
    table.add_column("generator", overflow="fold")
    for heading in ("success of a sample", "output tokens", "parameters", "temperature"):
        table.add_column(heading, justify="right")
    references = bundle.references
    success, tokens = references.success().mean(axis=0), references.output_tokens.mean(axis=0)
    for index, (name, generator) in enumerate(bundle.generators.items()):
        table.add_row(
            name,
            f"{success[index]:.3f}",
            number(float(tokens[index])),
            "–" if generator.size is None else f"{generator.size:.3g}",
            "–" if generator.temperature is None else f"{generator.temperature:g}",
        )
    return table


def menu_table(bundle: PolicyBundle) -> Table:
    """Return the menu by generator and strategy."""
    table = new_table("Menu")
    table.add_column("generator", overflow="fold")
    table.add_column("strategy", overflow="fold")
    for heading in ("sizes N", "in use", "best mean value"):
        table.add_column(heading, justify="right")
    kinds: dict[tuple[str, str], list[int]] = {}
    for column, allocation in enumerate(bundle.curves.allocations):
        kinds.setdefault((allocation.generator, strategy_name(allocation)), []).append(column)
    value = bundle.curves.value.mean(axis=0)
    for (generator, strategy), columns in kinds.items():
        sizes = sorted({bundle.curves.allocations[column].n for column in columns})
        span = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}–{sizes[-1]}"
        in_use = int(bundle.deployed[columns].sum())
        table.add_row(generator, strategy, span, f"{in_use}/{len(columns)}", f"{value[columns].max():.3f}")
    return table


def ladder_table(bundle: PolicyBundle) -> Table:
    """Return what plans that react do at prices from dear to cheap, with their value out of fold.

    Rows that begin with "or" are what prompts are routed to at the price above.
    """
    from planner.planning.adaptive import ladder_in_words

    table = new_table("Plans that react")
    for heading in ("cost", bundle.objective):
        table.add_column(heading, justify="right")
    table.add_column("draws at most", overflow="fold")
    table.add_column("waves", justify="right")
    table.add_column("votes count", overflow="fold")
    table.add_column("stops by", overflow="fold")
    adaptive = bundle.adaptive
    if adaptive is None:
        return table
    n_levels = len(adaptive.policy.prices)
    shown: set[tuple[tuple[str, ...], ...]] = set()
    for level in sorted({round(place) for place in np.linspace(0, n_levels - 1, _LEVELS_SHOWN)}):
        mean = (
            number(float(np.nanmean(adaptive.cost[:, level]))),
            f"{np.nanmean(adaptive.value[:, level]):.3f}",
        )
        rows = tuple(
            (
                *(("", "or") if option else mean),
                ladder_in_words(move.ladder),
                str(len(move.ladder)),
                _weighing(move.ladder, bundle),
                "–" if len(move.ladder) == 1 else type(move.rule).__name__,
            )
            for option, move in enumerate(adaptive.policy.options(level))
        )
        for row in rows if rows not in shown else ():
            table.add_row(*row)
        shown.add(rows)
    return table


def _weighing(ladder: Ladder, bundle: PolicyBundle) -> str:
    """Say what the votes of a ladder count."""
    if bundle.objective == "coverage" or ladder.n == 1:
        return "–"
    if ladder.judged:
        return "P(correct)"
    recorded = bundle.adaptive is not None and any(
        bundle.adaptive.policy.scales[name].logprob_sd > 0 and ladder.steepness(name) > 0
        for name in ladder.generators
    )
    return "log-probability" if recorded else "alike"


def verifier_table(bundle: PolicyBundle) -> Table:
    """Return the learned verifiers with what picking by them delivers on prompts that they did not see."""
    table = new_table("Learned verifiers (cross-fitted)")
    table.add_column("generator", overflow="fold")
    for heading in ("Brier", "constant", "AUC", "N", "vote", "other pick", "its pick", "in plans"):
        table.add_column(heading, justify="right")
    record = bundle.training.get("learned_verifier", {})
    for name in bundle.verifiers:
        row = record.get(name, {})
        if "brier" not in row:
            continue
        auc = row.get("auc_within_prompt")
        widest = row["selection"][-1] if row.get("selection") else None
        picked: tuple[str, ...] = ("–",) * 4
        if widest is not None:
            rule = row.get("offered") or "best_of_n"
            values = (widest["vote"], widest["rival_value"], widest[rule])
            picked = (str(widest["n"]), *map(_share, values))
        table.add_row(
            name,
            _share(row["brier"]),
            _share(row.get("brier_constant")),
            "–" if auc is None else f"{auc:.2f}",
            *picked,
            row.get("offered") or "no",
        )
    return table


def verdict_of_verifiers(bundle: PolicyBundle) -> str:
    """Say for which generators picking by the learned verifier was shown to pay."""
    offered = [
        name for name, row in bundle.training.get("learned_verifier", {}).items() if row.get("offered")
    ]
    if offered:
        return (
            "Picking by the learned verifier beats the plain vote in cross-fitted replay, and plans may use "
            f"it: {', '.join(offered)}."
        )
    if bundle.verifiers:
        return "Picking by the learned verifier was not shown to pay: no plan uses it."
    return (
        "There is no learned verifier: it needs marked answers, right and wrong ones, and accuracy, and "
        "--no-learned-verifier leaves it out."
    )


def _share(value: float | None) -> str:
    """Return a share with three decimals; a dash where it could not be measured."""
    return "–" if value is None else f"{value:.3f}"
