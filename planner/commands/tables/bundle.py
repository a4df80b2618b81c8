"""Tables that say what a bundle is and was trained on.

Every number comes from the bundle; nothing is computed here but means over its training prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.table import Table

from difficulty.amounts import number
from planner.bundle.label_doubt import label_doubt
from planner.commands.tables.shared import facts_table, new_table

if TYPE_CHECKING:
    from planner.bundle.policy_bundle import PolicyBundle

_LEVELS_SHOWN: Final = 6
# Of the courses on offer at one price.
_MOST_OFFERS: Final = 2
_SHOWN_RIVALS: Final = 3


def training_table(bundle: PolicyBundle) -> Table:
    """Return in a few lines what was trained, and on what; `bundle_table` says all."""
    training, unit = bundle.training, bundle.unit.replace("_", " ")
    rows = (
        ("trained on", _trained_on(training)),
        ("generators", ", ".join(bundle.generators)),
        ("plans for", f"{bundle.objective}, cost in {unit}"),
        ("courses", f"{int(bundle.deployed.sum())} of {bundle.table.value.shape[1]} ways to spend samples"),
        ("text", _text(training)),
        *_labels(training),
    )
    return facts_table(None, rows)


def _trained_on(training: Mapping[str, Any]) -> str:
    """Return how many prompts and samples were learned from, and of how many they were drawn."""
    told = f"{training['n_prompts']:,} prompts, {training['n_samples']:,} samples"
    of = training.get("n_drawn_from")
    return f"{told} (drawn from {of:,} prompts)" if of else told


def _text(training: Mapping[str, Any]) -> str:
    """Return how much of the differences between prompts their text tells, with its worst and best model."""
    known = sorted(share for share in training.get("skill", {}).values() if share is not None and share > 0)
    if not known:
        return "tells nothing about success on prompts that were left out"
    told = f"tells {_ends(known)} of how prompts that were left out differ in success"
    unseen = [share for share in training.get("families", {}).get("skill", {}).values() if share is not None]
    if not unseen:
        return told
    share = _ends(sorted(max(share, 0.0) for share in unseen))
    return f"{told}, {share} where whole families were (by meta.{training['families']['key']})"


def _ends(shares: Sequence[float]) -> str:
    low, high = f"{100 * shares[0]:.0f} %", f"{100 * shares[-1]:.0f} %"
    return low if low == high else f"{low} to {high}"


def bundle_table(bundle: PolicyBundle, path: str) -> Table:
    """Return what a bundle is and was trained on."""
    training = bundle.training
    deployed = int(bundle.deployed.sum())
    courses = f"{len(bundle.table.courses)} courses (ways to spend samples)"
    rows: list[tuple[str, str]] = [
        ("plans for", f"{_objective(bundle)}, cost in {bundle.unit.replace('_', ' ')}"),
        ("table", f"{courses} on {len(bundle.references)} prompts, {deployed} in use"),
    ]
    if training:
        near = training.get("n_near_duplicates")
        kept = f"; {near} near-duplicates, kept together" if near else ""
        drawn = _trained_on(training)
        rows.append(("trained on", f"{drawn}; {training['n_trials']} trials, seed {training['seed']}{kept}"))
        skill = training.get("skill", {})
        # Below 0 it says less than the mean of all would.
        known = {name: share for name, share in skill.items() if share is not None and share > 0}
        if known:
            told = ", ".join(f"{100 * share:.0f} % with {name}" for name, share in known.items())
            rows.append(("text", f"tells how prompts differ in success, on those left out: {told}"))
        else:
            rows.append(("text", "tells nothing about success"))
        rows += _labels(training)
        rows += [("more is worse", _fall(row)) for row in training.get("overoptimised", [])]
        about = training.get("about", {})
        origin = [str(about[name]) for name in ("source", "licence") if name in about]
        rows += [("source", "; ".join(origin))] if origin else []
    return facts_table(f"Policy bundle {path}", rows)


def _objective(bundle: PolicyBundle) -> str:
    """Return what is planned for, with the scale of rewards."""
    if bundle.objective != "reward":
        return bundle.objective
    scale = bundle.policy.telling.own_scale
    return (
        f"reward from {bundle.training.get('reward', 'reward')}, between {scale.lower:g} and {scale.upper:g}"
    )


def _labels(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what stood for right and wrong in training, if no verdicts did, and what it does not tell."""
    record = training.get("labels")
    if not record:
        return []
    graded = record["correction"]["n_prompts"]
    corrected = f"corrected on {graded:g} graded prompts" if graded else "taken at their word"
    told = (
        f"by {record['by']}, {corrected}; samples are right with a chance of {record['mean']:.3f} on average"
    )
    rivals = record.get("rivals", {})
    doubt = label_doubt(record)
    return [
        ("labels", told),
        *([("how far off", doubt)] if doubt else []),
        *([("not settled", _unsettled(rivals))] if rivals.get("unsettled") else []),
    ]


def _unsettled(rivals: Mapping[str, Any]) -> str:
    """Return which generators may be better than the one that labels call best, and what would settle it."""
    rows = rivals["unsettled"]
    ends = [tuple(row["interval"]) for row in rows]
    near = ", ".join(
        f"{row['generator']} ({row['behind']:.2f} behind, {low:+.2f} to {high:+.2f})"
        for row, (low, high) in zip(rows[:_SHOWN_RIVALS], ends, strict=False)
    )
    near += f" and {len(rows) - _SHOWN_RIVALS} more" if len(rows) > _SHOWN_RIVALS else ""
    text = f"which generator is best: by labels {rivals['best']}, but it may be {near}"
    n = len(rivals["grade_first"])
    return text + (
        f". Grade {n} prompts drawn at random (rivals.grade_first with --json) and train again" if n else ""
    )


def _fall(row: Mapping[str, Any]) -> str:
    """Return where best-of-N is worth less with more samples."""
    return (
        f"the best by {row['by']} of {row['generator']} is worth most with {row['best_n']} samples, and "
        f"{row['fall']:.3g} less with {row['n']} (standard error {row['error']:.2g})"
    )


_IN_WORDS: Final = {
    "static mix": "fixed numbers of samples, the same for everybody",
    "early stopping for all": "samples that stop early, the same for everybody",
    "courses for all": "the best courses of all kinds, the same for everybody",
    "sure choices by text": "other courses for prompts whose text surely asks for them",
    "choices by text": "other courses for prompts whose text asks for them",
    "static courses by text": "numbers of samples fixed beforehand, each prompt's by its text",
    "all courses by text": "courses of all kinds, each prompt's by its text",
}


def verdict_of_training(bundle: PolicyBundle) -> str:
    """Say what training found, from small budgets to large ones."""
    verdict = bundle.training.get("verdict")
    if not verdict:
        return "Nothing was recorded yet: plans rest on a broad prior."
    shown = [(name, list(bands)) for name, bands in groupby(verdict, key=lambda band: str(band["deployed"]))]
    if [name for name, _ in shown] == ["static mix"]:
        text = (
            "Nothing beyond the best static mix (fixed numbers of samples, the same for everybody) was shown "
            "to pay in training: the bundle plans that mix."
        )
    else:
        found = [_IN_WORDS.get(name, name) + _worth(name, bands) for name, bands in shown]
        text = (
            "What was shown to pay in training, from small budgets to large ones (in brackets, what it gains "
            f"over fixed numbers of samples on prompts that were left out): {', then '.join(found)}."
        )
    if bundle.objective == "accuracy" and all(course.n == 1 for course in bundle.table.courses):
        text += " Only single samples could be valued."
    return text


def _worth(name: str, bands: Sequence[Mapping[str, Any]]) -> str:
    """Return what a procedure gains, at the least and the most of neighbouring budgets."""
    if name == "static mix":
        return ""
    gains = sorted({f"{band['gain']:+.3f}" for band in bands}, key=float)
    return f" ({' to '.join(gains[:: max(len(gains) - 1, 1)])})"


def generator_table(bundle: PolicyBundle) -> Table:
    """Return the generators with what one sample of each is worth and costs on the training prompts."""
    table = new_table("Generators")
    table.add_column("generator", overflow="fold")
    worth = "success" if bundle.objective != "reward" else "share of the scale"
    for heading in (f"{worth} of a sample", "output tokens", "parameters", "temperature"):
        table.add_column(heading, justify="right")
    references = bundle.references
    # Ragged logs lack some generators on some prompts.
    success, tokens = (
        np.ma.masked_invalid(known).mean(axis=0).filled(np.nan)
        for known in (references.success(), references.output_tokens)
    )
    for index, (name, generator) in enumerate(bundle.generators.items()):
        table.add_row(
            name,
            f"{success[index]:.3f}",
            number(float(tokens[index])),
            "–" if generator.size is None else f"{generator.size:.3g}",
            "–" if generator.temperature is None else f"{generator.temperature:g}",
        )
    return table


def course_table(bundle: PolicyBundle) -> Table:
    """Return what the policy offers at prices from dear to cheap, with means over the training prompts."""
    table = new_table(
        "Courses on offer, from small budgets to large ones (some)", "samples", bundle.objective
    )
    table.add_column("course", overflow="fold")
    value = bundle.table.value.mean(axis=0, dtype=float)
    samples = bundle.table.slots.total(bundle.table.samples.astype(float)).mean(axis=0)
    shown: set[int] = set()
    levels = len(bundle.policy.prices)
    for level in sorted({round(place) for place in np.linspace(0, levels - 1, _LEVELS_SHOWN)}):
        offered = np.flatnonzero(bundle.policy.offered[level])
        for column in offered[np.argsort(samples[offered])].tolist()[:_MOST_OFFERS]:
            if column not in shown:
                table.add_row(
                    f"{samples[column]:.2f}", f"{value[column]:.3f}", str(bundle.table.courses[column])
                )
            shown.add(column)
    return table


def verifier_table(bundle: PolicyBundle) -> Table:
    """Return what picking by the learned scores delivers on prompts that they did not see."""
    table = new_table("Learned scores, on prompts that were left out")
    table.add_column("generator", overflow="fold")
    for heading in ("samples", "by vote", "by this score", "in plans"):
        table.add_column(heading, justify="right")
    record = bundle.training.get("learned_verifier", {})
    for name in bundle.verifiers:
        row = record.get(name, {})
        if not row.get("selection"):
            continue
        widest, offered = row["selection"][-1], row.get("offered")
        picked = _share(widest[offered or "best_of_n"])
        table.add_row(name, str(widest["n"]), _share(widest["vote"]), picked, "yes" if offered else "no")
    return table


def verdict_of_verifiers(bundle: PolicyBundle) -> str:
    """Say for which generators picking by the learned verifier was shown to pay."""
    offered = [
        name for name, row in bundle.training.get("learned_verifier", {}).items() if row.get("offered")
    ]
    if offered:
        return (
            "A score that training learned picks better answers than the vote on prompts that were left out, "
            f"and plans may use it: {', '.join(offered)}."
        )
    if bundle.verifiers:
        return "A score that training learned was not shown to pick better than the vote: no plan uses it."
    if bundle.objective != "accuracy":
        return "No score of answers was learned: that is done for the objective accuracy alone."
    return (
        "No score of answers was learned, by which plans could pick: that takes answers graded as right and "
        "as wrong, and no --no-learned-verifier."
    )


def _share(value: float | None) -> str:
    """Return a share with three decimals; a dash where it could not be measured."""
    return "–" if value is None else f"{value:.3f}"
