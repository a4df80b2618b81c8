"""What a client may say about the planning of its request: in the body key ``planner``, or in headers.

Names and units are those of the documentation; what is not known is refused and named. Nothing here can name
an address or raise a limit that the operator has set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from planner.serving.fields import wrong
from planner.serving.refusal import Refusal
from policies.cost.budget import UNITS

_HEADERS: Final = {"mode": str, "budget": float, "unit": str, "price": float}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one request; None where the client leaves them to the operator.

    Parameters
    ----------
    mode : {"plan", "off"}, optional
        ``"off"`` passes the request through.
    budget : float, optional
        The most that the request may cost, above 0, in `unit`.
    unit : str, optional
        Of the budget; the bundle's by default.
    price : float, optional
        Value that a unit of cost must bring, at least 0.
    target_accuracy : float, optional
        Expected accuracy that is to be reached at least cost, in (0, 1].
    max_samples : int, optional
        The most samples, at least 1.
    deadline_seconds : float, optional
        Seconds after which the best answer so far is sent, above 0.
    explain : bool
        Whether the reason of the plan comes back in words.
    """

    mode: Literal["plan", "off"] | None = None
    budget: float | None = None
    unit: str | None = None
    price: float | None = None
    target_accuracy: float | None = None
    max_samples: int | None = None
    deadline_seconds: float | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in UNITS:
            raise wrong("planner.unit", f"one of {', '.join(UNITS)}", self.unit)
        for name, most in (("budget", 1e18), ("deadline_seconds", 1e6), ("target_accuracy", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise wrong(f"planner.{name}", f"above 0 and at most {most:g}", value)
        if self.price is not None and not 0 <= self.price <= 1e18:
            raise wrong("planner.price", "at least 0 and finite", self.price)
        if self.max_samples is not None and self.max_samples < 1:
            raise wrong("planner.max_samples", "at least 1", self.max_samples)
        aims = [name for name in ("budget", "price", "target_accuracy") if getattr(self, name) is not None]
        if len(aims) > 1:
            raise Refusal(400, f"give at most one of {', '.join(aims)}", param=f"planner.{aims[1]}")


def read_options(headers: Mapping[str, str], body: Mapping[str, Any]) -> Options:
    """Return the options of a request; what the body says goes before headers.

    Raises
    ------
    Refusal
        400, naming the field.

    Examples
    --------
    >>> read_options({"x-planner-price": "0.01"}, {"planner": {"max_samples": 4}}).max_samples
    4
    """
    given: dict[str, object] = {}
    for name, kind in _HEADERS.items():
        text = headers.get(f"x-planner-{name}")
        if text is None:
            continue
        try:
            given[name] = kind(text)
        except ValueError:
            raise Refusal(
                400, f"x-planner-{name} must be a number, got {text[:80]!r}", param=f"x-planner-{name}"
            ) from None
    inner = body.get("planner")
    if inner is not None:
        if not isinstance(inner, dict):
            raise Refusal(400, f"planner must be an object, got {type(inner).__name__}", param="planner")
        known = Options.__dataclass_fields__
        for name in inner:
            if name not in known:
                raise Refusal(
                    400, f"planner has no field {name[:80]!r}; it has {', '.join(known)}",
                    param=f"planner.{name[:80]}",
                )  # fmt: skip
        if any(inner.get(name) is not None for name in ("budget", "price", "target_accuracy")):
            given.pop("budget", None)
            given.pop("price", None)
        given |= inner
    try:
        return msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, Refusal):
            raise cause from None
        field = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else ""
        raise Refusal(400, f"planner: {error}", param=f"planner.{field}" if field else "planner") from None
