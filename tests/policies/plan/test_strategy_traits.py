"""What is known of strategies by name stands in one table, and other modules ask it."""

from __future__ import annotations

import ast
from pathlib import Path

from planner.strategies.registry import STRATEGY_TYPES
from policies.plan.allocation import Allocation
from policies.plan.strategies import STRATEGIES, TRAITS, strategies_of_kind

ROOT = Path(__file__).parents[3]
# Where a search is named: its traits, its class, and what the lab records.
HOMES = {"policies/plan/strategies.py", "planner/strategies/registry.py", "training/strategies/lab.py"}


def names_in(path: Path) -> set[str]:
    """Return the strings of a module that are neither docstrings nor parts of a longer text."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_strategy_has_traits_and_a_class() -> None:
    assert list(TRAITS) == list(STRATEGIES) and set(STRATEGY_TYPES) == set(STRATEGIES)
    assert len({traits.title for traits in TRAITS.values()}) == len(TRAITS)


def test_no_other_module_names_searches() -> None:
    # Beam search too is a word of its own in simulated logs.
    searches = {*strategies_of_kind("search")} - {"beam_search"}
    named = {
        str(path.relative_to(ROOT))
        for room in ("difficulty", "policies", "planner", "training")
        for path in (ROOT / room).rglob("*.py")
        if searches & names_in(path)
    }
    assert named == HOMES


def test_kinds_are_told_by_what_a_strategy_is_valued_from() -> None:
    vote = Allocation(generator="a", strategy="majority_vote", width=4).traits
    assert vote.needs_samples_only and not vote.steered
    assert not Allocation(generator="a", strategy="best_of_n", width=4).traits.needs_samples_only
    assert strategies_of_kind("revision") == ("sequential_revision",)
    assert [name for name in STRATEGIES if TRAITS[name].steered] == [
        "first_success", *strategies_of_kind("search")
    ]  # fmt: skip
