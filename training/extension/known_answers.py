"""Samples of a new generator that gave answers which were graded before, when others gave them.

Where the log holds what other generators answered to the same prompts, and how that was graded, most samples
of the new one need no grading: an answer that was right stays right. It assumes that a verdict belongs to the
answer; what the new generator is worth by it is left to `training.extension.extend`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.label_signals import LabelSignals
from difficulty.log.sample_log import SampleLog
from training.extension.factors import Factors, Places, likeness

# Graded samples of the new generator that count as much as all that is known of the others.
_HOLD: Final = 20.0
# Samples on prompts that are just like one, at which their share counts as much as the usual one.
_ALIKE: Final = 0.3
# Verdicts of one answer that may differ, and are still believed by the majority; and of the graded samples of
# the new generator, whose verdicts may differ from those that others had for the same answers.
_SURE: Final = 0.1
# Variance between kinds of prompts of how much more often than foretold such answers are right: .05 to .15
# did best on a cut of reasoning-gym (`notebooks/LOG.md`, 2026-11-29).
_SPREAD: Final = 0.05
_LEAST_NOISE: Final = 0.02


class KnownAnswers(NamedTuple):
    """What graded answers of others say of a generator's samples.

    Attributes
    ----------
    log : SampleLog
        Of this generator alone; its samples are worth a chance of being right wherever something is known.
    n_told : int
        Prompts that nobody graded for it, and of which answers of others tell.
    unknown : ndarray of float64, shape (P,)
        How much is unknown of its samples of each prompt: the share of those whose answers nobody else gave
        although others answered, each times the root of the deviation of its verdict.
    """

    log: SampleLog
    n_told: int
    unknown: FloatArray


def with_known_answers(factors: Factors, log: SampleLog, name: str) -> KnownAnswers:
    """Read the samples of a generator by what was graded of others, in a log that holds both.

    A sample whose answer was graded before has that verdict. Another answer to a prompt of which answers were
    graded is worth a chance, learned from such answers of each other generator, seen by the rest: how often
    they were right on prompts like it, and how far samples agree on them; times how much more often those
    that were graded of the new one are, and moved by what these were off on prompts like it. Prompts whose
    right answer is known and those where it is not are kept apart. Its own verdicts stay, and prompts that
    only it answered stay ungraded.

    Raises
    ------
    InvalidInputError
        When more than a tenth of its own verdicts contradict those that others had for the same answers.
    """
    nothing = KnownAnswers(log.select_generators([name]), 0, np.zeros(len(log.prompts)))
    if len(log.generators) < 2 or not log.has_answers:
        return nothing
    signals = log.label_signals("agreement")
    graded = signals.correct >= 0
    mine = signals.generator == signals.generators.index(name)
    value = np.where(graded, signals.correct, np.nan).astype(np.float64)
    strange, right_known = np.zeros((2, len(mine)), dtype=bool)
    for each in range(len(signals.generators)):
        own, seen = signals.generator == each, _Seen.of(signals, each)
        _check_verdicts(signals, own & mine, seen.verdict, name)
        blank = own & mine & ~graded & seen.told
        value[blank] = np.where(signals.silent, 0.0, seen.verdict)[blank]
        other = own & seen.told & np.isnan(seen.verdict) & (signals.answer >= 0)
        strange[other], right_known[other] = True, seen.right_known[other]
    places, agreeing, chance = factors.place(log.prompts), _agreeing(signals), np.full(len(mine), np.nan)
    for known in (True, False):
        kind = strange & (right_known == known)
        own, others = kind & mine & graded, kind & ~mine & graded
        right = int(signals.correct[own].sum())
        if others.any():
            found = _chances(signals, kind, others, agreeing, places)
            usual = _HOLD * float(found[kind].mean())
            chance[kind] = np.minimum((right + usual) / (found[own].sum() + usual) * found[kind], 1.0)
        else:  # a single other generator is seen by nobody
            chance[kind] = (right + 0.5) / (own.sum() + 1)
    strange &= mine
    blank = strange & ~graded
    value[blank] = (chance + _off(signals, chance, strange & graded, places))[blank].clip(0.0, 1.0)
    told = mine & ~graded & ~np.isnan(value)
    if not told.any():
        return nothing
    n_told = len(np.setdiff1d(signals.prompt[told], signals.prompt[mine & graded]))
    size = len(log.prompts)
    n = np.bincount(signals.prompt[mine], minlength=size)
    doubt = ((chance * (1 - chance)) ** 0.25)[strange]
    unknown = np.bincount(signals.prompt[strange], weights=doubt, minlength=size) / np.maximum(n, 1)
    labelled = log.with_labels(np.where(mine, value, np.nan))
    return KnownAnswers(labelled.select_generators([name]), n_told, unknown)


def _check_verdicts(signals: LabelSignals, mine: NDArray[np.bool_], verdict: FloatArray, name: str) -> None:
    """Refuse a log whose verdicts do not belong to answers."""
    both = mine & (signals.correct >= 0) & ~np.isnan(verdict)
    n, n_other = int(both.sum()), int((signals.correct[both] != verdict[both]).sum())
    if n_other > max(_SURE * n, 1):
        raise InvalidInputError(
            f"{n_other} of {n} graded samples of {name!r} have another verdict than others had for the same "
            "answer: grade all generators in one way, or extend by a log of the new one alone"
        )


def _off(signals: LabelSignals, chance: FloatArray, graded: NDArray[np.bool_], places: Places) -> FloatArray:
    """Return by how much more than its chance each sample may be right, shape (S,): what graded ones of
    prompts like its own were off, by a Gaussian process over prompts.
    """
    if not graded.any():
        return np.zeros(len(chance))
    rows, at = np.unique(signals.prompt[graded], return_inverse=True)
    mine, n = chance[graded], np.bincount(at)
    off = np.bincount(at, weights=signals.correct[graded] - mine) / n
    # Samples of a prompt mostly err together, so that several say no more than one.
    noise = np.maximum(np.bincount(at, weights=mine * (1 - mine)) / n, _LEAST_NOISE)
    known = places.take(rows)
    process = _SPREAD * likeness(known, known) + np.diag(noise)
    return np.asarray(_SPREAD * likeness(places, known) @ np.linalg.solve(process, off))[signals.prompt]


def _agreeing(signals: LabelSignals) -> FloatArray:
    """Return the share of the other samples of the same generator with the same answer, shape (S,)."""
    pair = signals.prompt * len(signals.generators) + signals.generator
    n = np.bincount(pair)[pair]
    support = signals.support[np.maximum(signals.answer, 0), signals.generator]
    share = (support * n - 1) / np.maximum(n - 1, 1)
    return np.where((signals.answer >= 0) & (n > 1), share, 0.0).clip(0.0, 1.0)


def _chances(
    signals: LabelSignals,
    kind: NDArray[np.bool_],
    rows: NDArray[np.bool_],
    agreeing: FloatArray,
    places: Places,
) -> FloatArray:
    """Return chances of the samples of a `kind` to be right, learned from those at `rows`; shape (S,)."""
    right = signals.correct[rows].astype(np.float64)
    usual = (float(right.sum()) + 0.5) / (len(right) + 1)
    at = places.matched[signals.prompt[rows]]
    size = places.leaves.shape[1]
    n = np.bincount(at[at >= 0], minlength=size)
    n_right = np.bincount(at[at >= 0], weights=right[at >= 0], minlength=size)
    alike = np.square(places.leaves)
    share = ((alike @ n_right + _ALIKE * usual) / (alike @ n + _ALIKE))[signals.prompt]
    if len(np.unique(right)) < 2:
        return np.asarray(share)
    from sklearn.linear_model import LogisticRegression

    evidence = np.column_stack([np.log(share / (1 - share)), agreeing])
    learned = LogisticRegression(C=10.0).fit(evidence[rows], right)
    chance = np.zeros(len(share))
    chance[kind] = learned.predict_proba(evidence[kind])[:, 1]
    return chance


class _Seen(NamedTuple):
    """What the graded samples of all generators but one say of each of the S samples.

    Attributes
    ----------
    told : ndarray of bool, shape (S,)
        Whether they answered its prompt.
    right_known : ndarray of bool, shape (S,)
        Whether one of them was right.
    verdict : ndarray of float64, shape (S,)
        Of its answer; NaN where none of them gave it, or verdicts differ.
    """

    told: NDArray[np.bool_]
    right_known: NDArray[np.bool_]
    verdict: FloatArray

    @classmethod
    def of(cls, signals: LabelSignals, left_out: int) -> _Seen:
        from_others = (signals.correct >= 0) & (signals.generator != left_out) & (signals.answer >= 0)
        n_answers, n_prompts = len(signals.support), int(signals.prompt.max()) + 1
        answer, prompt = signals.answer[from_others], signals.prompt[from_others]
        right = signals.correct[from_others].astype(np.float64)
        n = np.bincount(answer, minlength=n_answers)
        share = np.bincount(answer, weights=right, minlength=n_answers) / np.maximum(n, 1)
        verdict = np.where((n > 0) & (np.minimum(share, 1 - share) <= _SURE), share.round(), np.nan)
        told = np.bincount(prompt, minlength=n_prompts) > 0
        known = np.bincount(prompt, weights=right, minlength=n_prompts) > 0
        own = np.where(signals.answer >= 0, verdict[np.maximum(signals.answer, 0)], np.nan)
        return cls(told[signals.prompt], known[signals.prompt], own)
