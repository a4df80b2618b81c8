"""From which confidence on to answer, so that the error among answered prompts stays below a target.

Learn-then-Test: ever looser thresholds are tried, each by an exact test on calibration prompts, and the
loosest that passes is taken. It assumes that calibration prompts and those to come are
exchangeable, and one prompt per group of near-duplicates. Where confidence comes from is left to
`policies.answering.confidence`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number
from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

CONFIDENCE: Final = 0.95
"""How sure it is, by default, that the target is kept."""

# The strictest threshold that is tried lets as many prompts through as make this many errors at the target.
_FIRST: Final = 4.0
ALONE: Final = 0.8
"""Part of the chance to miss a target that the test of one way to answer may use; the rest pays for trying
many thresholds (notebooks/LOG.md, 2026-11-29)."""

# Chance above which no luck brings a test within reach of passing.
_OUT_OF_REACH: Final = 0.3
# Thresholds tried.
_STEPS: Final = 200


class Threshold(NamedTuple):
    """From where on to answer.

    Attributes
    ----------
    confidence : float
        Least confidence of an answer that is given; infinite where none may be.
    answered : float
        Share of calibration prompts that are answered, in [0, 1].
    error : float
        Share of errors among these; NaN where none is.
    """

    confidence: float
    answered: float
    error: float


def check_risk(target_risk: float) -> float:
    """Return a target, or raise `InvalidInputError`: it lies in (0, 1)."""
    check_number("target_risk", target_risk, "in (0, 1)")
    return float(target_risk)


def choose_threshold(
    confidence: FloatArray,
    correct: NDArray[np.bool_],
    target_risk: float,
    *,
    sure: float = CONFIDENCE,
    batch: int | None = None,
    part: float = ALONE,
) -> Threshold:
    """Return the least confidence that keeps the risk.

    Parameters
    ----------
    confidence : ndarray of float64, shape (P,)
        Of calibration prompts, out of fold; -inf where there is no answer.
    correct : ndarray of bool, shape (P,)
        Whether their answers are right.
    target_risk : float
        Greatest share of errors among answered prompts, in (0, 1).
    sure : float
        Chance that it is kept, in (0, 1), over draws of calibration prompts and of those to come.
    batch : int, optional
        Prompts to come, of which the share of errors is to be kept, at least half as many as P; a larger
        batch is surer. By default as many as P.
    part : float
        Of the chance to miss, what each test may use: less where this is one of several ways to answer, of
        which the one that answers most will be taken (`policies.answering.choosing`).

    Notes
    -----
    If m prompts to come are answered at a threshold beside n of the calibration, with e errors, then given
    the errors of both together, those of the calibration are hypergeometric, so that a threshold whose chance
    of at most e errors among n, of e + floor(r m) + 1 in n + m, is at most 1 - `sure` keeps the risk r of the
    m with that chance, exactly and for any distribution. For endless m this is the binomial test of
    Learn-then-Test. The loosest threshold that passes is taken. A test may use .8 of the chance to miss; the
    rest pays for this choice. That it is enough was found by simulation and is not exact.

    References
    ----------
    Angelopoulos, Bates, Candès, Jordan, Lei 2021, "Learn then Test", arXiv 2110.01052, section 2.3 (fixed
    sequence testing, which stops at the first failure and so often at once). Vovk, Gammerman, Shafer 2005,
    "Algorithmic Learning in a Random World", for tests by exchangeability. We test the share of errors of a
    finite batch in place of its expectation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sure = rng.random(2000)
    >>> found = choose_threshold(sure, rng.random(2000) < sure, 0.2)
    >>> 0.60 < found.confidence < 0.75, found.error < 0.2
    (True, True)
    """
    check_risk(target_risk)
    if not 0 < sure < 1:
        raise InvalidInputError(f"the chance to keep a risk must lie in (0, 1), got {sure!r}")
    if confidence.shape != correct.shape or confidence.ndim != 1 or not len(confidence):
        raise InvalidInputError(
            f"confidence and correct must be of the same prompts, got {confidence.shape} and {correct.shape}"
        )
    tests = _Tests.of(confidence, correct, target_risk, batch)
    nothing = Threshold(math.inf, 0.0, math.nan)
    if tests is None:
        return nothing
    passed = np.flatnonzero(tests.chance <= part * (1 - sure))
    if not len(passed):
        return nothing
    n, wrong = int(tests.n[passed[-1]]), int(tests.wrong[passed[-1]])
    return Threshold(float(tests.ranked[n - 1]), n / len(tests.ranked), wrong / n)


def in_reach(
    confidence: FloatArray,
    correct: NDArray[np.bool_],
    target_risk: float,
    *,
    sure: float,
    batch: int | None = None,
) -> float | None:
    """Return from which confidence on a way would answer if it were tested alone, or might with luck; None
    where it is far from the target at every threshold. Arguments are those of `choose_threshold`.
    """
    tests = _Tests.of(confidence, correct, target_risk, batch)
    if tests is None or tests.chance.min() > _OUT_OF_REACH:
        return None
    passed = np.flatnonzero(tests.chance <= ALONE * (1 - sure))
    at = passed[-1] if len(passed) else tests.chance.argmin()
    return float(tests.ranked[tests.n[at] - 1])


class _Tests(NamedTuple):
    """The tests of one calibration: how many of P prompts, the surest first, are answered in each, how many
    of these are wrong, and the chance of no more, were there too many ahead.
    """

    ranked: FloatArray
    n: NDArray[np.int64]
    wrong: NDArray[np.int64]
    chance: FloatArray

    @classmethod
    def of(
        cls, confidence: FloatArray, correct: NDArray[np.bool_], target_risk: float, batch: int | None
    ) -> _Tests | None:
        from scipy.stats import hypergeom  # scipy costs more than the import budget of the planner

        order = np.argsort(-confidence, kind="stable")
        ranked, wrong = confidence[order], np.cumsum(~correct[order], dtype=np.int64)
        size, n_answerable = len(ranked), int(np.isfinite(ranked).sum())
        first = math.ceil(_FIRST / target_risk)
        if n_answerable < first:
            return None
        share = (size if batch is None else max(int(batch), size // 2, 1)) / size
        tried = np.unique(np.linspace(first, n_answerable, _STEPS).round().astype(int))
        # All prompts that are as sure as the last one are answered with it.
        n = np.unique(np.searchsorted(-ranked, -ranked[tried - 1], side="right"))
        ahead = np.maximum((n * share).round(), 1).astype(np.int64)
        errors, both = wrong[n - 1], n + ahead
        too_many = np.minimum(errors + np.floor(target_risk * ahead).astype(np.int64) + 1, both)
        return cls(ranked, n, errors, np.asarray(hypergeom.cdf(errors, both, too_many, n)))
