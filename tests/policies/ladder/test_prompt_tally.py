"""The tally of one prompt gives the evidence that the tally of many gives, field by field."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.prompt_tally import PromptTally
from policies.ladder.tally import Tally

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


def ladder(*, pooled: bool, logprob_weight: float = 1.0, chance_weight: float = 0.0) -> Ladder:
    waves = (Wave(generator="a", n=9), Wave(generator="b", n=9))
    return Ladder(
        waves=waves,
        weights={"a": 0.4},
        pooled=pooled,
        logprob_weight=logprob_weight,
        chance_weight=chance_weight,
    )


def known(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


@settings(max_examples=300, deadline=None)
@given(WAVES, st.booleans(), st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([0.0, 1.0, 6.0]))
def test_it_agrees_with_the_tally_of_many(
    waves: list[Drawn], pooled: bool, logprob_weight: float, chance_weight: float
) -> None:
    steps = ladder(pooled=pooled, logprob_weight=logprob_weight, chance_weight=chance_weight)
    many = Tally(steps, SCALES, np.array([[0.5, -2.0]]))
    one = PromptTally(steps, SCALES, (0.5, -2.0))
    drawn: dict[str, list[int]] = {"a": [], "b": []}
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
        if not steps.judged:
            continue
        so_far = drawn[wave.generator]
        so_far += codes
        # A judge's view of early samples changes with each new one.
        chances: list[float | None] = [
            None if code == 3 else 0.1 + 0.8 * ((code + place * len(so_far)) % 7) / 7
            for place, code in enumerate(so_far)
        ]
        many.judge(wave.generator, answer=np.array([so_far]), chance=np.array([known(chances)]))
        one.judge(wave.generator, answer=so_far, chance=chances)
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


def test_a_judge_s_latest_word_counts_and_sure_samples_outvote_many() -> None:
    steps = ladder(pooled=True, chance_weight=4.0)
    one = PromptTally(steps, {}, ())
    one.add("b", answer=[0])
    one.judge("b", answer=[0], chance=[0.9])
    one.add("b", answer=[1, 0])
    one.judge("b", answer=[0, 1, 0], chance=[0.3, 0.8, 0.3])
    evidence = one.evidence()
    assert one.tied() == [1]
    assert evidence.leader[0] == pytest.approx(0.8**4)
    assert evidence.leader_chance[0] == pytest.approx(0.8)
    assert (evidence.leader_count[0], evidence.n_votes[0]) == (1, 3)
    one.add("a", answer=[0])
    one.judge("a", answer=[0], chance=[1.0])
    assert one.evidence().leader[0] == pytest.approx(0.4 + 2 * 0.3**4)


def test_nobody_leads_before_the_judge_has_spoken() -> None:
    one = PromptTally(ladder(pooled=True, chance_weight=1.0), {}, ())
    one.add("b", answer=[0, 1])
    assert one.tied() == []
    one.judge("b", answer=[0, 1], chance=[None, None])
    assert one.tied() == []
