"""Every one-shot baseline that a reviewer would name, replayed on test prompts.

Each baseline is fitted on the training prompts in the bundle (mean curves, bins, a static choice) and
turned into what each test prompt cost and was worth along its frontier. Oracles see half of a test prompt's
own samples and are scored on the other half. Drawing intervals around these numbers is left to
`training.evaluation.comparison`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicyMixture, PolicySpec
from difficulty.belief.weights import BinWeights
from planner.bundle.policy_bundle import PolicyBundle
from policies.menu.curves import CurveTable
from policies.solver.hull import upper_hull
from policies.solver.prices import choose_at_prices

__all__ = ["Course", "TestBed", "marginal_greedy", "policy_course", "static_mix", "uniform_courses"]

FloatArray: TypeAlias = NDArray[np.float64]

_SNELL_BINS = 5


class Course(NamedTuple):
    """What each of P test prompts cost and was worth at each of L points of a policy's frontier, shape (P,
    L).
    """

    cost: FloatArray
    value: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TestBed:
    """Test prompts with all that replaying policies on them needs.

    Parameters
    ----------
    bundle : PolicyBundle
        Trained on other prompts.
    train_cost : ndarray of float64, shape (T, A)
        Cost of each allocation on the bundle's reference prompts.
    curves : CurveTable
        Measured on the P test prompts, whole menu, without NaN.
    cost : ndarray of float64, shape (P, A)
        Measured cost.
    coordinates : ndarray of float64, shape (P, 1 + D)
        Predicted coordinates of the test prompts.
    prices : ndarray of float64, shape (L,)
        Falling prices.
    """

    __test__ = False

    bundle: PolicyBundle
    train_cost: FloatArray
    curves: CurveTable
    cost: FloatArray
    coordinates: FloatArray
    prices: FloatArray

    def realise(self, choice: NDArray[np.intp], value: FloatArray | None = None) -> Course:
        """Return cost and value of the chosen allocations, shape (P, L) both."""
        rows = np.arange(len(self.cost))[:, None]
        measured = self.curves.value if value is None else value
        return Course(self.cost[rows, choice], measured[rows, choice])


def static_hull(bed: TestBed) -> NDArray[np.intp]:
    """Return the allocations on the training prompts' mean hull, cheapest first."""
    value, cost = bed.bundle.curves.value.mean(axis=0), bed.train_cost.mean(axis=0)
    hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    return hull[np.argsort(cost[hull], kind="stable")]


def static_mix(bed: TestBed) -> Course:
    """Return the best static frontier: allocations on the training hull; interpolating it is the best
    static mix.
    """
    hull = static_hull(bed)
    return bed.realise(np.tile(hull, (len(bed.cost), 1)))


def uniform_courses(bed: TestBed) -> dict[str, Course]:
    """Return one course per generator and strategy: everyone gets the same N, for each N of the menu."""
    families: dict[str, list[int]] = {}
    for column, a in enumerate(bed.curves.allocations):
        if a.traits.kind != "revision":
            verifier = a.parameters.get("verifier")
            name = f"uniform {a.strategy}" + (f" by {verifier}" if verifier else "") + f", {a.generator}"
            families.setdefault(name, []).append(column)
    return {
        name: bed.realise(np.tile(np.array(columns), (len(bed.cost), 1)))
        for name, columns in families.items()
    }


def policy_course(
    bed: TestBed,
    policy: PolicySpec | PolicyMixture,
    *,
    deployed: NDArray[np.bool_] | None = None,
    coordinates: FloatArray | None = None,
) -> Course:
    """Return the course of a policy: the deployed one, Snell bins, or a placebo.

    Parameters
    ----------
    bed : TestBed
        Test prompts.
    policy : PolicySpec or PolicyMixture
        The policy.
    deployed : ndarray of bool, shape (A,), optional
        The part of the menu that it may use.
    coordinates : ndarray of float64, shape (P, 1 + D), optional
        In place of the predicted ones: shuffled for the placebo.
    """
    queries = bed.coordinates if coordinates is None else coordinates
    weights = policy.weigher(bed.bundle.references.coordinates)(queries).astype(np.float64)
    choice = _choose(weights, bed.bundle.curves.value, bed.train_cost, bed.prices, deployed)
    return bed.realise(choice)


def random_histogram(bed: TestBed, course_choice: NDArray[np.intp], *, seed: int) -> Course:
    """Return the course of dealing a policy's own allocations to random prompts: who gets them no longer
    matters.
    """
    rng = np.random.default_rng(seed)
    shuffled = np.stack([rng.permutation(column) for column in course_choice.T], axis=1)
    return bed.realise(shuffled)


def policy_choice(
    bed: TestBed, policy: PolicySpec | PolicyMixture, deployed: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Return the allocations that a policy chooses at each price, shape (P, L)."""
    weights = policy.weigher(bed.bundle.references.coordinates)(bed.coordinates).astype(np.float64)
    return _choose(weights, bed.bundle.curves.value, bed.train_cost, bed.prices, deployed)


def oracle_bins(bed: TestBed, even: CurveTable, odd: CurveTable) -> Course:
    """Return the course of Snell's bins on *true* difficulty: binned by one half of the samples, scored on
    the other.

    References
    ----------
    Snell et al. 2024, arXiv 2408.03314. Their bins see 2,048 samples of each test prompt; ours see half of
    the recorded ones, and per-bin curves come from training prompts.
    """
    usable = np.asarray(~np.isnan(odd.value).any(axis=0))
    one = [a.width == 1 for a in bed.curves.allocations]
    truth = np.nanmean(np.where(one, even.value, np.nan), axis=1)
    reference = np.nanmean(np.where(one, bed.bundle.curves.value, np.nan), axis=1)
    weights = BinWeights(reference[:, None], n_bins=_SNELL_BINS)(truth[:, None]).astype(np.float64)
    choice = _choose(weights, bed.bundle.curves.value, bed.train_cost, bed.prices, usable)
    return bed.realise(choice, odd.value)


def marginal_greedy(
    bed: TestBed, *, gain: Callable[[NDArray[np.float32], FloatArray, NDArray[np.intp]], FloatArray]
) -> Course:
    """Return the course of greedy allocation by predicted marginal gain, on the best static generator's
    samples.

    Parameters
    ----------
    bed : TestBed
        Test prompts.
    gain : callable
        Maps weights over reference prompts (P, T), their success (T,) and widths (W,) to predicted coverage
        (P, W): `plug_in` or `distributional`.

    Notes
    -----
    As in Damani et al. the predicted value of N samples is their coverage; what is scored is what the
    deployed selector makes of these N samples.

    References
    ----------
    Damani et al. 2024, arXiv 2410.04707: greedy on p(1 - p)^k, whose optimum is a price on 1 - (1 - p)^k.
    """
    columns = _best_family(bed)
    allocations = bed.curves.allocations
    widths = np.array([allocations[column].width for column in columns])
    generator = bed.bundle.references.generators.index(allocations[columns[0]].generator)
    spec = PolicySpec(family="kernel", level_bandwidth=0.5, deviation_bandwidth=100.0, floor=0.01)
    weights = spec.weigher(bed.bundle.references.coordinates)(bed.coordinates)
    predicted = gain(weights, bed.bundle.references.success()[:, generator], widths)
    expected_cost = weights.astype(np.float64) @ bed.train_cost[:, columns]
    return bed.realise(columns[choose_at_prices(predicted, expected_cost, bed.prices)])


def plug_in(weights: NDArray[np.float32], success: FloatArray, widths: NDArray[np.intp]) -> FloatArray:
    """Return 1 - (1 - p̂)^N with the mean p̂ plugged in, shape (P, W)."""
    mean = weights.astype(np.float64) @ success
    return np.asarray(1 - (1 - mean[:, None]) ** widths)


def distributional(weights: NDArray[np.float32], success: FloatArray, widths: NDArray[np.intp]) -> FloatArray:
    """Return E[1 - (1 - p)^N] over the belief, shape (P, W)."""
    return weights.astype(np.float64) @ (1 - (1 - success[:, None]) ** widths)


def binned(weights: NDArray[np.float32], success: FloatArray, widths: NDArray[np.intp]) -> FloatArray:
    """Return the offline variant: prompts in ten bins of mean p̂ share their bin's expected coverage, shape
    (P, W).
    """
    mean = weights.astype(np.float64) @ success
    edges = np.quantile(mean, np.linspace(0, 1, 11)[1:-1])
    position = np.searchsorted(edges, mean)
    per_prompt = distributional(weights, success, widths)
    result = np.empty_like(per_prompt)
    for name in np.unique(position):
        result[position == name] = per_prompt[position == name].mean(axis=0)
    return result


def _best_family(bed: TestBed) -> NDArray[np.intp]:
    """Return the columns of the generator and strategy that reach the highest value on the training
    prompts.
    """
    mean = bed.bundle.curves.value.mean(axis=0)
    families: dict[tuple[str, str], list[int]] = {}
    for column, a in enumerate(bed.curves.allocations):
        if a.traits.needs_samples_only:
            families.setdefault((a.generator, a.strategy), []).append(column)
    best = max(families.values(), key=lambda columns: mean[columns].max())
    return np.array(best)


def _choose(
    weights: FloatArray,
    value: FloatArray,
    cost: FloatArray,
    prices: FloatArray,
    usable: NDArray[np.bool_] | None,
) -> NDArray[np.intp]:
    """Return what prompts with these weights choose among the usable allocations at each price, shape (P,
    L).
    """
    columns = np.arange(value.shape[1]) if usable is None else np.flatnonzero(usable)
    return columns[choose_at_prices(weights @ value[:, columns], weights @ cost[:, columns], prices)]
