"""From the name in an allocation to the strategy that spends it.

An allocation carries a strategy's parameters as plain values; here they are checked, once, and unknown ones
are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Final

from difficulty.errors import InvalidInputError
from planner.strategies.sampling.best_of_n import BestOfN
from planner.strategies.sampling.first_success import FirstSuccess
from planner.strategies.sampling.greedy import Greedy
from planner.strategies.sampling.majority_vote import MajorityVote
from planner.strategies.sampling.weighted_best_of_n import WeightedBestOfN
from planner.strategies.search.beam_search import BeamSearch
from planner.strategies.search.dvts import DVTS
from planner.strategies.search.lookahead import Lookahead
from planner.strategies.search.rebase import Rebase
from planner.strategies.sequential_revision import SequentialRevision
from planner.strategies.task import Strategy
from policies.course.allocation import Allocation
from policies.course.strategies import strategies_of_kind

__all__ = ["STRATEGY_TYPES", "strategy_of"]


STRATEGY_TYPES: Final[Mapping[str, type[Strategy]]] = MappingProxyType(
    {
        "greedy": Greedy,
        "majority_vote": MajorityVote,
        "best_of_n": BestOfN,
        "weighted_best_of_n": WeightedBestOfN,
        "first_success": FirstSuccess,
        "sequential_revision": SequentialRevision,
        "beam_search": BeamSearch,
        "dvts": DVTS,
        "lookahead": Lookahead,
        "rebase": Rebase,
    }
)


def strategy_of(allocation: Allocation) -> Strategy:
    """Return the strategy that `allocation` names, with its parameters.

    The parameter ``n`` of recorded search runs is accepted where it equals the width.

    Raises
    ------
    InvalidInputError
        When a parameter is unknown or of a wrong type or value, or when width or depth do not suit the
        strategy.

    Examples
    --------
    >>> strategy_of(Allocation(generator="tiny", strategy="first_success", width=8))
    FirstSuccess(verifier='score', threshold=0.5, fallback='none')
    """
    import msgspec

    name = allocation.strategy
    kind = STRATEGY_TYPES[name]
    params = dict(allocation.parameters)
    if "level" in params:
        raise InvalidInputError(
            f"the allocation {allocation} is a level of an adaptive policy; run it with the bundle that made "
            "it: planner.run(..., adaptive=True)"
        )
    if params.pop("n", allocation.width) != allocation.width:
        raise InvalidInputError(f"{name}: the parameter n must equal the width {allocation.width}")
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(params) - set(allowed))
    if unknown:
        raise InvalidInputError(
            f"{name} has no parameter {', '.join(unknown)}; allowed: {', '.join(allowed) or 'none'}"
        )
    if allocation.depth > 1 and allocation.traits.kind != "revision":
        deep = ", ".join(strategies_of_kind("revision"))
        raise InvalidInputError(f"{name} has depth 1; depth {allocation.depth} needs {deep}")
    if allocation.width > 1 and name == "greedy":
        raise InvalidInputError(f"greedy draws one sample, got width {allocation.width}; use majority_vote")
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{name}: a parameter has a wrong type or value: {error}") from error
