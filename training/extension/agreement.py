"""How far samples of a new generator agree with one another, prompt by prompt, graded or not.

A generator that gives the same answer again is more often right, and nobody has to grade that. It assumes
answers that were written in one way; what agreement is worth is learned from labelled prompts by the process
of `training.extension.factors`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from planner.bundle.policy_bundle import PolicyBundle
from training.extension.factors import Factors, Fit, Places, fit_process

# Weight of drawn prompts near a reference from which on their agreement counts more than the usual one.
_HELD: Final = 0.02
# As many as a bundle keeps reference prompts: memory grows with their number times that of references.
_MOST_UNGRADED: Final = 3000


def self_agreement(pool: SamplePool) -> FloatArray:
    """Return the chance that two samples of a prompt give the same answer, shape (P,); NaN below two samples.

    A sample without an answer agrees with none; where no sample has one, nothing is known.
    """
    answered = pool.answer >= 0
    if not answered.any():
        return np.full(len(pool.n), np.nan)
    same = (pool.answer[:, :, None] == pool.answer[:, None, :]) & answered[:, :, None] & answered[:, None, :]
    pairs = pool.n * (pool.n - 1)
    met = same.sum(axis=(1, 2)) - answered.sum(axis=1)
    return np.where(pairs > 0, met / np.maximum(pairs, 1), np.nan)


def worth_reading(bundle: PolicyBundle, log: SampleLog, name: str) -> SampleLog:
    """Return the prompts of which a generator has samples: all that are labelled, and as many others as can
    be weighed, those that the bundle was trained on first.
    """
    pool = log.pool(name)
    old = np.array([bundle.was_trained_on(prompt) for prompt in log.prompts], dtype=bool)
    ungraded = np.flatnonzero((pool.n > 0) & (pool.n_known == 0))
    ungraded = ungraded[np.argsort(~old[ungraded], kind="stable")][:_MOST_UNGRADED]
    kept = np.sort(np.concatenate([np.flatnonzero(pool.n_known > 0), ungraded]))
    return log.select([log.prompts[row].id for row in kept])


class Agreeing(NamedTuple):
    """Agreement around the usual one.

    Attributes
    ----------
    drawn : ndarray of float64, shape (K,)
        Of the prompts that were drawn; 0 where it is not known.
    references : ndarray of float64, shape (T,)
        Of the references: their own, or what drawn prompts like them have.
    """

    drawn: FloatArray
    references: FloatArray

    @classmethod
    def of(cls, factors: Factors, places: Places, agreement: FloatArray) -> Agreeing:
        """Return it for drawn prompts at these places."""
        known = ~np.isnan(agreement)
        drawn = np.where(known, agreement - (agreement[known].mean() if known.any() else 0.0), 0.0)
        alike = np.square(places.leaves[known])
        references = drawn[known] @ alike / (alike.sum(axis=0) + _HELD)
        own = known & (places.matched >= 0)
        references[places.matched[own]] = drawn[own]
        return cls(drawn, references)

    def expected(self, places: Places) -> Places:
        """Return prompts of which no sample is known, with the agreement of references like them."""
        return places._replace(agreement=np.square(places.leaves) @ self.references)


def fit_with_agreement(factors: Factors, log: SampleLog, name: str) -> Fit:
    """Fit the process on the labelled prompts of a log, with the agreement of all of its samples."""
    pool = log.pool(name)
    places = factors.place(log.prompts)
    agreeing = Agreeing.of(factors, places, self_agreement(pool))
    factors = replace(factors, references=factors.references._replace(agreement=agreeing.references))
    labelled = np.flatnonzero(pool.n_valued > 0)
    return fit_process(
        factors,
        places._replace(agreement=agreeing.drawn).take(labelled),
        unseen=agreeing.expected(places).take(labelled),
    )
