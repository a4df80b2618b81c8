"""Adaptive policies as plain data for a bundle, and back: names and numbers, nothing that executes.

Each rule is its class name and its fields; arrays become nested lists of numbers, except what a routing holds
for each reference prompt, which is large and stays in arrays. Unknown names and fields are refused. Where the
data is kept, and its checksum, is left to `planner.bundle`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weight_spec import PolicySpec
from difficulty.errors import InvalidBundleError, InvalidInputError
from policies.adaptive.policy import AdaptivePolicy, Move
from policies.adaptive.routing import Routing
from policies.ladder import stop_rules
from policies.ladder.ladder import Ladder, SampleScale, Wave
from policies.ladder.stop_rule import StopRule
from policies.ladder.value_rule import ValueRule

__all__ = ["SCHEMA", "from_plain", "routing_arrays", "to_plain"]

SCHEMA: Final = 5
# Schema 1 had no `futility` in learned rules, schema 2 no `logprob_weights` in ladders, schema 3 no
# `chance_weight`, schema 4 no `routing`; the defaults are what they did.
_READS: Final = (1, 2, 3, 4, SCHEMA)
_WEIGHTS: Final = ("weights", "logprob_weights")
# Coefficients and thresholds beyond this are not learned ones; they would only overflow.
_MAX_NUMBER: Final = 1e12
_WIDTHS: Final = ("level_bandwidth", "deviation_bandwidth", "floor", "shrinkage")
_RULES: Final[Mapping[str, type]] = {
    "ValueRule": ValueRule,
    **{name: getattr(stop_rules, name) for name in stop_rules.__all__},
}


def to_plain(policy: AdaptivePolicy) -> dict[str, Any]:
    """Return a policy as lists, dicts, strings and numbers, ready for JSON.

    Raises
    ------
    InvalidInputError
        When a rule is not one of ours.

    Examples
    --------
    >>> ladder = Ladder(waves=(Wave(generator="tiny"), Wave(generator="tiny", n=2)))
    >>> policy = AdaptivePolicy(
    ...     moves=(Move(ladder=ladder, rule=stop_rules.Agreement(count=2)),), prices=np.array([0.1]),
    ...     choice=np.array([0]), scales={"tiny": SampleScale()})
    >>> from_plain(to_plain(policy)).moves[0].rule
    Agreement(count=2, share=0.0)
    """
    return {
        "adaptive_policy": SCHEMA,
        "prices": policy.prices.tolist(),
        "choice": policy.choice.tolist(),
        "scales": {name: _fields(scale) for name, scale in sorted(policy.scales.items())},
        "moves": [{"ladder": _ladder(move.ladder), "rule": _rule(move.rule)} for move in policy.moves],
        "routing": None
        if policy.routing is None
        else {"options": policy.routing.options, "belief": _widths(policy.routing.belief)},
    }


def routing_arrays(policy: AdaptivePolicy) -> dict[str, NDArray[Any]]:
    """Return what the policy's routing knows of T reference prompts; empty without a routing."""
    routing = policy.routing
    if routing is None:
        return {}
    return {"value": routing.value, "cost": routing.cost, "taken": routing.taken}


def from_plain(data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> AdaptivePolicy:
    """Return the policy that `to_plain` wrote.

    Parameters
    ----------
    data : mapping
        What `to_plain` returned.
    arrays : mapping of str to ndarray, optional
        What `routing_arrays` returned.

    Raises
    ------
    InvalidBundleError
        When the data is of another schema, or a name, field or number in it is not as written.
    """
    if data.get("adaptive_policy") not in _READS:
        raise InvalidBundleError(
            f"this adaptive policy has schema {data.get('adaptive_policy')!r}, and {_READS} are read here; "
            "train the bundle again, or read it with the version that wrote it"
        )
    try:
        return AdaptivePolicy(
            moves=tuple(
                Move(ladder=_read_ladder(move["ladder"]), rule=_read_rule(move["rule"]))
                for move in data["moves"]
            ),
            prices=np.array(data["prices"], dtype=np.float64),
            choice=np.array(data["choice"], dtype=np.int64),
            scales={name: SampleScale(**scale) for name, scale in data["scales"].items()},
            routing=_read_routing(data.get("routing"), arrays or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidBundleError(
            f"this adaptive policy cannot be read: {error}; train the bundle again"
        ) from error


def _widths(belief: PolicySpec) -> dict[str, float]:
    """Return what a kernel needs to know."""
    return {name: getattr(belief, name) for name in _WIDTHS}


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, arrays as lists."""
    plain = {item.name: getattr(value, item.name) for item in fields(value)}
    return {
        name: item.tolist() if isinstance(item, np.ndarray | np.generic) else item
        for name, item in plain.items()
    }


def _read_routing(data: Mapping[str, Any] | None, arrays: Mapping[str, NDArray[Any]]) -> Routing | None:
    if data is None:
        if arrays:
            raise InvalidInputError("arrays of a routing are there, and no routing")
        return None
    if set(data) != {"options", "belief"}:
        raise InvalidInputError(f"a routing has options and a belief, got {sorted(data)}")
    options = msgspec.convert(data["options"], tuple[tuple[int, ...], ...])
    widths = msgspec.convert(data["belief"], dict[str, float])
    if set(widths) != set(_WIDTHS):
        raise InvalidInputError(f"the belief of a routing has {_WIDTHS}, got {sorted(widths)}")
    level, deviation, floor, shrinkage = (widths[name] for name in _WIDTHS)
    belief = PolicySpec(
        family="kernel",
        level_bandwidth=level,
        deviation_bandwidth=deviation,
        floor=floor,
        shrinkage=shrinkage,
    )
    return Routing(options=options, belief=belief, **arrays)


def _ladder(ladder: Ladder) -> dict[str, Any]:
    return {
        "waves": [[wave.generator, wave.n] for wave in ladder.waves],
        "weights": dict(ladder.weights),
        "pooled": ladder.pooled,
        "logprob_weight": ladder.logprob_weight,
        "logprob_weights": dict(ladder.logprob_weights),
        "chance_weight": ladder.chance_weight,
    }


def _read_ladder(data: Mapping[str, Any]) -> Ladder:
    pairs = msgspec.convert(data["waves"], list[tuple[str, int]])
    plain = Ladder(waves=tuple(Wave(generator=generator, n=n) for generator, n in pairs))
    changes = {key: item for key, item in data.items() if key != "waves"}
    found = _checked(plain, changes, but=_WEIGHTS)
    found |= {key: msgspec.convert(changes[key], dict[str, float]) for key in _WEIGHTS if key in changes}
    return replace(plain, **found)


def _rule(rule: StopRule) -> dict[str, Any]:
    name = type(rule).__name__
    if _RULES.get(name) is not type(rule):
        raise InvalidInputError(f"rules that can be saved are {', '.join(sorted(_RULES))}; got {name}")
    plain = _fields(rule)
    # JSON has no infinity; None stands for "never".
    plain = {key: None if item == float("inf") else item for key, item in plain.items()}
    return {"name": name, **plain}


def _read_rule(data: Mapping[str, Any]) -> StopRule:
    values = {key: item for key, item in data.items() if key != "name"}
    kind = _RULES.get(str(data["name"]))
    if kind is None:
        raise InvalidInputError(f"rules are {', '.join(sorted(_RULES))}; got {data['name']!r}")
    if kind is ValueRule:
        arrays = {
            key: np.array(values[key], dtype=np.float64) for key in ("prices", "accuracy", "gain", "cost")
        }
        if not all((np.abs(array) <= _MAX_NUMBER).all() for array in arrays.values()):
            raise InvalidInputError(f"numbers of a learned rule must be finite and within ±{_MAX_NUMBER:g}")
        futility = msgspec.convert(values.pop("futility", True), bool)
        return ValueRule(**{**values, **arrays}, futility=futility)
    usual = kind()
    rule: StopRule = replace(
        usual,
        **_checked(usual, {key: float("inf") if item is None else item for key, item in values.items()}),
    )
    return rule


def _checked(usual: Any, values: Mapping[str, Any], *, but: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of a value that are like those of a usual one: numbers, words or truth values."""
    found = {}
    for key, item in values.items():
        if key in but:
            continue
        kind = type(getattr(usual, key))
        number = kind is float and type(item) in (int, float)
        if type(item) is not kind and not number:
            raise InvalidInputError(f"{key} must be of type {kind.__name__}, got {type(item).__name__}")
        if number and not (abs(item) <= _MAX_NUMBER or item == float("inf")):
            raise InvalidInputError(f"{key} must lie within ±{_MAX_NUMBER:g}, got {item!r}")
        found[key] = item
    return found
