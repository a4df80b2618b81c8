"""What a route's settings leave no room for, in plain words, with the number that would do.

Said once, when the server starts: budgets that few requests, or few samples, fit into, and deadlines that
come before a sample can. It goes by what the bundle recorded, and knows nothing of how fast a server is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from difficulty.amounts import amount, number
from planner.running.till import Till
from planner.serving.payment import KeyLimit
from planner.serving.planning import Planning
from planner.serving.route_settings import RouteSettings
from policies.cost.usage import Usage

# Requests that a window should have money for: those of 20 and of 50 left 9 and 2 % without an answer, of 400
# none (notebooks/LOG.md, windows with money for few samples).
_REQUESTS: Final = 100
# Samples that should fit at a time at the most that each can cost; fewer are cut short.
_ABREAST: Final = 8
# Output tokens that a sample is held at before one was seen, where nobody caps it.
_UNCAPPED: Final = 16_384
# Output tokens a second of one sample: few servers are faster, and what many come to.
_FAST: Final = 200.0
_USUAL: Final = 50.0


def doubts_of(
    one: RouteSettings,
    planning: Planning,
    till: Till | None,
    keys: Mapping[str, KeyLimit],
    *,
    deadline_seconds: float,
) -> list[str]:
    """Return what can hardly work on a route, a sentence each.

    Parameters
    ----------
    one : RouteSettings
        What was set.
    planning : Planning
        How it plans.
    till : Till, optional
        Its budget per window.
    keys : mapping of str to KeyLimit
        What clients' keys may spend on it.
    deadline_seconds : float
        Longest time of one request.
    """
    # What is believed without a bundle is too broad to warn of.
    found = [] if one.bundle is None else _of_deadline(planning, deadline_seconds)
    if till is None and not keys:
        return found
    dearest, most = _dearest(planning)
    if till is not None:
        found += _of_window(one, till, dearest, most)
    for name, key in keys.items():
        if key.limit < most:
            found.append(
                f"the limit of key {name}, {amount(key.limit, planning.unit)}, is less than one sample of "
                f"{dearest} may cost ({number(most)}): its answers are cut short; at least "
                f"{_rounded_up(_ABREAST * most)} would do, or a lower cap on output (max_tokens)"
            )
    return found


def _of_window(one: RouteSettings, till: Till, dearest: str, most: float) -> list[str]:
    assert one.limit is not None and one.window is not None
    found, least, limit = [], till.least, amount(one.limit, till.unit)
    n = max(_REQUESTS, math.ceil(one.window)) if one.clock == "prompts" else _REQUESTS
    if one.bundle is not None and one.limit < n * least:
        found.append(
            f"{limit} a window pay {math.floor(one.limit / least)} requests at the least that plans are "
            f"expected to cost ({number(least)}): others are cut short or get no answer; a limit of at least "
            f"{_rounded_up(n * least)} would do, which pays {n}; with a longer window it is spent no faster"
        )
    if one.limit < _ABREAST * most:
        found.append(
            f"{limit} a window hold {math.floor(one.limit / most)} samples of {dearest} at the most "
            f"that each may cost ({number(most)}): others wait or are cut short; a limit of at least "
            f"{_rounded_up(_ABREAST * most)} would do, or a lower cap on output (max_tokens)"
        )
    return found


def _of_deadline(planning: Planning, seconds: float) -> list[str]:
    table = planning.planner.bundle.table
    means = {}
    for name in planning.sources:
        mine = np.array([slot == name for slot in table.slots.generator])
        tokens, samples = table.output_tokens[:, mine], table.samples[:, mine]
        known = ~np.isnan(tokens) & (samples > 0)
        if known.any():
            means[name] = float(tokens[known].sum() / samples[known].sum())
    shortest = min(means, key=lambda name: means[name], default=None)
    mean = 0.0 if shortest is None else means[shortest]
    if mean <= _FAST * seconds:
        return []
    return [
        f"a sample of {shortest} has {number(mean)} output tokens on average: to come before the deadline of "
        f"{number(seconds)} s its server must write {number(mean / seconds)} a second, which few do; at "
        f"{_USUAL:g} a second deadline_seconds = {math.ceil(mean / _USUAL)} would do"
    ]


def _dearest(planning: Planning) -> tuple[str, float]:
    """Return the generator whose samples may cost most, and how much."""
    model, generators = planning.cost_model, planning.planner.bundle.generators

    def most(name: str) -> float:
        tokens = generators[name].max_output_tokens or _UNCAPPED
        return model.price(Usage(samples=1, requests=1, output_tokens=tokens), name)

    name = max(planning.sources, key=most)
    return name, most(name)


def _rounded_up(value: float) -> str:
    """Write a number, three digits, rounded up."""
    digits = 2 - math.floor(math.log10(value))
    return number(math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits)
