"""Known stop rules decide as their papers say, on states that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rules import (
    AdaptiveConsistency,
    Agreement,
    Always,
    OneProbe,
    Unanimous,
)
from policies.ladder.tally import Tally

LADDER = Ladder(waves=(Wave(generator="g", n=99),))


def after(*answers: int, level: float | None = None, **more: list[float]) -> Evidence:
    """Return the evidence of one prompt after these answers."""
    difficulty = np.zeros((1, 0)) if level is None else np.array([[level]])
    scale = SampleScale(logprob_mean=-1.0, logprob_sd=0.5, log_cost_mean=0.0, log_cost_sd=1.0)
    tally = Tally(LADDER, {"g": scale}, difficulty)
    tally.add("g", answer=np.array([answers]), **{name: np.array([row]) for name, row in more.items()})  # type: ignore[arg-type]
    return tally.evidence()


def goes_on(rule: object, evidence: Evidence, price: float = 0.0) -> bool:
    return bool(rule.go_on(evidence, price=price)[0])  # type: ignore[attr-defined]


def test_adaptive_consistency_stops_at_its_published_threshold() -> None:
    # Unanimous votes reach 1 - 0.5^(n+1) >= 0.95 at n = 4.
    rule = AdaptiveConsistency()
    assert [goes_on(rule, after(*[0] * n)) for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert goes_on(rule, after(0, 0, 0, 0, 1))


def test_the_dirichlet_criterion_is_the_duel_with_two_answers_and_warier_with_more() -> None:
    for votes in ((0, 0, 0), (0, 0, 0, 0), (0,) * 6 + (1,), (0,) * 7 + (1,)):
        beta, dirichlet = (
            goes_on(AdaptiveConsistency(criterion=criterion), after(*votes))  # type: ignore[arg-type]
            for criterion in ("beta", "dirichlet")
        )
        assert beta == dirichlet
    seven_to_three = after(*[0] * 7, 1, 2, 3)
    sure = [AdaptiveConsistency(threshold=t, criterion="dirichlet") for t in (0.9, 0.999)]
    assert [goes_on(rule, seven_to_three) for rule in sure] == [False, True]


def test_a_prior_that_expects_agreement_stops_earlier() -> None:
    evidence = after(0, 0, 0)
    assert goes_on(AdaptiveConsistency(), evidence)
    assert not goes_on(AdaptiveConsistency(prior_leader=3.0), evidence)


def test_early_stopping_needs_a_whole_unanimous_window() -> None:
    rule = Unanimous(window=3)
    assert goes_on(rule, after(0, 0))
    assert not goes_on(rule, after(0, 0, 0))
    assert goes_on(rule, after(1, 0, 0, 0))
    assert not goes_on(rule, after(1, 0, 0, 0, 0, 0))
    assert goes_on(rule, after(0, 0, -1))


def test_agreement_needs_count_and_share() -> None:
    assert not goes_on(Agreement(count=2), after(0, 0))
    assert goes_on(Agreement(count=2), after(0, 1))
    assert goes_on(Agreement(count=2, share=0.75), after(0, 0, 1))
    assert not goes_on(Agreement(count=2, share=0.75), after(0, 0, 0, 1))


def test_always_never_stops() -> None:
    assert goes_on(Always(), after(0, 0, 0, 0, 0), price=1e9)


def test_one_probe_buys_more_for_surprising_or_long_samples() -> None:
    rule = OneProbe(base=2.0, slope=1.0)
    assert not goes_on(rule, after(0, 0, mean_logprob=[-1.0, -1.0]))
    assert goes_on(rule, after(0, 0, mean_logprob=[-1.5, -1.5]))
    assert not goes_on(rule, after(0, mean_logprob=[-0.5]))
    long = OneProbe(base=2.0, slope=1.0, by="length")
    assert goes_on(long, after(0, 0, cost=[np.e, np.e]))
    assert not goes_on(long, after(0, 0, cost=[1.0, 1.0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Agreement(count=0),
        lambda: Agreement(share=1.5),
        lambda: AdaptiveConsistency(threshold=0.0),
        lambda: AdaptiveConsistency(criterion="normal"),  # type: ignore[arg-type]
        lambda: AdaptiveConsistency(prior_leader=0.0),
        lambda: Unanimous(window=0),
        lambda: OneProbe(base=0.0),
    ],
)
def test_parameters_without_meaning_are_refused(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]
