"""What drawing is worth where errors and silence have prices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from policies.answering.answering import Answering, AnswerPrice
from policies.answering.confidence import ConfidenceModel
from policies.answering.evidence import FEATURES
from policies.answering.worth import worth_over_silence

N = 6000


def known(seed: int = 0, *, tells: float = 1.0) -> Answering:
    """Two levels that were played; confidence ends at 0 or 1 with a share `tells`, else where it began."""
    rng = np.random.default_rng(seed)
    told = np.sort(rng.random(N))
    correct = rng.random(N) < told
    confidence = np.where(rng.random(N) < tells, correct.astype(float).clip(0.001), told)
    flat = ConfidenceModel(
        centre=np.zeros(len(FEATURES)),
        scale=np.ones(len(FEATURES)),
        weights=np.zeros(len(FEATURES)),
        intercept=0.0,
    )
    half = correct & (rng.random(N) < 0.5)
    return Answering(
        right=flat,
        solvable=flat,
        usual={},
        levels=np.array([0, 4, -1]),
        columns=np.array([-1, -1, 7]),
        confidence=np.column_stack([confidence, confidence, confidence]),
        correct=np.column_stack([half, correct, correct]),
        told=np.column_stack([told, told, np.full(N, np.nan)]),
    )


def test_worth_is_what_came_of_it() -> None:
    told = np.tile(np.array([0.2, 0.5, 0.8])[:, None], (1, 5))
    sure = worth_over_silence(known(), told, AnswerPrice(wrong=1.0, none=0.5))
    # All wrong answers are withheld at the last level; at the first, half of the given ones are wrong.
    assert_allclose(sure[:, 4], 1.5 * told[:, 4], atol=0.12)
    assert_allclose(sure[:, 0], told[:, 0] * (0.5 * 1.5 + 0.5 * -0.5), atol=0.12)
    assert_allclose(sure[:, 2], (sure[:, 0] + sure[:, 4]) / 2)


def test_more_hope_is_worth_no_less_and_dearer_errors_no_more() -> None:
    told = np.tile(np.linspace(0, 1, 41)[:, None], (1, 5))
    answers = known(1, tells=0.3)
    cheap, dear = (worth_over_silence(answers, told, AnswerPrice(wrong=wrong))[:, 4] for wrong in (0.5, 6.0))
    assert (np.diff(cheap) >= 0).all() and (np.diff(dear) >= 0).all()
    assert (dear <= cheap + 0.03).all()
    # What is told 0.4 is given at errors of 0.5 whatever came, and only where it was settled at 6.
    assert_allclose(cheap[16], 0.3 * 0.4 + 0.7 * (0.4 - 0.6 * 0.5), atol=0.08)
    assert_allclose(dear[16], 0.3 * 0.4, atol=0.08)


def test_where_nobody_knows_nothing_is_promised() -> None:
    answers = known()
    answers.told[:] = np.nan
    assert not worth_over_silence(answers, np.full((3, 5), 0.9), AnswerPrice(wrong=1.0)).any()


@pytest.mark.parametrize("wrong", [0.0, 2.0])
def test_hopeless_prompts_are_worth_nothing(wrong: float) -> None:
    found = worth_over_silence(known(), np.zeros((1, 5)), AnswerPrice(wrong=wrong, none=0.0))
    assert found[0, 4] < 0.12
