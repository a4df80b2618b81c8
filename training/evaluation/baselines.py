"""Every baseline that a reviewer would name, as choices among the same measured courses.

Baselines are fitted on the training prompts of the bundle and on the beliefs that our policy has, and
realised on the test prompts. Drawing intervals around these numbers is left to
`training.evaluation.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_shares
from policies.course.allocate import summary_of
from policies.course.course import Course
from training.evaluation.bed import Played, TestBed
from training.policy import masks

_SNELL_BINS: Final = 5
_DAMANI_BINS: Final = 10


def static_mix(bed: TestBed) -> Played:
    """Return the best static mix: courses of one generator, decided beforehand, on the training hull."""
    return bed.population(masks.static(bed.subject.courses))


def uniform(bed: TestBed) -> dict[str, tuple[NDArray[np.int64], Played]]:
    """Return the same N for everybody by generator and selector, with the numbers N of its points."""
    found = {}
    for name, columns in _families(bed, ("sample", "search")).items():
        widths = np.array([bed.subject.courses[column].n for column in columns])
        found[f"uniform {name}"] = (widths, bed.for_all(columns))
    return found


def _families(bed: TestBed, kinds: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the columns of each strategy of some kinds by one generator that is decided beforehand, by N."""
    courses = bed.subject.courses
    families: dict[str, list[int]] = {}
    for column, course in enumerate(courses):
        if course.one_shot and len(course.generators) == 1 and course.steps[0].kind in kinds:
            families.setdefault(_family(course), []).append(column)
    return {
        name: np.array(sorted(columns, key=lambda column: courses[column].n))
        for name, columns in families.items()
    }


def _family(course: Course) -> str:
    """Name a strategy and its generator, without the number of samples."""
    allocation = summary_of(course)
    params = [
        f"{value}" if key == "verifier" else f"{key}={value}"
        for key, value in sorted(allocation.parameters.items())
        if key not in ("n", "course") and not (key == "verifier" and allocation.strategy == "first_success")
    ]
    by = f" by {', '.join(params)}" if params else ""
    return f"{allocation.traits.title}{by}, {allocation.generator}"


def rivals(bed: TestBed) -> dict[str, Played]:
    """Return each known stop rule, tuned price by price on the training prompts among its own columns."""
    return {name: bed.population(mask) for name, mask in masks.rule_masks(bed.subject.courses).items()}


def random_histogram(bed: TestBed, choice: NDArray[np.intp], *, seed: int) -> Played:
    """Return a policy's own choices, shape (P, L), dealt to random prompts."""
    rng = np.random.default_rng(seed)
    return bed.realise(np.stack([rng.permutation(column) for column in choice.T], axis=1))


def placebo(bed: TestBed, *, seed: int) -> Played:
    """Return our policy with the beliefs of other prompts: what is left is not the work of the text."""
    order = np.random.default_rng(seed).permutation(len(bed))
    return bed.realise(bed.chosen(weights=bed.weights[order]), by_text=True)


def snell_bins(bed: TestBed) -> Played:
    """Return the best static course of each fifth of predicted difficulty.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314. Their bins are filled by a reward model's mean score; ours by the
    predicted success of one sample, and a bin expects what its prompts expect on average.
    """
    level = bed.weights @ np.nan_to_num(np.nanmean(bed.subject.references.success(), axis=1))
    value, cost = bed.believed()
    columns = np.flatnonzero(masks.static(bed.subject.courses))
    prices = bed.subject.policy.prices
    choice = np.empty((len(bed), len(prices)), dtype=np.intp)
    for rows in np.array_split(np.argsort(level, kind="stable"), _SNELL_BINS):
        mean, spent = value[rows][:, columns].mean(axis=0), cost[rows][:, columns].mean(axis=0)
        choice[rows] = columns[(mean - prices[:, None] * spent).argmax(axis=1)]
    return bed.realise(choice, by_text=True)


def marginal_greedy(bed: TestBed) -> dict[str, Played]:
    """Return greedy allocation of samples by predicted marginal gain, on the best static family.

    Notes
    -----
    As in Damani et al. the predicted value of N samples is their coverage; what is scored is what the
    selector makes of these N samples. Three ways to predict it: from the mean success (plug-in), from its
    distribution, and from the mean distribution of ten bins of prompts.

    References
    ----------
    Damani et al. 2024, arXiv 2410.04707: greedy on p(1 - p)^k, whose optimum is a price on 1 - (1 - p)^k.
    """
    columns = _best_family(bed)
    if not len(columns):
        return {}
    courses = bed.subject.courses
    widths = np.array([courses[column].n for column in columns])
    name = courses[columns[0]].generators[0]
    success = bed.subject.references.success()[:, bed.subject.references.generators.index(name)]
    known = ~np.isnan(success)
    weights = row_shares(bed.weights[:, known].astype(np.float64))
    p = success[known]
    mean = weights @ p
    distribution = weights @ (1 - (1 - p[:, None]) ** widths)
    binned = np.empty_like(distribution)
    for rows in np.array_split(np.argsort(mean, kind="stable"), _DAMANI_BINS):
        if len(rows):
            binned[rows] = distribution[rows].mean(axis=0)
    predicted = {
        "Damani greedy, plug-in": 1 - (1 - mean[:, None]) ** widths,
        "Damani greedy, binned": binned,
        "Damani greedy, distribution": distribution,
    }
    cost = bed.believed()[1][:, columns]
    return {
        name: bed.realise(columns[_choose(value, cost, bed)], by_text=True)
        for name, value in predicted.items()
    }


def _choose(value: FloatArray, cost: FloatArray, bed: TestBed) -> NDArray[np.intp]:
    return np.stack([(value - price * cost).argmax(axis=1) for price in bed.subject.policy.prices], axis=1)


def _best_family(bed: TestBed) -> NDArray[np.intp]:
    """Return the columns of the generator and selector that reach the highest value on the training prompts,
    by width.
    """
    mean = bed.subject.value.mean(axis=0)
    families = _families(bed, ("sample",)).values()
    return max(families, key=lambda columns: float(mean[columns].max()), default=np.zeros(0, dtype=np.intp))
