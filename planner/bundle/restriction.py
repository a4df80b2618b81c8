"""Cut a bundle down to the generators that a user has, so that no plan needs another one.

It assumes that names mean the same as in training; where their settings differ from those of training, a
warning says what may not hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import fields, replace

import numpy as np

from difficulty.errors import UnknownGeneratorError
from difficulty.generator import Generator
from planner.bundle.policy_bundle import PolicyBundle
from policies.adaptive.table import AdaptiveTable

__all__ = ["restrict", "restricted_table"]


def restrict(bundle: PolicyBundle, generators: Mapping[str, Generator]) -> PolicyBundle:
    """Keep the allocations of the given generators, and warn where these are not those of training.

    Raises
    ------
    UnknownGeneratorError
        When the bundle, or what it deploys, knows none of them.
    """
    known = [name for name in bundle.generators if name in generators]
    if not known:
        raise UnknownGeneratorError(
            f"the bundle was trained on {', '.join(bundle.generators)}; none of "
            f"{', '.join(generators) or '(none)'} "
            "is among them; name your generators as in the log, or train on a log of yours"
        )
    for name in known:
        trained, given = bundle.generators[name], generators[name]
        changed = [f.name for f in fields(Generator) if getattr(trained, f.name) != getattr(given, f.name)]
        if changed:
            warnings.warn(
                f"generator {name!r} differs from the one that the bundle was trained on in "
                f"{', '.join(changed)}: its "
                "expected accuracy and cost may not hold; collect a log with the new settings and train "
                "again",
                UserWarning,
                stacklevel=3,
            )
    deployed = bundle.deployed & np.array([a.generator in known for a in bundle.curves.allocations])
    if not deployed.any():
        raise UnknownGeneratorError(
            f"the deployed policy uses none of {', '.join(known)}; train on a log of these generators alone"
        )
    return replace(
        bundle,
        generators={**bundle.generators, **{n: generators[n] for n in known}},
        deployed=deployed,
        adaptive=restricted_table(bundle.adaptive, known),
    )


def restricted_table(table: AdaptiveTable | None, generators: Collection[str]) -> AdaptiveTable | None:
    """Return the table without the moves that need other generators; None where no level is left.

    Reference prompts that took an option which is gone take the first that is left; how much one run of that
    varies is not known and taken to be as much as before.
    """
    if table is None:
        return None
    policy, routing = table.policy, table.policy.routing
    able = np.array([set(move.ladder.generators) <= set(generators) for move in policy.moves])
    if routing is None:
        usable = able[policy.choice]
        return replace(table, value=np.where(usable, table.value, np.nan)) if usable.any() else None
    value, cost = table.value.copy(), table.cost.copy()
    choice, taken = policy.choice.copy(), routing.taken.copy()
    options, columns = [], []
    for level, (moves, start) in enumerate(zip(routing.options, routing.starts.tolist(), strict=True)):
        left = [option for option, move in enumerate(moves) if able[move]]
        kept = left or [0]
        lost = ~np.isin(taken[:, level], kept)
        first = start + kept[0]
        value[lost, level], cost[lost, level] = routing.value[lost, first], routing.cost[lost, first]
        if not left:
            value[:, level] = np.nan
        number = np.zeros(len(moves), dtype=taken.dtype)
        number[kept] = np.arange(len(kept))
        taken[:, level] = np.where(lost, 0, number[taken[:, level]])
        choice[level] = moves[kept[0]]
        options.append(tuple(moves[option] for option in kept))
        columns += [start + option for option in kept]
    if np.isnan(value).all():
        return None
    fewer = replace(
        routing,
        options=tuple(options),
        value=routing.value[:, columns],
        cost=routing.cost[:, columns],
        taken=taken,
    )
    return replace(table, policy=replace(policy, choice=choice, routing=fewer), value=value, cost=cost)
