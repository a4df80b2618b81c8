"""Rules of others: fitted where they are published, with their own numbers where tools ship them."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.log.sample_log import SampleLog
from policies.adaptive.policy import AdaptivePolicy
from policies.cost.cost_model import CostModel
from policies.ladder.stop_rules import AdaptiveConsistency, Agreement, Always
from policies.replay.pools import replay_pools
from training.adaptive.rivals import RIVALS, SHIPPED, fit_rivals
from training.simulated.log import simulated_log

DOUBLING, BETA, TWO_AGREE = SHIPPED
PRICES = np.geomspace(0.1, 1e-7, 12)


def fitted(log: SampleLog) -> dict[str, AdaptivePolicy]:
    return fit_rivals(
        replay_pools(log, CostModel(unit="output_tokens")),
        difficulty=np.zeros((len(log.prompts), 0)),
        prices=PRICES,
        objective="accuracy",
        seed=0,
    )


@pytest.fixture(scope="module")
def rivals() -> dict[str, AdaptivePolicy]:
    return fitted(simulated_log(80, n_samples=10, n_generators=3, seed=4))


def sizes(policy: AdaptivePolicy, level: int) -> list[tuple[str, int]]:
    return [(wave.generator, wave.n) for wave in policy.options(level)[0].ladder.waves]


def test_every_rule_begins_with_the_cheapest_single_sample(rivals: dict[str, AdaptivePolicy]) -> None:
    assert set(rivals) == {*RIVALS, *SHIPPED}
    for policy in rivals.values():
        assert sizes(policy, 0) == [("model-0", 1)]
        assert isinstance(policy.options(0)[0].rule, Always)


def test_shipped_rules_keep_their_numbers(rivals: dict[str, AdaptivePolicy]) -> None:
    doubling = rivals[DOUBLING].options(len(PRICES) - 1)[0]
    assert [wave.n for wave in doubling.ladder.waves] == [2, 2, 4, 2]
    assert doubling.rule == Agreement(count=1, share=0.75)
    assert rivals[BETA].options(len(PRICES) - 1)[0].rule == AdaptiveConsistency(threshold=0.95)
    assert {type(move.rule) for move in rivals[BETA].moves} <= {Always, AdaptiveConsistency}


def test_two_that_agree_are_enough_and_else_a_better_one_counts_twice(
    rivals: dict[str, AdaptivePolicy],
) -> None:
    policy = rivals[TWO_AGREE]
    found = [move for move in policy.moves if len(move.ladder) > 1]
    for move in found:
        assert [(wave.generator, wave.n) for wave in move.ladder.waves] == [("model-1", 2), ("model-2", 1)]
        assert move.ladder.weight("model-2") == 2 * move.ladder.weight("model-1")
        assert move.rule == Agreement(count=2)
    assert found, "it should be worth its price somewhere"


def test_one_generator_has_nothing_to_escalate_to() -> None:
    assert TWO_AGREE not in fitted(simulated_log(40, n_samples=6, n_generators=1, seed=4))
