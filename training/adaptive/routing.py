"""Choose which moves to offer at each price, where prompts that resemble each other profit from the same one.

The usual move comes first. Another is offered if the prompts for which it looks better clearly gain by taking
it, measured on prompts held out when the offer was chosen (their samples still took part in fitting rules
that their neighbours were scored with). One-shot policies are among what this finds: static allocations of
each generator are offered too. Taking one of the offers is left to `policies.adaptive.routing`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicySpec

__all__ = ["expected_worth", "offer", "routed"]

FloatArray: TypeAlias = NDArray[np.float64]

# A gain below this is rounding.
_LEAST_GAIN: Final = 1e-9


def expected_worth(
    worth: FloatArray, difficulty: FloatArray, folds: NDArray[np.intp], belief: PolicySpec
) -> NDArray[np.float32]:
    """Return what each candidate is expected to be worth to each prompt, from prompts of other folds.

    Parameters
    ----------
    worth : ndarray of float64, shape (C, P, L)
        Value after cost of C candidates at L prices.
    difficulty : ndarray of float64, shape (P, V)
        Out-of-fold coordinates, standardised.
    folds : ndarray of intp, shape (P,)
        Folds that made them.
    belief : PolicySpec
        How weights over prompts are formed.

    Returns
    -------
    ndarray of float32, shape (C, P, L)
    """
    n_candidates, n_prompts, n_prices = worth.shape
    known = worth.transpose(1, 0, 2).reshape(n_prompts, -1).astype(np.float32)
    expected = np.empty_like(known)
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        weights = belief.weigher(difficulty[train])(difficulty[test])
        expected[test] = weights / weights.sum(axis=1, keepdims=True) @ known[train]
    return expected.reshape(n_prompts, n_candidates, n_prices).transpose(1, 0, 2)


def offer(
    worth: FloatArray, expected: NDArray[np.float32], usual: NDArray[np.intp], *, most: int, caution: float
) -> list[list[int]]:
    """Return the candidates to offer at each price, the usual one first.

    Parameters
    ----------
    worth : ndarray of float64, shape (C, P, L)
        Value after cost.
    expected : ndarray of float32, shape (C, P, L)
        What it is expected to be, from `expected_worth`.
    usual : ndarray of intp, shape (L,)
        The candidate at each price that is taken without looking at the prompt.
    most : int
        Candidates offered at a price, at most.
    caution : float
        Standard errors by which what an offer gains must exceed 0.

    Notes
    -----
    Offers are added one by one, each time the one whose gain over those before it, less its caution, is
    largest. With coordinates dealt to the wrong prompts, at 1.5 standard errors, the mean loss on untouched
    prompts was .0004 of worth over three splits each of four recorded logs and one simulated, and .002 on
    60 training prompts of another. The routed value of the prompts that offers were chosen on is too high by
    .001 (300 prompts) to .007 (60) then.
    """
    return [
        _offer_at(worth[:, :, level], expected[:, :, level], int(first), most=most, caution=caution)
        for level, first in enumerate(usual)
    ]


def _offer_at(
    worth: FloatArray, expected: NDArray[np.float32], first: int, *, most: int, caution: float
) -> list[int]:
    """Return the candidates to offer at one price; arrays of shape (C, P)."""
    offered = [first]
    best, now = expected[first], worth[first]
    while len(offered) < most:
        switches = expected > best
        gain = np.where(switches, worth - now, 0.0)
        score = gain.mean(axis=1) - caution * gain.std(axis=1) / np.sqrt(gain.shape[1])
        new = int(score.argmax())
        if score[new] <= _LEAST_GAIN:
            break
        offered.append(new)
        best = np.where(switches[new], expected[new], best)
        now = np.where(switches[new], worth[new], now)
    return offered


def routed(offers: list[list[int]], expected: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the candidate that each prompt takes at each price, shape (P, L).

    Parameters
    ----------
    offers : list of list of int
        From `offer`.
    expected : ndarray of float32, shape (C, P, L)
        From `expected_worth`.
    """
    picks = [np.array(offer)[expected[offer, :, level].argmax(axis=0)] for level, offer in enumerate(offers)]
    return np.stack(picks, axis=1)
