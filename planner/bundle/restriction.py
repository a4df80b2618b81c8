"""Cut a bundle down to the generators that a user has, so that no plan needs another one.

It assumes that names mean the same as in training; where their settings differ from those of training, a
warning says what may not hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from difficulty.errors import UnknownGeneratorError
from difficulty.generator import Generator
from planner.bundle.policy_bundle import PolicyBundle


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
                f"{', '.join(changed)}: its expected accuracy and cost may not hold; collect a log with the "
                "new settings and train again",
                UserWarning,
                stacklevel=3,
            )
    deployed = bundle.deployed & np.array([set(c.generators) <= set(known) for c in bundle.table.courses])
    if not deployed.any():
        raise UnknownGeneratorError(
            f"the deployed policy uses none of {', '.join(known)}; train on a log of these generators alone"
        )
    answering = bundle.answering
    if answering is not None:
        kept = [
            way
            for way, column in enumerate(answering.columns.tolist())
            if column < 0 or set(bundle.table.courses[column].generators) <= set(known)
        ]
        answering = answering.take(np.array(kept, dtype=np.intp))
    return replace(
        bundle,
        answering=answering,
        generators={**bundle.generators, **{n: generators[n] for n in known}},
        deployed=deployed,
    )
