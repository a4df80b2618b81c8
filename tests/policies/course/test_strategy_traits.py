"""What is known of strategies by name."""

from __future__ import annotations

from planner.strategies.search.named import SEARCHES
from policies.course.allocation import Allocation
from policies.course.strategies import STRATEGIES, TRAITS, strategies_of_kind


def test_each_strategy_has_traits_and_a_class() -> None:
    assert list(TRAITS) == list(STRATEGIES) and set(SEARCHES) == set(strategies_of_kind("search"))
    assert len({traits.title for traits in TRAITS.values()}) == len(TRAITS)


def test_kinds_are_told_by_what_a_strategy_is_valued_from() -> None:
    vote = Allocation(generator="a", strategy="majority_vote", width=4)
    assert vote.traits.kind == "parallel"
    assert strategies_of_kind("revision") == ("sequential_revision",)
