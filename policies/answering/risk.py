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

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError

CONFIDENCE: Final = 0.95
"""How sure it is, by default, that the target is kept."""

# The strictest threshold that is tried lets as many prompts through as make this many errors at the target.
_FIRST: Final = 4.0
# Of the chance to miss a target, the part that each test may use, where one way to answer is tested, and
# where the best of several is taken; the rest pays for the choice (notebooks/LOG.md, 2026-11-29).
_KEPT: Final = 0.8
_OF_SEVERAL: Final = 0.3
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
    if isinstance(target_risk, bool) or not (math.isfinite(target_risk) and 0 < target_risk < 1):
        raise InvalidInputError(f"target_risk must lie in (0, 1), got {target_risk!r}")
    return float(target_risk)


def choose_threshold(
    confidence: FloatArray,
    correct: NDArray[np.bool_],
    target_risk: float,
    *,
    sure: float = CONFIDENCE,
    batch: int | None = None,
    several: bool = False,
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
    several : bool
        Whether this is one of several ways to answer, of which the one that answers most will be taken.

    Notes
    -----
    If m prompts to come are answered at a threshold beside n of the calibration, with e errors, then given
    the errors of both together, those of the calibration are hypergeometric, so that a threshold whose chance
    of at most e errors among n, of e + floor(r m) + 1 in n + m, is at most 1 - `sure` keeps the risk r of the
    m with that chance, exactly and for any distribution. For endless m this is the binomial test of
    Learn-then-Test. The loosest threshold that passes is taken. A test may use .8 of the chance to miss, and
    .3 where there are several ways; the rest pays for these choices. That it is enough was found by
    simulation and is not exact.

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
    order = np.argsort(-confidence, kind="stable")
    ranked, wrong = confidence[order], np.cumsum(~correct[order], dtype=np.int64)
    found = Threshold(math.inf, 0.0, math.nan)
    tests = _Tests.of(ranked, target_risk, batch)
    if tests is None:
        return found
    kept = _OF_SEVERAL if several else _KEPT
    passed = np.flatnonzero(tests.chances(wrong[tests.n - 1]) <= kept * (1 - sure))
    if not len(passed):
        return found
    at = passed[-1]
    n = int(tests.n[at])
    return Threshold(float(ranked[n - 1]), n / len(ranked), int(wrong[n - 1]) / n)


class _Tests(NamedTuple):
    """The tests of one calibration: how many of P prompts, the surest first, are answered in each."""

    n: NDArray[np.int64]
    ahead: NDArray[np.int64]
    too_many: NDArray[np.int64]
    ranked: FloatArray

    @classmethod
    def of(cls, ranked: FloatArray, target_risk: float, batch: int | None) -> _Tests | None:
        size, n_answerable = len(ranked), int(np.isfinite(ranked).sum())
        first = math.ceil(_FIRST / target_risk)
        if n_answerable < first:
            return None
        share = (size if batch is None else max(int(batch), size // 2, 1)) / size
        tried = np.unique(np.linspace(first, n_answerable, _STEPS).round().astype(int))
        # All prompts that are as sure as the last one are answered with it.
        tried = np.unique(np.searchsorted(-ranked, -ranked[tried - 1], side="right"))
        ahead = np.maximum((tried * share).round(), 1).astype(np.int64)
        return cls(tried, ahead, np.floor(target_risk * ahead).astype(np.int64) + 1, ranked)

    def chances(self, errors: NDArray[np.int64]) -> FloatArray:
        """Return the chance of at most so many errors, were there too many ahead."""
        from scipy.stats import hypergeom  # scipy costs more than the import budget of the planner

        both = self.n + self.ahead
        return np.asarray(hypergeom.cdf(errors, both, np.minimum(errors + self.too_many, both), self.n))
