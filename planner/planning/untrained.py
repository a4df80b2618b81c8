"""A bundle that knows nothing of your prompts: known stop rules, valued on made-up prompts.

It assumes that right answers agree and wrong ones scatter, with a chance of success spread evenly in
log-odds. The first log replaces all of it (`training.train`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.course.course import Course, Selection, waves
from policies.course.stop import Agreement, Success
from policies.plan.objective import Objective
from policies.solver.hull import upper_hull
from policies.solver.prices import price_grid
from policies.table.recorded import Recorded
from policies.table.replay import replay

__all__ = ["untrained_bundle"]

_N_PROMPTS: Final = 240
_N_SAMPLES: Final = 32
_CAPS: Final = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
_WRONG_ANSWERS: Final = 5
_SEED: Final = 20
_N_PRICES: Final = 40
# Of English text, in the usual vocabularies.
_CHARACTERS_PER_TOKEN: Final = 4


def untrained_bundle(
    generators: Sequence[str], *, objective: Objective, output_tokens_per_sample: float
) -> PolicyBundle:
    """Return the bundle; plans draw from the first generator.

    Parameters
    ----------
    generators : sequence of str
        At least one.
    objective : {"accuracy", "coverage"}
        Votes, or first success where a checker is available.
    output_tokens_per_sample : float
        Assumed length of a completion.
    """
    name = generators[0]
    log, success = _made_up(name, output_tokens_per_sample)
    table = replay(Recorded.of(log, n_orders=6), _courses(name, objective == "coverage"))
    value, cost = table.value.mean(axis=0, dtype=float), table.samples.mean(axis=0, dtype=float)
    hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
    one_shot = np.array([course.one_shot for course in table.courses])
    static = np.flatnonzero(one_shot)
    kept = np.unique(np.concatenate([hull, static]))
    table, value, cost = table.columns(kept), value[kept], output_tokens_per_sample * cost[kept]
    prices = price_grid(value, cost, n_prices=_N_PRICES)
    best = (value - prices[:, None] * cost).argmax(axis=1)
    n_other = len(generators) - 1
    return PolicyBundle(
        objective=objective,
        unit="output_tokens",
        generators={each: Generator(name=each) for each in generators},
        policy=CoursePolicy(
            prices=prices,
            offered=best[:, None] == np.arange(len(kept)),
            telling=Telling.plain(len(prices)),
        ),
        table=table,
        deployed=np.ones(len(kept), dtype=bool),
        references=ReferencePrompts(
            generators=tuple(generators),
            n=np.repeat(log.counts().n, 1 + n_other, axis=1),
            n_correct=np.repeat(log.counts().n_correct, 1 + n_other, axis=1),
            output_tokens=np.full((len(success), 1 + n_other), output_tokens_per_sample),
        ),
        prompt_tokens=np.full((len(success), 1 + n_other), np.nan),
        features=None,
        belief=None,
        prompt_token_fit=dict.fromkeys(generators, (0.0, 1 / _CHARACTERS_PER_TOKEN)),
        training={},
    )


def _courses(name: str, coverage: bool) -> list[Course]:
    selection = Selection(by="first_success") if coverage else Selection()
    found = [Course(steps=waves(name, (1,)), selection=selection)]
    for cap in _CAPS:
        found.append(Course(steps=waves(name, (cap,)), selection=selection))
        cuts = {(1,) * cap, (2,) + (1,) * (cap - 2), (2,) * (cap // 2) + (1,) * (cap % 2)}
        for cut in sorted(cuts):
            if len(cut) < 2:
                continue
            if coverage:
                found.append(Course(steps=waves(name, cut), selection=selection, stop=Success()))
                continue
            found += [
                Course(steps=waves(name, cut), stop=Agreement(count=k)) for k in (2, 3, 4, 6, 8) if k < cap
            ]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=4)
def _made_up(name: str, tokens: float) -> tuple[SampleLog, np.ndarray]:
    """Return a log of made-up prompts, and their chances of success."""
    rng = np.random.default_rng(_SEED)
    success = 1 / (1 + np.exp(-rng.uniform(-4, 4, _N_PROMPTS)))
    records = []
    whole = max(round(tokens), 1)
    for row, chance in enumerate(success):
        right = rng.random(_N_SAMPLES) < chance
        spread = rng.dirichlet(np.ones(_WRONG_ANSWERS) / 2)
        wrong = rng.choice(_WRONG_ANSWERS, size=_N_SAMPLES, p=spread)
        samples = [
            {"answer": "right" if ok else f"wrong {w}", "correct": bool(ok), "output_tokens": whole}
            for ok, w in zip(right, wrong, strict=True)
        ]
        records.append({"prompt_id": str(row), "generator": name, "samples": samples})
    return SampleLog.from_records(records, {name: Generator(name=name)}), success
