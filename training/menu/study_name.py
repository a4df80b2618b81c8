"""Name an Optuna study by all that decides the scores of its trials, so that only equal ones resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from difficulty.features.own_features import PromptReader
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from training.menu.learned_verifiers import LearnedVerifiers


def study_name(
    log: SampleLog,
    *,
    objective: str,
    unit: str,
    seed: int,
    verifiers: LearnedVerifiers,
    cost_model: CostModel | None = None,
    hidden_states: PromptReader | None = None,
) -> str:
    """Return the name that the studies of a training run share, behind what each is for.

    Parameters
    ----------
    log : SampleLog
        All that was given to `train`.
    objective, unit, seed
        As in `train`.
    verifiers : LearnedVerifiers
        What they add to the menu.
    cost_model, hidden_states
        As given to `train`: other prices and other features are other studies.

    Examples
    --------
    >>> from training.simulated.log import simulated_log
    >>> name = study_name(simulated_log(3), objective="accuracy", unit="samples", seed=0,
    ...                   verifiers=LearnedVerifiers({}, {}, {}, {}))
    >>> name.partition("-")[2]
    'accuracy-samples-0-unjudged'
    """
    parts = [log.digest[:16], objective, unit, str(seed), _judged(verifiers)]
    if cost_model is not None:
        prices = {item.name: getattr(cost_model, item.name) for item in fields(cost_model)} | {"unit": unit}
        plain = {key: dict(item) if isinstance(item, Mapping) else item for key, item in prices.items()}
        parts.append(f"priced-{_short(plain)}")
    if hidden_states is not None:
        parts.append(f"hidden-{_short(hidden_states.description())}")
    return "-".join(parts)


def _judged(verifiers: LearnedVerifiers) -> str:
    if not verifiers.offered:
        return "unjudged"
    # Where one is offered, ladders may be judged by all of them.
    return f"judged-{_short([sorted(verifiers.offered.items()), sorted(verifiers.cross_fitted)])}"


def _short(told: Any) -> str:
    """Return eight hexadecimal digits that stand for a value."""
    import msgspec

    return hashlib.sha256(json.dumps(msgspec.to_builtins(told), sort_keys=True).encode()).hexdigest()[:8]
