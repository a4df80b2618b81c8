"""How much may be spent: a limit in one unit, over the batch or per prompt on average.

A budget says nothing about what a unit costs; `policies.cost.cost_model` prices usage in it. Price λ and
target accuracy are the two alternatives to a budget and are plain arguments of `Planner.plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, cast, get_args

from difficulty.arguments import check_choice, check_number
from difficulty.errors import InvalidBudgetError, UnknownUnitError

Unit: TypeAlias = Literal["output_tokens", "total_tokens", "flops", "usd", "seconds", "joules", "samples"]
UNITS: Final[tuple[str, ...]] = get_args(Unit)


class UnitTraits(NamedTuple):
    """What sets a unit apart for those who do not price.

    Attributes
    ----------
    one : str
        One of it, in words.
    additive : bool
        The cost of a run is the sum of the costs of its samples and of sending its prompts.
    """

    one: str
    additive: bool = True


UNIT_TRAITS: Final[Mapping[str, UnitTraits]] = MappingProxyType(
    {
        "output_tokens": UnitTraits("output token"),
        "total_tokens": UnitTraits("token"),
        "flops": UnitTraits("FLOP"),
        "usd": UnitTraits("dollar"),
        "seconds": UnitTraits("second", additive=False),
        "joules": UnitTraits("joule"),
        "samples": UnitTraits("sample"),
    }
)


def check_unit(unit: str) -> Unit:
    """Return `unit`, or raise `UnknownUnitError` with the allowed ones.

    Examples
    --------
    >>> check_unit("samples")
    'samples'
    """
    check_choice("unit", unit, UNITS, error=UnknownUnitError)
    return cast(Unit, unit)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A limit on what a batch of prompts may cost.

    Parameters
    ----------
    limit : float
        Finite and above 0, in `unit`.
    unit : str
        One of `UNITS`.
    scope : {"prompt", "batch"}
        ``"prompt"``: `limit` is the *average* per prompt over the batch; ``"batch"``: the total.
    max_per_prompt : float, optional
        Hard cap that no single plan exceeds, in `unit`.

    Raises
    ------
    InvalidBudgetError, UnknownUnitError
        When a field is not as described.

    Examples
    --------
    >>> Budget(limit=4000, unit="output_tokens", scope="prompt").total(n_prompts=10)
    40000.0
    """

    limit: float
    unit: Unit
    scope: Literal["prompt", "batch"] = "prompt"
    max_per_prompt: float | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)
        check_choice("scope", self.scope, ("prompt", "batch"), error=InvalidBudgetError)
        check_number("limit", self.limit, "above 0", error=InvalidBudgetError)
        check_number(
            "max_per_prompt", self.max_per_prompt, "above 0", optional=True, error=InvalidBudgetError
        )

    def total(self, *, n_prompts: int) -> float:
        """Return the limit for a whole batch of `n_prompts`, in `unit`."""
        return float(self.limit) * (n_prompts if self.scope == "prompt" else 1)
