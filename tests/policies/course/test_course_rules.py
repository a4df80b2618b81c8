"""Stop rules of courses at their published numbers, on arrays and on the plain numbers of one prompt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta as beta_distribution

from difficulty.errors import InvalidInputError
from policies.course.selection import Selection
from policies.course.stop import (
    RULES,
    Agreement,
    BestScore,
    Beta,
    Evidence,
    Never,
    Share,
    StopRule,
    Success,
    Unanimous,
)
from policies.course.tally import Tally

ALL = (
    Never(),
    Agreement(count=1),
    Agreement(count=3),
    Share(),
    Beta(),
    Beta(threshold=0.9, futile_from=4, futile_below=0.6),
    Unanimous(window=3),
    BestScore(threshold=0.7),
    Success(),
)
Draw = tuple[str, str | None, float, bool]
draws = st.lists(
    st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from("xyz"), st.floats(0, 1), st.booleans()),
    max_size=12,
)


def evidence(answers: str, **changes: object) -> Evidence:
    tally = Tally(Selection())
    for answer in answers:
        tally.add("a", None if answer == "-" else answer)
    return tally.evidence()._replace(**changes)  # type: ignore[arg-type]


def test_every_rule_is_tried_here() -> None:
    assert {type(rule) for rule in ALL} == set(RULES)


@given(st.lists(draws, min_size=1, max_size=5))
def test_one_prompt_and_many_are_judged_alike(
    prompts: list[list[Draw]],
) -> None:
    rows = []
    for prompt in prompts:
        tally = Tally(Selection(pooled=False))
        for generator, answer, _, accepted in prompt:
            tally.add(generator, answer, accepted=accepted)
        rows.append(tally.evidence(best=max((one[2] for one in prompt), default=-math.inf)))
    many = Evidence(*(np.array(column) for column in zip(*rows, strict=True)))
    for rule in ALL:
        assert rule.enough(many).tolist() == [bool(rule.enough(row)) for row in rows]


@pytest.mark.parametrize(
    ("rule", "enough", "not_yet"),
    [
        (Agreement(count=1), ["-x"], ["--"]),
        (Agreement(count=2), ["xyx", "-xx"], ["xy", "x-"]),
        (Share(share=0.75, least=2), ["xx", "xxxy", "xx-"], ["x", "xxy"]),
        (Unanimous(window=4), ["yxxxx"], ["xxxyx", "xxx-x", "xxx"]),
        # Adaptive-Consistency at .95: four in a row, five against one are not enough, six against one are.
        (Beta(threshold=0.95), ["xxxx", "xyxxxxxx"], ["xxx", "xyxxx", "xyxxxx"]),
        (Beta(threshold=0.95, futile_from=4, futile_below=0.6), ["xyxy", "----"], ["xxyx", "xyx"]),
    ],
)
def test_rules_at_their_numbers(rule: StopRule, enough: list[str], not_yet: list[str]) -> None:
    assert all(bool(rule.enough(evidence(answers))) for answers in enough)
    assert not any(bool(rule.enough(evidence(answers))) for answers in not_yet)


@given(leader=st.integers(0, 60), runner_up=st.integers(0, 60), threshold=st.floats(0.5, 1.0))
def test_beta_is_the_criterion_of_adaptive_consistency(leader: int, runner_up: int, threshold: float) -> None:
    leader, runner_up = max(leader, runner_up), min(leader, runner_up)
    sure = beta_distribution.sf(0.5, leader + 1, runner_up + 1)
    if abs(sure - threshold) > 1e-9:
        known = evidence("x", leader=leader, runner_up=runner_up)
        assert bool(Beta(threshold=threshold).enough(known)) == (sure >= threshold)


def test_scores_and_checkers_end_a_course() -> None:
    assert bool(BestScore(threshold=0.7).enough(evidence("x", best=0.7)))
    assert not bool(BestScore(threshold=0.7).enough(evidence("x", best=-math.inf)))
    assert bool(Success().enough(evidence("x", n_correct=1))) and not bool(Success().enough(evidence("x")))


def test_votes_start_anew_with_a_generator_whose_answers_do_not_compare() -> None:
    tally = Tally(Selection(pooled=False))
    for generator, answer in (("a", "x"), ("a", "x"), ("b", None)):
        tally.add(generator, answer)
    known = tally.evidence()
    assert (known.n_drawn, known.n_votes, known.leader) == (3, 0, 0)
    tally.add("b", "y")
    assert (tally.evidence().n_votes, tally.evidence().leader) == (1, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Agreement(count=0),
        lambda: Share(share=0.0),
        lambda: Share(least=0),
        lambda: Beta(threshold=1.1),
        lambda: Beta(futile_below=1.0),
        lambda: Unanimous(window=0),
        lambda: BestScore(threshold=math.nan),
    ],
)
def test_numbers_out_of_range_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError):
        make()


@pytest.mark.parametrize("tenths", range(11))
def test_a_score_that_a_threshold_was_taken_from_reaches_it(tenths: int) -> None:
    """Tables hold scores in single precision, and thresholds are some of them; a verifier gives .8 itself."""
    rule = BestScore(threshold=float(np.float32(tenths / 10)))
    nothing = Evidence(1, 1, 1, 0, 1, 0, tenths / 10)
    assert bool(rule.enough(nothing))
    assert not bool(rule.enough(nothing._replace(best=tenths / 10 - 1e-3)))
    assert not bool(rule.enough(nothing._replace(best=-np.inf)))
