"""The verdict of an evaluation in a few sentences: what would be saved, against what, and what did the work.

It claims what the tables show and no more: each number stands with its interval, and what was not reached is
said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from training.report.names import BEST_RULE, OURS
from training.report.words import difference, named, reached, shares, times

_SHARE: Final = 0.9
# Of a share saved: what is less is told as nothing.
_NOTHING: Final = 0.005
_SHOWN: Final = (0.5, 0.75, 0.9)


NOTHING_PAYS: Final = (
    "Nothing special pays here: no policy was shown to beat the best static mix on the training "
    "prompts, so the bundle plans the best static mix."
)


def nothing_deployed(training: Mapping[str, Any]) -> bool:
    """Return whether a bundle plans the static mix at every price."""
    bands = training.get("verdict", [])
    return all(band["deployed"] == "static mix" for band in bands)


def saving_sentence(
    uniform: Mapping[str, Any], data: Mapping[str, Any], *, shown: Callable[[str], str] = str
) -> str:
    """Return what is saved against the same number of samples for everybody; empty without any."""
    if not uniform:
        return ""
    row = next(row for row in uniform["rows"] if row["share"] == _SHARE)
    unit, objective = data["unit"].replace("_", " "), data["objective"]
    samples, reach = (f"up to {row['n']} samples", "reach") if row["n"] > 1 else ("one sample", "reaches")
    how = shown(row["name"].removeprefix("uniform "))
    what = f"{samples} for everybody ({how}) at {row['uniform_cost']:.4g} {unit}"
    if row["cost"] is None:
        missing = f"{row['missing']:.3f}".removeprefix("0")
        return (
            f"What {what} per prompt {reach}, {objective} {row['value']:.3f}, is never reached by the policy "
            f"({missing} missing)."
        )
    low, high = row["saved_share_interval"]
    verb, more, share, ends = "saves", "", row["saved_share"], (low, high)
    if row["saved"] < 0:
        verb, more, share, ends = "costs", "more ", -share, (_less(high), _less(low))
    today = f"Where {what} per prompt {reach} {objective} {row['value']:.3f}"
    if all(end is not None and abs(end) < _NOTHING for end in (share, low, high)):
        return f"{today}, the policy costs as much."
    rarely = ", and in some resamples it never gets there" if None in ends else ""
    return (
        f"{today}, the policy {verb} {abs(row['saved']):.4g} {unit} {more}per prompt: "
        f"{shares(share, ends)}{rarely}."
    )


def _less(end: float | None) -> float | None:
    return None if end is None else -end


def static_sentence(comparison: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return what the best static mix costs as a multiple of ours, and where ours is better or worse."""
    parts = []
    for row in comparison["cost_multiples"][OURS]:
        if row["way_to_plateau"] in _SHOWN:
            low, high = (times(end) for end in row["interval"])
            at = f"at {row['way_to_plateau']:.0%}"
            parts.append(
                f"{times(row['multiple'])} [{low}, {high}] {at}"
                if row["multiple"]
                else f"never reached {at} ({reached(row)})"
            )
    rows = [row for row in comparison["at_equal_cost"][OURS] if row["value"] is not None]
    better = _better([row["difference_interval"] for row in rows])
    most, beyond = comparison["at_most"][OURS], ""
    if (most["interval"][0] or 0) > 0:
        unit, more = data["unit"].replace("_", " "), difference(most["difference"], most["interval"])
        reach = f"{most['value']:.3f} at {most['cost']:.4g} {unit} per prompt"
        beyond = f" Beyond that plateau it reaches {reach}: {more}."
    return (
        f"At equal {data['objective']} the best static mix costs, as a multiple of the policy's cost, "
        f"{', '.join(parts)} of the way to its plateau; at equal cost the policy is {better}.{beyond}"
    )


def rivals_sentence(rivals: Mapping[str, Any]) -> str:
    """Return how the policy stands against the best of the tuned rules; empty without any."""
    if BEST_RULE not in rivals:
        return ""
    found = rivals[BEST_RULE]
    rows = [row for row in found["at_equal_cost"] if row["difference"] is not None]
    mean = found["mean_difference"]
    told = difference(mean["difference"], mean["interval"])
    return (
        f"Against the {BEST_RULE}, which has the same selectors, at equal cost it is "
        f"{_better([row['interval'] for row in rows])}: {told} on average."
    )


def _better(intervals: Sequence[Sequence[float | None]]) -> str:
    """Count wins and losses beyond their intervals, in the same words."""
    wins = sum((low or 0) > 0 for low, _ in intervals)
    losses = sum((high or 0) < 0 for _, high in intervals)
    return f"better beyond its 95 % interval at {wins} of {len(intervals)} budgets and worse at {losses}"


def work_sentence(work: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return what did the work, in one line: what is lost at equal cost without each part."""
    gains = {part: row["mean_difference"] for part, row in work.items()}
    known = {part: gain for part, gain in gains.items() if gain["difference"] is not None}
    if not known:
        return ""
    ranked = sorted(known, key=lambda part: -known[part]["difference"])
    sure = [part for part in ranked if (known[part]["interval"][0] or 0) > 0]
    told = "; ".join(
        f"{part} {difference(known[part]['difference'], known[part]['interval'])}" for part in ranked
    )
    who = named(sure) if sure else "no single part beyond its interval"
    return f"What did the work: {who} ({data['objective']} lost at equal cost without it: {told})."
