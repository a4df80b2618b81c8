"""From a step that is a search to the strategy that runs it; its parameters are checked here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Final

from difficulty.errors import InvalidInputError
from planner.strategies.search.beam_search import BeamSearch
from planner.strategies.search.dvts import DVTS
from planner.strategies.search.lookahead import Lookahead
from planner.strategies.search.rebase import Rebase
from planner.strategies.task import Strategy
from policies.course.course import Step

SEARCHES: Final[Mapping[str, type[Strategy]]] = MappingProxyType(
    {"beam_search": BeamSearch, "dvts": DVTS, "lookahead": Lookahead, "rebase": Rebase}
)


def search_of(step: Step) -> Strategy:
    """Return the search that a step names, with its parameters.

    Raises
    ------
    InvalidInputError
        When a parameter is unknown or of a wrong type or value.

    Examples
    --------
    >>> step = Step(generator="tiny", n=8, kind="search", strategy="dvts", params={"beam_width": 2})
    >>> search_of(step).verifiers
    ('score',)
    """
    import msgspec

    kind = SEARCHES[step.strategy]
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # all are dataclasses
    unknown = sorted(set(step.parameters) - set(allowed))
    if unknown:
        raise InvalidInputError(
            f"{step.strategy} has no parameter {', '.join(unknown)}; allowed: {', '.join(allowed)}"
        )
    try:
        return msgspec.convert(step.parameters, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{step.strategy}: a parameter has a wrong type or value: {error}") from error
