"""Sections of the report on policies that react: rounds, rivals head to head, where regret comes from.

Every number comes from the tables that `training.evaluate` made. The other sections are in
`training.report.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from training.report.markdown import as_text

__all__ = ["plain", "regret_section", "rivals_section", "rounds_section", "times", "uniform_section"]

_PARTS: Final = ("predictor", "stopping", "menu", "all")


def rounds_section(rounds: Sequence[dict[str, Any]]) -> str:
    """Return the table of sequential rounds; empty without an adaptive policy."""
    if not rounds:
        return ""
    tokens = all(row["total_tokens_resent"] is not None for row in rounds)
    lines = [
        "## Sequential rounds of the adaptive policy",
        "",
        "What reacts to samples has to wait for them. Rounds per prompt at the dearest price level within "
        "each budget."
        + (
            " Total tokens per prompt if each round sends the prompt again, and if a prefix cache spares all "
            "but the first time that a generator reads it."
            if tokens
            else " Prompt tokens are not recorded, so what re-sent prompts cost is not known."
        ),
        "",
        "| budget | cost | mean rounds | 95 % of prompts within |"
        + (" tokens, re-sent | tokens, cached |" if tokens else ""),
        "|---|---|---|---|" + ("---|---|" if tokens else ""),
    ]
    for row in rounds:
        cells = [f"{row['budget']:.4g}", f"{row['cost']:.4g}", f"{row['mean_rounds']:.2f}"]
        cells.append(f"{row['p95_rounds']:.1f}")
        if tokens:
            cells += [f"{row['total_tokens_resent']:.4g}", f"{row['total_tokens_cached']:.4g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def uniform_section(uniform: dict[str, Any], objective: str, unit: str) -> str:
    """Return what the adaptive policy saves against the same N for every prompt; empty without one."""
    if not uniform:
        return ""
    most = uniform["most"]
    lines = [
        "## Against the same number of samples for every prompt",
        "",
        f"With all recorded samples uniform sampling reaches {objective} {most['value']:.3f} at "
        f"{most['cost']:.4g} {unit} per prompt ({as_text(most['name'])}). What shares of that value cost "
        "it, whose generator, selector and number are the cheapest in hindsight at each share, and the "
        f"adaptive policy, which climbs at most {uniform['most_waves']} waves:",
        "",
        f"| share | {objective} | uniform | adaptive | times less | times less than all of it |",
        "|---|---|---|---|---|---|",
    ]
    for row in uniform["rows"]:
        cells = [f"{row['share']:.0%}", f"{row['share'] * most['value']:.3f}"]
        cells += ["–" if row[key] is None else f"{row[key]:.4g}" for key in ("uniform_cost", "cost")]
        for key in ("multiple", "multiple_of_all"):
            low, high = row[f"{key}_interval"]
            cells.append(f"{times(row[key])} [{times(low)}, {times(high)}]")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rivals_section(rivals: dict[str, Any], objective: str) -> str:
    """Return the adaptive policy head to head with tuned stopping rules and ablations; empty without any."""
    if not rivals:
        return ""
    multiples, equal = rivals["cost_multiples"], rivals["at_equal_cost"]
    header = [f"{row['way_to_plateau']:.0%}" for row in next(iter(multiples.values()))]
    lines = [
        "## Against tuned stopping rules",
        "",
        f"What each rule costs as a multiple of the adaptive policy's cost at equal {objective}, at shares "
        "of the way to the static plateau: above 1 the adaptive policy is cheaper, 0 where only the rule "
        "gets there, ∞ where only the adaptive policy does. All were fitted on the same training prompts; "
        "the best of the tuned rules is chosen in hindsight, target by target. Rules that tools ship "
        "(its_hub, zen-router) keep their own numbers and get the best generators; policies named after "
        "ours have one part switched off.",
        "",
        "| against | " + " | ".join(header) + " |",
        "|---|" + "---|" * len(header),
    ]
    lines += [
        f"| {as_text(name)} | " + " | ".join(_multiple(row) for row in rows) + " |"
        for name, rows in multiples.items()
    ]
    budgets = [row["budget"] for row in next(iter(equal.values()))]
    lines += [
        "",
        f"{objective.capitalize()} of the adaptive policy minus the other's at equal cost, per budget:",
        "",
        "| against | " + " | ".join(f"{budget:.4g}" for budget in budgets) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    lines += [
        f"| {as_text(name)} | " + " | ".join(_difference(row) for row in rows) + " |"
        for name, rows in equal.items()
    ]
    return "\n".join(lines)


def regret_section(regret: dict[str, Any], objective: str) -> str:
    """Return where the adaptive policy and the plans lose to hindsight; empty without any part."""
    if not regret:
        return ""
    lines = [
        "## Where the regret comes from",
        "",
        f"{objective.capitalize()} lost to hindsight at equal cost, part by part. An oracle knows one half "
        "of each prompt's samples and everything is scored on the other half, with ladders cut to what a "
        "half can replay.",
        "",
    ]
    if regret["parts"]:
        lines += ["| budget | predictor | stopping | menu | all |", "|---|---|---|---|---|"]
        lines += [
            f"| {row['budget']:.4g} | " + " | ".join(_part(row[part]) for part in _PARTS) + " |"
            for row in regret["parts"]
        ]
        lines += [
            "",
            "Predictor: what the policy would gain if prompts were ranked by their own success (a lower "
            "bound: its rules trust a level no more than they trusted the predicted one). Stopping: what "
            "stopping each prompt at its own best wave would add; negative where reacting to the votes is "
            "worth more than knowing the prompt. Menu: what all recorded allocations would add to the "
            "policy's ladders. Hindsight chooses from the few samples of a half: where the sum is negative, "
            "its choice is too noisy to bound anything. A dash: the policy sees no predicted level, or the "
            "halves are too small.",
            "",
        ]
    else:
        lines += [
            "Predictor, stopping and menu cannot be told apart here: there is no adaptive policy, or halves "
            "of the recorded samples cannot replay it.",
            "",
        ]
    rounding = ", ".join(f"{_part(row)} at {row['budget']:.4g}" for row in regret["rounding"])
    lines.append(f"Rounding (what one-shot plans leave of their budget unspent): {rounding}.")
    return "\n".join(lines)


def times(value: float | None) -> str:
    """Return a multiple in words; ∞ where it is not finite."""
    return "∞" if value is None else f"{value:.2f}"


def plain(value: float | None) -> str:
    """Return a difference in words; a dash where there is none."""
    return "–" if value is None else f"{value:+z.3f}"


def _multiple(row: dict[str, Any]) -> str:
    if row["both_fail"]:
        return "–"
    low, high = row["interval"]
    return f"{times(row['multiple'])} [{times(low)}, {times(high)}]"


def _difference(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return "–"
    low, high = row["interval"]
    return f"{row['difference']:+z.3f} [{plain(low)}, {plain(high)}]"


def _part(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    low, high = row["interval"]
    return f"{row['value']:+z.3f} [{low:+z.3f}, {high:+z.3f}]"
