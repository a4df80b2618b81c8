"""What labels rest on: agreement with the other samples, a verifier's scores, a judge's rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError

NAMES = {name: Generator(name=name) for name in ("a", "b")}


def line(prompt_id: str, generator: str, answers: str, **more: Any) -> dict[str, Any]:
    """A letter is an answer, - abstains."""
    samples = [{"answer": None if sign == "-" else sign, **more} for sign in answers]
    return {"prompt_id": prompt_id, "generator": generator, "samples": samples}


def test_agreement_is_the_share_of_the_others() -> None:
    log = SampleLog.from_records([line("p", "a", "xxy-"), line("q", "a", "z")], NAMES)
    signals = log.label_signals("agreement")
    assert_allclose(signals.signal, [1 / 3, 1 / 3, 0, 0, np.nan])
    assert_array_equal(signals.prompt, [0, 0, 0, 0, 1])
    assert_array_equal(signals.silent, [False, False, False, True, False])


def test_generators_are_pooled_where_their_answers_compare() -> None:
    log = SampleLog.from_records(
        [line(f"p{at}", name, sign * 2) for at, sign in enumerate("xyzw") for name in "ab"], NAMES
    )
    assert_allclose(log.label_signals("agreement").signal, 1.0)
    one = SampleLog.from_records(
        [line(f"p{at}", name, sign) for at, sign in enumerate("xyzw") for name in "ab"], NAMES
    )
    assert_allclose(one.label_signals("agreement").signal, 1.0)  # one sample each is enough then


def test_answers_that_each_generator_names_in_its_own_way_are_not_pooled() -> None:
    rng = np.random.default_rng(0)
    lines = []
    for at in range(60):
        for name in "ab":
            letter = "ABCD"[rng.integers(4)]  # choices shown in another order to each
            lines.append(line(f"p{at}", name, letter * 3 + "-"))
    signal = SampleLog.from_records(lines, NAMES).label_signals("agreement").signal
    assert_allclose(signal.reshape(-1, 4)[:, :3], 2 / 3)


def test_a_generator_without_answers_is_not_told_to_be_wrong() -> None:
    log = SampleLog.from_records([line("p", "a", "xx"), line("p", "b", "--")], NAMES)
    signals = log.label_signals("agreement")
    assert np.isnan(signals.signal[2:]).all() and not signals.silent[2:].any()


def test_chains_are_told_how_many_independent_samples_agree() -> None:
    chain = {
        "prompt_id": "p",
        "generator": "a",
        "samples": [{"answer": "x", "chain": 0, "step": 0}, {"answer": "y", "chain": 0, "step": 1}],
    }
    log = SampleLog.from_records([line("p", "a", "xxy"), chain], NAMES)
    assert_allclose(log.label_signals("agreement").signal[3:], [2 / 3, 1 / 3])


def test_verifiers_and_judges_say_what_was_recorded() -> None:
    log = SampleLog.from_records([line("p", "a", "xy", score=0.7, reward=-2.0)], NAMES)
    assert_allclose(log.label_signals("verifier").signal, 0.7)
    assert_allclose(log.label_signals("judge").signal, -2.0)
    plain = SampleLog.from_records([line("p", "a", "x")], NAMES)
    for by, needs in (("agreement", "two answers"), ("verifier", "a score"), ("judge", "a reward")):
        with pytest.raises(InvalidInputError, match=f"labels by {by} need {needs}"):
            plain.label_signals(by)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="labels must be by one of"):
        plain.label_signals("vote")  # type: ignore[arg-type]


def test_verdicts_can_be_withheld() -> None:
    log = SampleLog.from_records(
        [line("p", "a", "xy", correct=True), line("q", "a", "x", correct=True)], NAMES
    )
    assert log.without_verdicts().counts().n.sum() == 0
    assert log.without_verdicts(["q"]).counts().n[:, 0].tolist() == [0, 1]
    labelled = log.with_labels(np.array([0.25, 0.5, 1.0]))
    assert_allclose(labelled.pool("a").value, [[0.25, 0.5], [1.0, np.nan]])
    assert labelled.counts().n.sum() == 0
