"""What did the work: our policy with one part switched off, as masks over its columns.

A part is worth what the policy loses without it, at equal cost. At a price that loses an offer the best
course for everybody of what is left stands in for it, since what was beside it may have been there for a few
prompts only. A part that is not deployed cannot be switched off and is left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.arithmetic.arrays import BoolArray
from policies.course.course import of_one_generator
from training.evaluation.bed import Played, Subject, TestBed
from training.policy import masks

TEXT: Final = "the text"
REACTING: Final = "reacting to samples"
POOLING: Final = "several models in one course"
CHOICE: Final = "the choice of model"


def ablations(bed: TestBed) -> dict[str, Played]:
    """Return our policy without each part that it has.

    Returns
    -------
    dict
        By part: *the text* (everybody gets the best of what is on offer or static), *reacting to samples*
        (only courses that decide everything beforehand), *several models in one course* (neither cascades
        nor pooled votes), *the choice of model* (one model for everybody at each price, the best by training
        means).
    """
    subject = bed.subject
    offered, courses = subject.policy.offered, subject.courses
    alone, decided = of_one_generator(courses), masks.one_shot(courses)
    on_offer = offered.any(axis=0)
    found = {}
    if subject.policy.by_text.any():
        found[TEXT] = _for_all(subject)
    if (on_offer & ~decided).any():
        found[REACTING] = _within(subject, np.broadcast_to(decided, offered.shape))
    if (on_offer & ~alone).any():
        found[POOLING] = _within(subject, np.broadcast_to(alone, offered.shape))
    if len({name for course in courses for name in course.generators}) > 1:
        found[CHOICE] = _within(subject, _of_one_model(subject))
    return {part: bed.realise(bed.chosen(left), by_text=part != TEXT) for part, left in found.items()}


def _for_all(subject: Subject) -> BoolArray:
    """Return the best course for everybody at each price, of all that is on offer at any price or static."""
    prices, offered = subject.policy.prices, subject.policy.offered
    mask = offered.any(axis=0) | masks.static(subject.courses)
    best = [subject.best(mask, float(price)) for price in prices]
    return np.asarray(np.array(best)[:, None] == np.arange(offered.shape[1]))


def _within(subject: Subject, mask: BoolArray) -> BoolArray:
    """Return what is on offer of a mask, and what stands in for the rest, shape (L, C)."""
    offered = subject.policy.offered
    left = offered & mask
    for level in np.flatnonzero((offered & ~mask).any(axis=1)):
        left[level, subject.best(mask[level], float(subject.policy.prices[level]))] = True
    return left


def _of_one_model(subject: Subject) -> BoolArray:
    """Return the courses of the model that is best for everybody at each price, shape (L, C)."""
    courses = subject.courses
    alone = of_one_generator(courses)
    owner = np.array([course.generators[0] for course in courses])
    mask = np.zeros(subject.policy.offered.shape, dtype=bool)
    for level, price in enumerate(subject.policy.prices):
        mask[level] = alone & (owner == owner[subject.best(alone, float(price))])
    return mask
