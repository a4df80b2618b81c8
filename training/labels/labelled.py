"""A log whose samples are worth their labels, with what is known of how far these err.

Labels are chances of being right, never verdicts: a prompt whose samples scatter is then worth little to
everybody, where a vote would call its most frequent answer right. Recorded verdicts correct them and are
otherwise left aside.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.label_signals import Labels, LabelSignals
from difficulty.log.sample_log import SampleLog
from training.labels.correction import Correction

_DIGITS: Final = 6


class Labelled(NamedTuple):
    """What labels make of a log.

    Attributes
    ----------
    log : SampleLog
        Samples are worth the chance that they are right.
    correction : Correction
        What was learned from recorded verdicts.
    record : dict
        JSON values: ``"by"``, the correction, and how labels and verdicts compare where both are known.
    """

    log: SampleLog
    correction: Correction
    record: dict[str, Any]


def labelled(log: SampleLog, by: Labels, *, correction: Correction | None = None) -> Labelled:
    """Label a log.

    Parameters
    ----------
    log : SampleLog
        With verdicts of some prompts, of none, or of all.
    by : {"agreement", "verifier", "judge"}
        Agreement with the prompt's other samples, pooled over generators whose answers compare; the
        recorded scores; the recorded rewards.
    correction : Correction, optional
        Learned from another log; by default from this one's own verdicts.

    Raises
    ------
    InvalidInputError
        When the log does not record what the labels need, or numbers cannot be read as chances.
    """
    signals = log.label_signals(by)
    found = Correction.fit(signals, by_generator=by == "agreement") if correction is None else correction
    if not found.n_prompts and by != "agreement" and (found.lower, found.upper) != (0.0, 1.0):
        raise InvalidInputError(
            f"labels by {by} between {found.lower:g} and {found.upper:g} are no chances of being right: "
            "grade a few prompts (correct: true or false), so that it can be learned what they mean, or plan "
            "for them with objective='reward'"
        )
    chance = found.chance(signals)
    record = {"by": by, "correction": found.to_json(), **_compared(signals, chance)}
    return Labelled(log.with_labels(chance), found, record)


def _compared(signals: LabelSignals, chance: FloatArray) -> dict[str, Any]:
    """Return means of labels and of verdicts on graded samples, and how often they differ."""
    known = (signals.correct >= 0) & ~np.isnan(chance)
    result: dict[str, Any] = {"mean": _number(np.nanmean(chance))}
    if known.any():
        right = signals.correct[known] == 1
        result |= {
            "n_graded": int(known.sum()),
            "graded_mean": _number(chance[known].mean()),
            "graded_right": _number(right.mean()),
            "graded_error": _number(((chance[known] >= 0.5) != right).mean()),
        }
    return result


def _number(value: float | np.floating[Any]) -> float:
    return round(float(value), _DIGITS)
