"""What the samples of one prompt, and its text, say about the answer that was selected, in numbers.

It reads who drew what, and the success rates that the text promises of each generator; it assumes that equal
answers are equal strings. How sure the answer is, is left to `policies.answering.confidence`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import FloatArray

FEATURES: Final = (
    "answered",
    "share",
    "margin",
    "log_count",
    "log_drawn",
    "distinct",
    "abstained",
    "supporters",
    "generators",
    "rate",
    "best_rate",
    "mean_rate",
    "support",
    "dissent",
    "strongest_agrees",
    "logprob",
    "logprob_above",
    "score",
    "score_above",
    "length",
    "set_length",
)
_LEAST: Final = 0.02


class Given(NamedTuple):
    """One sample of a prompt.

    Attributes
    ----------
    generator : str
        Who drew it.
    answer : object, optional
        What it answered, equal where answers agree; None abstains.
    mean_logprob, score, output_tokens : float, optional
        As recorded; None where not known.
    """

    generator: str
    answer: object | None
    mean_logprob: float | None = None
    score: float | None = None
    output_tokens: float | None = None


class Usual(NamedTuple):
    """What is usual of a generator: log-probability, and logarithm of the length; NaN if unknown."""

    mean_logprob: float
    log_length: float


def evidence_of(
    given: Sequence[Given],
    selected: object | None,
    *,
    rates: Mapping[str, float],
    usual: Mapping[str, Usual],
) -> FloatArray:
    """Return the features of one prompt, shape (F,), in the order of `FEATURES`; NaN where not known.

    Parameters
    ----------
    given : sequence of Given
        The samples that came back.
    selected : object, optional
        The answer that was selected; None where there is none.
    rates : mapping of str to float
        Success rate of one sample that the text promises of each generator, in [0, 1]; NaN if unknown.
    usual : mapping of str to Usual
        Of each generator.

    Examples
    --------
    >>> given = [Given("a", "4"), Given("a", "4"), Given("b", "5"), Given("b", None)]
    >>> row = evidence_of(given, "4", rates={"a": 0.5, "b": 0.9}, usual={})
    >>> named = dict(zip(FEATURES, row.round(2).tolist()))
    >>> named["share"], named["abstained"], named["strongest_agrees"]
    (0.67, 0.25, 0.0)
    """
    answers = [one for one in given if one.answer is not None]
    votes = Counter(one.answer for one in answers)
    mine = votes.get(selected, 0) if selected is not None else 0
    n = max(len(answers), 1)
    rival = max((count for answer, count in votes.items() if answer != selected), default=0)
    behind = [one for one in answers if one.answer == selected] if selected is not None else []
    against = [one for one in answers if one.answer != selected]
    odds = {name: _odds(rate) for name, rate in rates.items()}
    drawn = list(dict.fromkeys(one.generator for one in given))
    known = [odds[name] for name in drawn if name in odds and not math.isnan(odds[name])]
    strongest = max(drawn, key=lambda name: _or(odds.get(name), -math.inf), default=None)
    return np.array(
        [
            float(selected is not None),
            mine / n,
            (mine - rival) / n,
            math.log(max(mine, 0.5)),
            math.log(max(len(given), 1)),
            len(votes) / n,
            1 - len(answers) / max(len(given), 1),
            len({one.generator for one in behind}),
            len(drawn),
            _mean([odds.get(one.generator) for one in behind]),
            max(known, default=math.nan),
            _mean(list(odds.values())),
            sum(_or(odds.get(one.generator), 0.0) for one in behind),
            sum(_or(odds.get(one.generator), 0.0) for one in against),
            float(any(one.generator == strongest for one in behind)),
            _mean([_above(one, usual) for one in behind]),
            _mean([_above(one, usual) for one in behind]) - _mean([_above(one, usual) for one in answers]),
            _mean([one.score for one in behind]),
            _mean([one.score for one in behind]) - _mean([one.score for one in answers]),
            _mean([_length(one, usual) for one in behind]),
            _mean([_length(one, usual) for one in given]),
        ]
    )


def _odds(rate: float) -> float:
    """Return log-odds of a rate; NaN stays."""
    if math.isnan(rate):
        return math.nan
    share = min(max(rate, _LEAST), 1 - _LEAST)
    return math.log(share / (1 - share))


def _above(one: Given, usual: Mapping[str, Usual]) -> float | None:
    if one.mean_logprob is None:
        return None
    return one.mean_logprob - _or(usual[one.generator].mean_logprob if one.generator in usual else None, 0.0)


def _length(one: Given, usual: Mapping[str, Usual]) -> float | None:
    if one.output_tokens is None or one.generator not in usual:
        return None
    return math.log1p(max(one.output_tokens, 0.0)) - usual[one.generator].log_length


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _or(value: float | None, other: float) -> float:
    return other if value is None or math.isnan(value) else value
