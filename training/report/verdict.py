"""The verdict of an evaluation in a few sentences: what would be saved, against what, and what did the work.

Screens, notebooks and documents say the same. It claims what the tables show and no more: each number stands
with its interval, and what was not reached is said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from difficulty.amounts import amount, number
from training.report.names import BEST_RULE, OURS
from training.report.words import difference, named, reached, shares, times

_SHARE: Final = 0.9
# Of a share saved: what is less is told as nothing.
_NOTHING: Final = 0.005
_SHOWN: Final = (0.5, 0.75, 0.9)
# How known selectors are named in words, one after the other.
_PICKING: Final = (
    ("uniform ", ""),
    ("_", " "),
    ("weighted best-of-N by", "a vote weighed by"),
    ("best-of-N by", "the best by"),
    ("mean logprob", "log-probability"),
)
NOTHING_PAYS: Final = (
    "Nothing special pays here: no policy was shown to beat the best static mix on the training prompts, so "
    "that everybody gets the best fixed number of samples, or by lot one of the two best."
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
    kind, unit = data["objective"], data["unit"]
    picking, comma, generator = row["name"].partition(", ")
    for name, words in _PICKING:
        picking = picking.replace(name, words)
    # One sample needs no picking.
    how = shown(f"{picking}{comma}{generator}" if row["n"] > 1 or not comma else generator)
    samples, reach = (f"up to {row['n']} samples", "reach") if row["n"] > 1 else ("one sample", "reaches")
    target, today = f"{kind} {row['value']:.3f}", f"{amount(row['uniform_cost'], unit)} per prompt"
    if row["cost"] is None:
        return (
            f"What {samples} for everybody ({how}) {reach}, {target} for {today}, the policy never reaches: "
            f"{row['missing']:.3f} is missing.{_surely(uniform, kind)}"
        )
    low, high = row["saved_share_interval"]
    saved, ends, word = row["saved_share"], (low, high), "less"
    if saved < 0:
        saved, ends, word = -saved, (_less(high), _less(low)), "more"
    paid = f"For {target}, {samples} for everybody ({how}) cost {today}"
    if all(end is not None and abs(end) < _NOTHING for end in (saved, *ends)):
        return f"{paid}, and the policy as much.{_surely(uniform, kind)}"
    chance = ", which may be chance" if (ends[0] or 0) <= 0 and None not in ends else ""
    rarely = ", and in some resamples it never gets there" if None in ends else ""
    below = _surely(uniform, kind) if chance or rarely or word == "more" else ""
    return f"{paid} and the policy {number(row['cost'])}: {shares(saved, ends, word)}{chance}{rarely}.{below}"


def _less(end: float | None) -> float | None:
    return None if end is None else -end


def _surely(uniform: Mapping[str, Any], kind: str) -> str:
    """Return what is surely saved at less than most of the way to the best, if anything."""
    sure = [
        row
        for row in uniform["rows"]
        if row["share"] < _SHARE
        and row["cost"] is not None
        and (row["saved_share_interval"][0] or 0) >= _NOTHING
    ]
    if not sure:
        return ""
    row = max(sure, key=lambda row: float(row["share"]))
    told = shares(row["saved_share"], row["saved_share_interval"])
    return f" For {kind} {row['value']:.3f} it surely costs less: {told}."


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
    who = named(sure) if sure else "no single part for sure"
    return f"What did the work: {who} ({data['objective']} lost at equal cost without it: {told})."


def multiples_sentence(comparison: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return what the best static mix costs as a multiple of ours, and what ours reaches beyond it."""
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
    most, beyond = comparison["at_most"][OURS], ""
    if (most["interval"][0] or 0) > 0:
        reach = f"{most['value']:.3f} at {amount(most['cost'], data['unit'])} per prompt"
        beyond = (
            f" Beyond that plateau it reaches {reach}: {difference(most['difference'], most['interval'])}."
        )
    return (
        f"At equal {data['objective']} the best static mix costs, as a multiple of the policy's cost, "
        f"{', '.join(parts)} of the way to its plateau.{beyond}"
    )


def standing_sentence(
    comparison: Mapping[str, Any], rivals: Mapping[str, Any], data: Mapping[str, Any]
) -> str:
    """Return how the policy stands at equal cost, against the static mix and the best of the tuned rules."""
    rows = [row for row in comparison["at_equal_cost"][OURS] if row["value"] is not None]
    fixed = _counted([row["difference_interval"] for row in rows])
    told = f"At equal cost its {data['objective']}, against the best static mix, is {fixed}"
    if BEST_RULE not in rivals:
        return f"{told}."
    found = rivals[BEST_RULE]
    rule = _counted([row["interval"] for row in found["at_equal_cost"] if row["difference"] is not None])
    mean = difference(found["mean_difference"]["difference"], found["mean_difference"]["interval"])
    return f"{told}; against the {BEST_RULE}, which has the same selectors, {rule}: {mean} on average."


def _counted(intervals: Sequence[Sequence[float | None]]) -> str:
    """Count gains and losses beyond their intervals, in the same words."""
    better = sum((low or 0) > 0 for low, _ in intervals)
    worse = sum((high or 0) < 0 for _, high in intervals)
    return f"surely higher at {better} of {len(intervals)} budgets and surely lower at {worse}"
