"""A policy comes back from JSON as it went in, and what was tampered with is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidBundleError, InvalidInputError
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.routing import Routing
from policies.adaptive.wire import from_plain, routing_arrays, to_plain
from policies.ladder import stop_rules
from policies.ladder.evidence import Evidence
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.value_rule import ValueRule

LADDER = Ladder(
    waves=(Wave(generator="a"), Wave(generator="b", n=3)),
    weights={"a": 0.3},
    pooled=False,
    logprob_weights={"b": 16.0},
    chance_weight=4.0,
)
RULES = [
    stop_rules.Always(),
    stop_rules.Agreement(count=3, share=0.6),
    stop_rules.AdaptiveConsistency(threshold=0.9, criterion="dirichlet"),
    stop_rules.Unanimous(window=5),
    stop_rules.OneProbe(base=2.5, by="length"),
]


def learned() -> ValueRule:
    rng = np.random.default_rng(0)
    return ValueRule(
        features="agreement",
        prices=np.array([0.1, 1 / 3e7]),
        accuracy=rng.normal(size=(2, 10)),
        gain=rng.normal(size=(2, 1, 10)),
        cost=rng.normal(size=(2, 1, 10)),
        futility=False,
    )


def policy() -> AdaptivePolicy:
    rules = [*RULES, learned()]
    return AdaptivePolicy(
        moves=tuple(Move(ladder=LADDER, rule=rule) for rule in rules),
        prices=np.geomspace(1, 1e-5, len(rules)),
        choice=np.arange(len(rules)),
        scales={"a": SampleScale(logprob_mean=-1 / 3, logprob_sd=0.1)},
    )


def test_a_policy_survives_json_bit_for_bit() -> None:
    plain = to_plain(policy())
    text = json.dumps(plain, allow_nan=False)
    back = from_plain(json.loads(text))
    assert json.dumps(to_plain(back)) == text
    assert [move.rule for move in back.moves[:-1]] == RULES
    assert back.moves[0].ladder == LADDER
    rule = back.moves[-1].rule
    assert isinstance(rule, ValueRule)
    assert rule.gain.tobytes() == learned().gain.tobytes()
    assert rule.futility is False
    assert back.scales == policy().scales


def test_policies_of_the_first_schema_are_still_read() -> None:
    plain = to_plain(policy())
    plain["adaptive_policy"] = 1
    del plain["moves"][-1]["rule"]["futility"]
    for move in plain["moves"]:
        del move["ladder"]["logprob_weights"], move["ladder"]["chance_weight"]
    rule = from_plain(plain).moves[-1].rule
    assert isinstance(rule, ValueRule)
    assert rule.futility is True
    first = from_plain(plain).moves[0].ladder
    assert (first.steepness("b"), first.judged) == (1.0, False)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("adaptive_policy",), 6),
        (("choice",), [99] * 6),
        (("prices",), [1.0] * 6),
        (("moves", 0, "rule", "name"), "os.system"),
        (("moves", 1, "rule", "surprise"), 1),
        (("moves", 0, "ladder", "waves"), []),
        (("moves", 0, "ladder", "surprise"), 1),
        (("moves", 0, "ladder", "logprob_weights"), {"b": -1.0}),
        (("moves", 0, "ladder", "chance_weight"), -1.0),
        (("moves", 5, "rule", "gain"), [[1.0]]),
        (("scales", "a", "logprob_sd"), -1.0),
    ],
)
def test_what_was_tampered_with_is_refused(path: tuple[Any, ...], value: object) -> None:
    plain = copy.deepcopy(to_plain(policy()))
    part: Any = plain
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(InvalidBundleError):
        from_plain(plain)


def test_a_foreign_rule_is_not_saved() -> None:
    class Foreign:
        def go_on(self, evidence: Evidence, *, price: float) -> np.ndarray:
            return np.ones(len(evidence), dtype=bool)

    foreign = AdaptivePolicy(
        moves=(Move(ladder=LADDER, rule=Foreign()),),
        prices=np.ones(1),
        choice=np.zeros(1, dtype=int),
        scales={},
    )
    with pytest.raises(InvalidInputError, match="Foreign"):
        to_plain(foreign)


def test_a_table_that_does_not_fit_together_is_refused() -> None:
    move = Move(ladder=LADDER, rule=stop_rules.Always())
    for moves, prices, choice in (
        ((), np.ones(1), np.zeros(1, dtype=int)),
        ((move,), np.ones(2), np.zeros(2, dtype=int)),
        ((move,), np.ones(1), np.ones(1, dtype=int)),
    ):
        with pytest.raises(InvalidInputError):
            AdaptivePolicy(moves=moves, prices=prices, choice=choice, scales={})


def routed() -> AdaptivePolicy:
    plain = policy()
    n_levels = len(plain.prices)
    options = tuple((int(first), (int(first) + 1) % len(plain.moves)) for first in plain.choice)
    known = np.full((3, 2 * n_levels), 0.5)
    return replace(
        plain,
        routing=Routing(
            options=options, value=known, cost=known, taken=np.zeros((3, n_levels), dtype=np.int64)
        ),
    )


def test_a_routing_comes_back() -> None:
    saved = routed()
    back = from_plain(json.loads(json.dumps(to_plain(saved))), routing_arrays(saved))
    assert back.routing is not None and saved.routing is not None
    assert back.routing.options == saved.routing.options
    assert back.routing.belief == saved.routing.belief
    np.testing.assert_array_equal(back.routing.value, saved.routing.value)
    assert routing_arrays(policy()) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options", [[0, 1.9]]),
        ("options", [["0", "1"]]),
        ("options", "01"),
        ("belief", {"level_bandwidth": 0.5}),
        ("belief", {"level_bandwidth": "wide", "deviation_bandwidth": 1, "floor": 0, "shrinkage": 0}),
        ("belief", {"level_bandwidth": -1.0, "deviation_bandwidth": 1, "floor": 0, "shrinkage": 0}),
        ("surprise", 1),
    ],
)
def test_a_routing_that_was_tampered_with_is_refused(key: str, value: object) -> None:
    saved = routed()
    plain = to_plain(saved)
    with pytest.raises(InvalidBundleError):
        from_plain(plain | {"routing": plain["routing"] | {key: value}}, routing_arrays(saved))


def test_arrays_and_routing_come_together() -> None:
    saved = routed()
    for plain, arrays in (
        (to_plain(saved), {}),
        (to_plain(policy()), routing_arrays(saved)),
        (to_plain(saved), routing_arrays(saved) | {"surprise": np.zeros(3)}),
    ):
        with pytest.raises(InvalidBundleError):
            from_plain(plain, arrays)
