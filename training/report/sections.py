"""The sections of a report in Markdown, each from one table.

Every number comes from the tables that `training.evaluate` made; a section whose table is empty is empty. The
verdict is worded by `training.report.verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping

from training.report.markdown import Table, as_text, document, table, table_of
from training.report.names import BEST_RULE, MOST_DRAWN, OURS, STATIC
from training.report.words import difference, hundredths, multiple, shares


def _bold(name: str) -> str:
    return f"**{name}**" if name in (OURS, STATIC, BEST_RULE) else as_text(name)


def _named(name: str, n_prompts: Mapping[str, int], n: int) -> str:
    """Name a policy, with the prompts that it is compared on where these are not all."""
    told = n_prompts.get(name, n)
    return _bold(name) if told == n else f"{_bold(name)} (on {told} prompts)"


def equal_cost_section(comparison: Table, data: Table) -> str:
    """Return value at equal cost, policy by policy."""
    budgets = comparison["budgets"]
    rows = []
    for name, cells in comparison["at_equal_cost"].items():
        told = [_value(cell, static=name == STATIC) for cell in cells]
        rows.append([_named(name, comparison["n_prompts"], data["n_prompts"]), *told])
    return document(
        f"## {data['objective'].capitalize()} at equal cost",
        f"Difference to the best static mix in brackets, with its 95 % interval. Budgets are mean "
        f"{data['unit']} per prompt; a dash means that the policy cannot be bought at that budget. A "
        "policy that the log cannot tell of every prompt is compared on the others, with the static mix "
        "on the same ones.",
        table(["policy", *(f"{budget:.4g}" for budget in budgets)], rows),
    )


def _value(row: Table, *, static: bool) -> str:
    if row["value"] is None:
        return "–"
    if static:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ({difference(row['difference'], row['difference_interval'])})"


def multiples_section(comparison: Table, data: Table) -> str:
    """Return cost multiples at equal value, policy by policy, with their geometric mean."""
    plateau, means = comparison["plateau"], comparison["mean_multiples"]
    first = next(iter(comparison["cost_multiples"].values()))
    rows = []
    for name, cells in comparison["cost_multiples"].items():
        mean = means[name]
        told = [multiple(cell) for cell in cells]
        rows.append([_named(name, comparison["n_prompts"], data["n_prompts"]), *told, _averaged(mean)])
    return document(
        f"## Cost multiple at equal {data['objective']}",
        "Cost of the interpolated best static frontier over the policy's, at shares of the way from its "
        f"cheapest point ({plateau['cheapest_value']:.3f} at {plateau['cheapest_cost']:.4g}) to its "
        f"plateau ({plateau['plateau_value']:.3f} at {plateau['plateau_cost']:.4g}). Above 1 saves. "
        "Where a target is never reached: the share of bootstrap replicates that reach it, and how much "
        "is missing at best. The mean over 50, 75 and 90 % is geometric.",
        table(["policy", *(f"{row['way_to_plateau']:.0%}" for row in first), "mean"], rows),
    )


def _averaged(mean: Table) -> str:
    return "not reached everywhere" if mean["multiple"] is None else multiple(mean)


def uniform_section(uniform: Table, data: Table) -> str:
    """Return what is saved against the same number of samples for everybody."""
    if not uniform:
        return ""
    most = uniform["most"]
    return document(
        "## Against the same number of samples for every prompt",
        f"At most, equally many samples for everybody reach {data['objective']} {most['value']:.3f}, at "
        f"{most['cost']:.4g} {data['unit']} per prompt ({most['n']} sample{'s' * (most['n'] > 1)}, "
        f"{as_text(most['name'].removeprefix('uniform '))}). What shares of the way there cost, from one "
        "sample of the cheapest. Generator, selector and number are the cheapest in hindsight at each "
        "share, which favours uniform sampling. A dash in an interval: in some resamples the policy never "
        "gets there.",
        table_of(
            uniform["rows"],
            {
                "way there": "{share:.0%}",
                data["objective"]: "{value:.3f}",
                "uniform N": lambda row: f"{row['n']}, {as_text(row['name'].removeprefix('uniform '))}",
                "costs": "{uniform_cost:.4g}",
                "the policy": lambda row: "–" if row["cost"] is None else f"{row['cost']:.4g}",
                "saved": lambda row: "never reached" if row["cost"] is None else f"{row['saved']:.4g}",
                "share saved": lambda row: (
                    "–" if row["cost"] is None else shares(row["saved_share"], row["saved_share_interval"])
                ),
            },
        ),
    )


def rivals_section(rivals: Table, data: Table) -> str:
    """Return our policy head to head with known rules and baselines."""
    return _versus(
        rivals,
        "## Against known rules, on equal terms",
        f"What each costs as a multiple of our cost at equal {data['objective']}, at shares of the way to "
        "the static plateau: above 1 ours is cheaper. Each rule was tuned on the same training prompts, "
        "price by price, among its own columns of the same table: the same selectors, caps and generators. "
        "The best of them may also use every static course. Below: "
        f"{data['objective']} of ours minus the other's at equal cost.",
    )


def work_section(work: Table, data: Table) -> str:
    """Return our policy against itself without each of its parts."""
    return _versus(
        work,
        "## What did the work",
        "The same policy with one part switched off: what it then costs as a multiple of our cost at equal "
        f"{data['objective']}, and what is lost at equal cost without the part.",
    )


def _versus(others: Table, title: str, words: str) -> str:
    if not others:
        return ""
    first = next(iter(others.values()))
    costs = [
        [_bold(name), *(multiple(row) for row in rows["cost_multiples"]), _averaged(rows["mean_multiple"])]
        for name, rows in others.items()
    ]
    gains = [
        [
            _bold(name),
            *(difference(row["difference"], row["interval"]) for row in rows["at_equal_cost"]),
            difference(rows["mean_difference"]["difference"], rows["mean_difference"]["interval"]),
        ]
        for name, rows in others.items()
    ]
    return document(
        title,
        f"{words} Means are geometric over 50, 75 and 90 % of the way, and over all budgets beyond the "
        "cheapest, where all begin.",
        table(
            ["against", *(f"{row['way_to_plateau']:.0%}" for row in first["cost_multiples"]), "mean"],
            costs,
        ),
        table(
            ["against", *(f"{row['budget']:.4g}" for row in first["at_equal_cost"]), "mean"],
            gains,
        ),
    )


def gap_section(gap: Table) -> str:
    """Return the share of the gap to hindsight that is closed."""
    if not gap:
        return ""
    return document(
        "## Share of the gap to hindsight",
        table_of(gap["per_budget"], {"budget": "{budget:.4g}", "share closed": _closed}),
        "Of what hindsight gains over the best static mix at a budget, the policy gains this share: below 0 "
        "it is worse than the static mix there, by that share of the gap. Hindsight chooses each prompt's "
        "course with one half of its samples, drawn towards the training prompts that they make likely, at "
        "the cost that these had; it is scored on the other half, among the courses that a half can tell. "
        "With few samples per prompt it can lie below a policy: it is a bound only where it lies above.",
    )


def _closed(row: Table) -> str:
    return "no gap to close" if row["share"] is None else shares(row["share"], row["interval"])


def bands_section(bands: Table) -> str:
    """Return what each fifth of observed difficulty gets and gains."""
    rows = [
        [str(row["band"]), f"{row['one_sample']:.3f}", f"{row['cost']:.4g}", f"{row['value']:.3f}",
         f"{row['static_value']:.3f}"]
        for row in bands["bands"]
    ]  # fmt: skip
    return document(
        "## Who gets what",
        "Prompts in fifths of observed success of one sample, easiest first, at a budget of "
        f"{bands['budget']:.4g}.",
        table(["band", "one sample", "cost", "value", "best single static course"], rows),
        "![What the policy gives](allocation.png)",
    )


def flops_section(match: Table) -> str:
    """Return a small model with test-time compute against a bigger one; empty where sizes are not known."""
    if not match:
        return ""
    assumed = (
        "" if match["tokens_recorded"] else " Tokens are not recorded: samples are taken as equally long."
    )
    rows = []
    for row in match["rows"]:
        ratio = row["inference_per_pretraining_token"]
        limited = ", all that is recorded" if row["limited_by_log"] else ""
        cells = [difference(part["difference"], part["interval"]) for part in (row["all"], *row["bands"])]
        used = f"{row['samples_freed']} ({row['samples_used']}{limited})"
        rows.append(["inference only" if ratio is None else str(ratio), used, *cells])
    bands = [str(number + 1) for number in range(len(match["rows"][0]["bands"]))]
    return document(
        "## A small model with test-time compute against a bigger one",
        f"{as_text(match['small'])} with N samples against {as_text(match['large'])} "
        f"({match['size_ratio']:.3g} times larger) answering once, at equal FLOPs; "
        f"difference in value per difficulty band, easiest first.{assumed}",
        table(["inference per pre-training token", "N freed (used)", "all", *bands], rows),
    )


def belief_section(calibration: Table) -> str:
    """Return the scores of the belief before sampling."""
    if not calibration:
        return ""
    rows = [
        [as_text(name), f"{row['brier']:.4f}", f"{row['brier_constant']:.4f}",
         hundredths(row["explained_share"]), f"{row['crps']:.4f}", f"{row['crps_constant']:.4f}"]
        for name, row in calibration.items()
    ]  # fmt: skip
    header = ["generator", "Brier", "constant", "explained share", "CRPS", "constant"]
    n = len(calibration)
    drawn = f"The figure shows the first {MOST_DRAWN} of {n} generators." if n > MOST_DRAWN else ""
    return document(
        "## Belief",
        "How far the success that was told lies from what came. The noise of few samples is taken off, so "
        "that by chance a Brier score may come out below 0, and a share above 1.",
        table(header, rows),
        drawn,
        "![Reliability](reliability.png)",
    )
