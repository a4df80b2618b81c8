"""What is known of each strategy by its name, for all who plan, price, record and report without running it.

A module that needs to tell strategies apart asks for a trait here, so that a new strategy is one line. How a
strategy is spent is left to `planner.strategies`, and what it is worth to `policies.menu.curves`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

StrategyName: TypeAlias = Literal[
    "greedy",
    "majority_vote",
    "best_of_n",
    "weighted_best_of_n",
    "first_success",
    "sequential_revision",
    "beam_search",
    "dvts",
    "lookahead",
    "rebase",
]
StrategyKind: TypeAlias = Literal["parallel", "revision", "search"]
STRATEGIES: Final[tuple[StrategyName, ...]] = get_args(StrategyName)


class StrategyTraits(NamedTuple):
    """What sets a strategy apart.

    Attributes
    ----------
    title : str
        In words, for reports.
    kind : {"parallel", "revision", "search"}
        What it can be valued from: independent samples, recorded chains, or recorded runs of its own.
    """

    title: str
    kind: StrategyKind


TRAITS: Final[Mapping[StrategyName, StrategyTraits]] = MappingProxyType(
    {
        "greedy": StrategyTraits("greedy", "parallel"),
        "majority_vote": StrategyTraits("majority vote", "parallel"),
        "best_of_n": StrategyTraits("best-of-N", "parallel"),
        "weighted_best_of_n": StrategyTraits("weighted best-of-N", "parallel"),
        "first_success": StrategyTraits("first success", "parallel"),
        "sequential_revision": StrategyTraits("revision", "revision"),
        "beam_search": StrategyTraits("beam search", "search"),
        "dvts": StrategyTraits("DVTS", "search"),
        "lookahead": StrategyTraits("lookahead", "search"),
        "rebase": StrategyTraits("REBASE", "search"),
    }
)


def strategies_of_kind(*kinds: StrategyKind) -> tuple[StrategyName, ...]:
    """Return the strategies of the kinds, in the order of `STRATEGIES`.

    Examples
    --------
    >>> strategies_of_kind("revision", "search")
    ('sequential_revision', 'beam_search', 'dvts', 'lookahead', 'rebase')
    """
    return tuple(name for name in STRATEGIES if TRAITS[name].kind in kinds)
