"""How far labels err, from a few verdicts: a chance of being right for each signal, and its error.

A label is not taken at its word where some prompts were graded: the chance that a sample is right, given what
its label rests on, is a logistic curve. For a verdict of yes or no its two numbers are the rates of error. In
agreement, each generator's votes have a weight of their own, since some share their errors with one another;
and whatever labels rest on, those of each generator are moved to where its graded samples are. Where labels
may be wrong in a way that the curve cannot see, the error of means is left to `training.labels.rectify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.label_signals import LabelSignals
from difficulty.scale import Scale

# Signals are kept this far from 0 and 1 before their log-odds are taken.
_CLIP: Final = 0.01
# As if so many prompts had been graded as their labels say, before any is; and what holds the weights of
# generators at 0: on three logs and 50 graded prompts 4 to 16 did best.
_HOLD: Final = 1.0
_APART: Final = 8.0
# Graded prompts at which what a generator is off on them is believed by half: 25 to 50 did best on
# reasoning-gym and CRUXEval-O, more on GSM8K, where labels are right (`notebooks/LOG.md`, 2026-11-29).
_HALF: Final = 50.0
_STEPS: Final = 50
_FEWEST: Final = 5
_MOST: Final = 10.0
# Holds a number where it is.
_PINNED: Final = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """From what a label rests on to the chance that the sample is right.

    Parameters
    ----------
    lower, upper : float
        Scale of the signal.
    intercept, slope : float
        Of the log-odds; 0 and 1 take the signal at its word.
    weights : mapping of str to float
        What a generator adds to the log-odds of an answer that all of its samples gave; 0 for those that are
        not named.
    shifts : mapping of str to float
        What a generator adds in the end to the log-odds of an answer that all of its samples gave; 0 for
        those that are not named.
    n_prompts, n_samples : int
        Graded ones that it was learned from; 0 where none were.
    """

    lower: float = 0.0
    upper: float = 1.0
    intercept: float = 0.0
    slope: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    n_prompts: int = 0
    n_samples: int = 0

    @classmethod
    def fit(cls, signals: LabelSignals, *, by_generator: bool = False) -> Self:
        """Learn from the samples that were graded; from fewer than 5 graded prompts nothing is.

        Each prompt counts once for each generator, however many of its samples were graded, since these err
        together. The slope is believed but for its standard error: a course may rank samples by the very
        signal that labels rest on, and would be paid for whatever a few verdicts make of noise.

        Parameters
        ----------
        signals : LabelSignals
        by_generator : bool
            Learn a weight for the votes of each of several generators.

        Raises
        ------
        InvalidInputError
            When the signal is one number throughout.
        """
        scale = Scale.of(signals.signal)
        known = (signals.correct >= 0) & ~np.isnan(signals.signal) & ~signals.silent
        n_prompts = len(np.unique(signals.prompt[known]))
        if n_prompts < _FEWEST:
            return cls(lower=scale.lower, upper=scale.upper)
        generator = signals.generator[known]
        pair = signals.prompt[known] * (int(signals.generator.max()) + 1) + generator
        place = np.unique(pair, return_inverse=True)[1]
        weight = 1.0 / np.bincount(place)[place]
        odds = _log_odds(scale.share(signals.signal[known]))
        design = np.column_stack([np.ones(len(odds)), odds])
        weighed = by_generator and len(signals.generators) > 1
        if weighed:
            design = np.column_stack([design, signals.support[signals.answer[known]]])
        found = _careful(design, (signals.correct[known] == 1).astype(float), weight)
        fitted = cls(
            lower=scale.lower,
            upper=scale.upper,
            intercept=float(found[0]),
            slope=float(found[1]),
            weights=dict(zip(signals.generators, found[2:].tolist(), strict=True)) if weighed else {},
            n_prompts=n_prompts,
            n_samples=int(known.sum()),
        )
        if len(signals.generators) == 1:
            return fitted
        return replace(fitted, shifts=_shifts(signals, fitted.chance(signals)))

    def chance(self, signals: LabelSignals) -> FloatArray:
        """Return the chance of each sample to be right, shape (S,); NaN where there is no signal, 0 for the
        silent ones. Samples of a generator with the same answer to a prompt have the same chance.
        """
        share = Scale(self.lower, self.upper).share(signals.signal)
        if self.n_prompts:
            odds = self.intercept + self.slope * _log_odds(share)
            if self.weights:
                weights = np.array([self.weights.get(name, 0.0) for name in signals.generators])
                odds = odds + np.where(signals.answer >= 0, (signals.support @ weights)[signals.answer], 0.0)
            share = 1 / (1 + np.exp(-odds))
        chance = _of_answers(signals, np.where(signals.silent, 0.0, share))
        if not self.shifts:
            return chance
        shifts = np.array([self.shifts.get(name, 0.0) for name in signals.generators])
        shift = (signals.support @ shifts)[signals.answer]
        return np.where(signals.answer >= 0, _moved(chance, shift), chance)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "weights": dict(self.weights),
            "shifts": dict(self.shifts),
        }

    @classmethod
    def from_json(cls, record: object) -> Self:
        """Restore a correction.

        Raises
        ------
        InvalidInputError
            When it is none.
        """
        names = set(cls.__slots__)
        if not isinstance(record, dict) or set(record) != names:
            raise InvalidInputError(f"a correction of labels has the numbers {sorted(names)}")
        return cls(**record)


def _log_odds(share: FloatArray) -> FloatArray:
    kept = share.clip(_CLIP, 1 - _CLIP)
    return np.asarray(np.log(kept / (1 - kept)))


def _of_answers(signals: LabelSignals, chance: FloatArray) -> FloatArray:
    """Return the mean chance of all samples with the same answer: it is right for all of them or for none."""
    known = (signals.answer >= 0) & ~np.isnan(chance)
    total = np.bincount(signals.answer[known], weights=chance[known])
    n = np.bincount(signals.answer[known])
    result = chance.copy()
    result[known] = (total / np.maximum(n, 1))[signals.answer[known]]
    return result


def _moved(chance: FloatArray, shift: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-_log_odds(chance) - shift)))


def _shifts(signals: LabelSignals, chance: FloatArray) -> dict[str, float]:
    """Return what generators' votes add to the log-odds of answers, so that labels of each are where its
    graded samples are.

    On graded prompts its labels are off by some mean, of which a part is believed that grows with their
    number. Equal answers keep equal labels, whoever gave them; of such labels these are the nearest to the
    old ones (their entropy against them is least), found by Newton's method.
    """
    told = (signals.answer >= 0) & ~np.isnan(chance)
    if not told.any():
        return {}
    label = np.full(len(signals.support), np.nan)
    label[signals.answer[told]] = chance[told]
    support = signals.support[~np.isnan(label)]
    label = label[~np.isnan(label)]
    graded = (signals.correct >= 0) & ~np.isnan(chance)
    wanted = support.T @ label
    for at in range(len(signals.generators)):
        mine = graded & (signals.generator == at)
        if mine.any():
            place = np.unique(signals.prompt[mine], return_inverse=True)[1]
            n = np.bincount(place)
            off = np.bincount(place, weights=signals.correct[mine] - chance[mine]) / n
            n_prompts = len(np.unique(signals.prompt[signals.generator == at]))
            wanted[at] += n_prompts * float(off.mean()) * len(n) / (len(n) + _HALF)
    found = np.zeros(support.shape[1])
    for _ in range(_STEPS):
        now = _moved(label, support @ found)
        curvature = (support * (now * (1 - now))[:, None]).T @ support + _HOLD * np.eye(len(found))
        step = np.linalg.solve(curvature, support.T @ now - wanted + _HOLD * found)
        found = np.clip(found - step / max(float(np.abs(step).max()), 1.0), -_MOST, _MOST)
    return dict(zip(signals.generators, found.tolist(), strict=True))


def _careful(design: FloatArray, right: FloatArray, weight: FloatArray) -> FloatArray:
    """Return intercept, slope and weights, the slope less its standard error, at least 0."""
    start = np.zeros(design.shape[1])
    start[1] = 1.0
    hold = np.full(len(start), _APART)
    hold[:2] = _HOLD
    found, curvature = _logistic(design, right, weight, start, hold)
    error = float(np.sqrt(np.linalg.inv(curvature)[1, 1]))
    start[1], hold[1] = max(float(found[1]) - error, 0.0), _PINNED
    return _logistic(design, right, weight, start, hold)[0]


def _logistic(
    design: FloatArray, right: FloatArray, weight: FloatArray, start: FloatArray, hold: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients and curvature by Newton's method, held where they start."""
    found, curvature = start.copy(), np.diag(hold)
    for _ in range(_STEPS):
        told = 1 / (1 + np.exp(-design @ found))
        gradient = design.T @ (weight * (told - right)) + hold * (found - start)
        curvature = (design * (weight * told * (1 - told))[:, None]).T @ design + np.diag(hold)
        step = np.linalg.solve(curvature, gradient)
        # Far from the optimum a whole step of Newton's method may lead away from it.
        found = np.clip(found - step / max(float(np.abs(step).max()), 1.0), -_MOST, _MOST)
        found[1] = max(found[1], 0.0)
    return found, curvature
