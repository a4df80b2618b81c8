"""The tally of one prompt gives the evidence that the tally of many gives, field by field."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.evidence import Evidence, Tally
from policies.ladder import Ladder, SampleScale, Wave
from policies.prompt_tally import PromptTally

SCALES = {
    "a": SampleScale(logprob_mean=-1.0, logprob_sd=0.3, log_cost_mean=3.0, log_cost_sd=0.5),
    "b": SampleScale(),
}


class Drawn(NamedTuple):
    """One wave: a generator and (code, log-probability, cost, score) of its samples."""

    generator: str
    samples: list[tuple[int, float | None, float, float | None]]


SAMPLES = st.tuples(
    st.integers(-1, 5),
    st.none() | st.floats(-6, 0),
    st.floats(0, 1e4),
    st.none() | st.floats(-3, 3),
)
WAVES = st.lists(
    st.builds(Drawn, st.sampled_from("ab"), st.lists(SAMPLES, min_size=1, max_size=4)), max_size=6
)


def ladder(*, pooled: bool, logprob_weight: float = 1.0) -> Ladder:
    waves = (Wave(generator="a", n=9), Wave(generator="b", n=9))
    return Ladder(waves=waves, weights={"a": 0.4}, pooled=pooled, logprob_weight=logprob_weight)


def known(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


@settings(max_examples=150, deadline=None)
@given(WAVES, st.booleans(), st.sampled_from([0.0, 1.0, 2.5]))
def test_it_agrees_with_the_tally_of_many(waves: list[Drawn], pooled: bool, logprob_weight: float) -> None:
    steps = ladder(pooled=pooled, logprob_weight=logprob_weight)
    many = Tally(steps, SCALES, np.array([[0.5, -2.0]]))
    one = PromptTally(steps, SCALES, (0.5, -2.0))
    for wave in waves:
        codes, logprobs, costs, scores = map(list, zip(*wave.samples, strict=True))
        many.add(
            wave.generator,
            answer=np.array([codes]),
            mean_logprob=np.array([known(logprobs)]),
            cost=np.array([costs]),
            score=np.array([known(scores)]),
        )
        one.add(wave.generator, answer=codes, mean_logprob=logprobs, cost=costs, score=scores)
    left, right = many.evidence(), one.evidence()
    for item in fields(Evidence):
        theirs, ours = getattr(left, item.name), getattr(right, item.name)
        assert theirs.dtype == ours.dtype
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-6, nan_ok=True), item.name
    assert one.tied() == np.flatnonzero(many.tied()[0]).tolist()


def test_rows_of_many_prompts_become_one_evidence_in_their_order() -> None:
    rows = []
    for code in range(3):
        one = PromptTally(ladder(pooled=True), {}, (float(code),))
        one.add("b", answer=[code] * (code + 1))
        rows.append(one.row())
    together = Evidence.unpacked(rows)
    assert together.leader.tolist() == [1.0, 2.0, 3.0]
    assert together.n_drawn.tolist() == [1, 2, 3]
    assert together.difficulty.tolist() == [[0.0], [1.0], [2.0]]


def test_a_surprise_beyond_all_doubles_is_a_large_weight_and_no_error() -> None:
    steep = {"a": SampleScale(logprob_mean=-1e6, logprob_sd=1.0)}
    one = PromptTally(ladder(pooled=True), steep, ())
    one.add("a", answer=[0, 1], mean_logprob=[-1.0, -1e6])
    assert one.tied() == [0]
    assert np.isfinite(one.evidence().leader[0])
