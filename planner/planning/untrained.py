"""A bundle that knows nothing of your prompts: the stop rules that people ship, as levels of one frontier.

It assumes that right answers agree and wrong ones scatter, with a chance of success spread evenly in
log-odds, and that generators are named from the cheapest to the strongest. No stop rule is best on every
log (`notebooks/LOG.md`, 2026-11-29), so each is a level, and budgets between two are met by mixing; the first
log replaces all of it (`training.train`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number, check_whole
from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from policies.choice.course_policy import CoursePolicy
from policies.choice.telling import Telling
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, Beta, Evidence, Share, Success, Unanimous
from policies.plan.objective import GROUP_OBJECTIVES, Objective, check_objective
from policies.solver.hull import upper_hull
from policies.table.recorded import Recorded
from policies.table.replay import replay

_N_PROMPTS: Final = 240
_WRONG_ANSWERS: Final = 8
_SCATTER: Final = 0.3
_ABSTAINS: Final = 0.03
# Log-odds by which the strongest generator is better than the cheapest.
_STRONGER: Final = 1.0
_SEED: Final = 20
_MOST_SAMPLES: Final = 128
_N_ORDERS: Final = 12
# Samples that are drawn one by one until any answers at all.
_FIRST_ANSWER: Final = 4
# Cap of the first level that looks for agreement: where answers never agree, it is all that is lost.
_FEW: Final = 6
_WINDOW: Final = 5
_CAPS: Final = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 100)
# What the dearest level is told to be worth more than made-up prompts say, so that no level is left out.
_BENT: Final = 0.002
# Of English text, in the usual vocabularies.
_CHARACTERS_PER_TOKEN: Final = 4


def shipped_rules(generators: Sequence[str], *, max_samples: int) -> dict[str, Course]:
    """Return the stop rules that others ship, at their own numbers, by what they are known as.

    Parameters
    ----------
    generators : sequence of str
        The one that they draw, or the cheapest and the strongest one for the rule that needs two.
    max_samples : int
        Cap on the samples of one generator, at least 2.

    References
    ----------
    Aggarwal et al. 2023, arXiv 2305.11860 (Adaptive-Consistency, Beta criterion at .95). Li et al. 2024,
    arXiv 2401.10480 (early-stopping self-consistency, windows of 5). its_hub (doubling until 75 % agree).
    zen-router (two cheap samples agree, else a strong one decides).

    Examples
    --------
    >>> print(shipped_rules(["small", "large"], max_samples=8)["two agree, else strong"])
    small x1 2 times, large x1; vote of the last generator; until 2 agree
    """
    first, last = generators[0], generators[-1]
    singly = waves(last, (1,) * max_samples)
    doubling = [2]
    while sum(doubling) < max_samples:
        doubling.append(min(sum(doubling), max_samples - sum(doubling)))
    rules = {
        f"{k} agree": Course(steps=singly, stop=Agreement(count=k)) for k in (2, 3, 4) if k <= max_samples
    }
    if max_samples >= 2 * _WINDOW:
        windows = waves(last, (_WINDOW,) * (max_samples // _WINDOW))
        rules["ESC"] = Course(steps=windows, stop=Unanimous(window=_WINDOW))
    rules["Adaptive-Consistency"] = Course(steps=singly, stop=Beta(threshold=0.95))
    rules["doubling until 75 % agree"] = Course(steps=waves(last, tuple(doubling)), stop=Share(share=0.75))
    if first != last:
        rules["two agree, else strong"] = Course(
            steps=waves(first, (1, 1)) + waves(last, (1,)),
            stop=Agreement(count=2),
            selection=Selection(pooled=False),
        )
    return rules


def untrained_bundle(
    generators: Sequence[str],
    *,
    objective: Objective,
    output_tokens_per_sample: float,
    output_tokens: Mapping[str, float] | None = None,
    max_samples: int = 32,
) -> PolicyBundle:
    """Return the bundle; plans draw from the first and the last generator.

    Parameters
    ----------
    generators : sequence of str
        At least one, from the cheapest to the strongest.
    objective : {"accuracy", "coverage"}
        Votes, or first success where a checker is available.
    output_tokens_per_sample : float
        Assumed length of a completion.
    output_tokens : mapping of str to float, optional
        The same of generators whose completions are of another length.
    max_samples : int
        Cap on the samples of one generator, 1 to 128.

    Raises
    ------
    InvalidInputError
        When no generator is named, one is named twice, a number is out of range, or nothing can be planned
        for the objective without a log.
    """
    _check_objective(objective)
    _check(generators, output_tokens_per_sample, output_tokens or {}, max_samples)
    lengths = {name: (output_tokens or {}).get(name, output_tokens_per_sample) for name in generators}
    drawn = tuple(dict.fromkeys((generators[0], generators[-1])))
    log = _made_up(len(drawn), max_samples)
    levels, static = _levels(drawn, max_samples, coverage=objective == "coverage")
    # Values are those of made-up generators, whatever their names.
    names = dict(zip(drawn, log.generators, strict=True))
    table = replay(
        Recorded.of(log, n_orders=_N_ORDERS), [_of(course, names) for course in (*levels, *static)]
    )
    slots = table.slots
    tokens = table.samples * np.array(
        [lengths[drawn[list(log.generators).index(name)]] for name in slots.generator], dtype=np.float32
    )
    named = replace(slots, generator=tuple(drawn[list(log.generators).index(n)] for n in slots.generator))
    table = replace(table, courses=(*levels, *static), slots=named, output_tokens=tokens)
    value = table.value.mean(axis=0, dtype=float)
    cost = slots.total(tokens.mean(axis=0, dtype=float)[None], len(table.courses))[0]
    kept, told = _concave(value[: len(levels)], cost[: len(levels)])
    prices = _prices(told, cost[kept])
    references = np.ones((1, len(generators)), dtype=np.int64)
    counts = log.counts()
    return PolicyBundle(
        objective=objective,
        unit="output_tokens",
        generators={name: Generator(name=name) for name in generators},
        policy=CoursePolicy(
            prices=prices,
            offered=kept[:, None] == np.arange(len(table.courses)),
            telling=replace(Telling.plain(len(kept)), offset=told - value[kept]),
        ),
        table=table,
        deployed=np.isin(np.arange(len(table.courses)), [*kept, *range(len(levels), len(table.courses))]),
        references=ReferencePrompts(
            generators=tuple(generators),
            n=counts.n[:, -1:] * references,
            n_correct=counts.n_correct[:, -1:] * references,
            output_tokens=np.tile([lengths[name] for name in generators], (_N_PROMPTS, 1)),
        ),
        prompt_tokens=np.full((_N_PROMPTS, len(generators)), np.nan),
        features=None,
        belief=None,
        prompt_token_fit=dict.fromkeys(generators, (0.0, 1 / _CHARACTERS_PER_TOKEN)),
        training={},
    )


def _check_objective(objective: str) -> None:
    """Refuse objectives that need a log, or rollouts."""
    check_objective(objective)
    if objective == "reward":
        raise InvalidInputError(
            "what rewards look like is not known without a log: train(log, objective='reward') on one "
            "that records them, or plan for accuracy"
        )
    if objective in GROUP_OBJECTIVES:
        raise InvalidInputError(
            f"there is nothing to tell prompts apart by before the first rollouts ({objective}): "
            "GroupPlanner.start(n_prompts) in policies.groups.group_planner learns from them as it goes"
        )


def _check(generators: Sequence[str], length: float, lengths: Mapping[str, float], most: int) -> None:
    if not generators or len(set(generators)) < len(generators):
        raise InvalidInputError(f"name at least one generator, and none twice; got {list(generators)}")
    unknown = sorted(set(lengths) - set(generators))
    if unknown:
        raise InvalidInputError(
            f"output_tokens names {', '.join(unknown)}; the generators are {', '.join(generators)}"
        )
    for value in (length, *lengths.values()):
        check_number("an assumed length", value, "above 0")
    check_whole("max_samples", most, least=1)
    if not 1 <= most <= _MOST_SAMPLES:
        raise InvalidInputError(f"max_samples must be 1 to {_MOST_SAMPLES}, got {most}")


def _levels(generators: Sequence[str], most: int, *, coverage: bool) -> tuple[list[Course], list[Course]]:
    """Return the courses that are on offer, and more that decide everything beforehand."""
    first, last = generators[0], generators[-1]
    caps = [1, *(cap for cap in _CAPS if cap < most), *([most] if most > 1 else [])]
    if coverage:
        checked = Selection(by="first_success")
        levels = [Course(steps=waves(first, (1,) * cap), selection=checked, stop=Success()) for cap in caps]
        if last != first:
            for cap in caps:
                steps = waves(first, (1,) * most) + waves(last, (1,) * cap)
                levels.append(Course(steps=steps, selection=checked, stop=Success()))
        static = [Course(steps=waves(last, (cap,)), selection=checked) for cap in caps[1:]]
        return levels, static
    levels = [Course(steps=waves(name, (1,))) for name in dict.fromkeys((first, last))]
    static = [Course(steps=waves(last, (cap,))) for cap in caps[1:]]
    if most > 1:
        answered = Course(steps=waves(last, (1,) * min(most, _FIRST_ANSWER)), stop=Agreement(count=1))
        few = Course(steps=waves(last, (1,) * min(most, _FEW)), stop=Agreement(count=2))
        rules = [few, *shipped_rules(generators, max_samples=most).values()]
        levels += [answered, *map(_at_once, rules), static.pop()]
    return list(dict.fromkeys(levels)), static


def _at_once(course: Course) -> Course:
    """Return a course whose first wave is the least that its rule can stop at: the same in fewer requests."""
    least = 1
    while least < course.n and not course.stop.enough(Evidence(least, least, least, 0, least, 0, -math.inf)):
        least += 1
    name, sizes = course.steps[0].generator, [step.n for step in course.steps]
    if len(course.generators) > 1 or sizes[0] >= least:
        return course
    first = 0
    while sum(sizes[:first]) < least:
        first += 1
    return replace(course, steps=waves(name, (sum(sizes[:first]), *sizes[first:])))


def _of(course: Course, names: Mapping[str, str]) -> Course:
    """Return a course with other names of its generators."""
    return replace(
        course, steps=tuple(replace(step, generator=names[step.generator]) for step in course.steps)
    )


def _concave(value: FloatArray, cost: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the levels in order of cost, and what they are told to be worth: on their hull, slightly bent.

    Made-up prompts cannot tell which rule is best at which cost, so that none of them is left out but those
    that cost no less than another and are worth less than the cheapest.
    """
    order = np.argsort(cost, kind="stable")
    kept = order[np.concatenate([[True], np.diff(cost[order]) > 1e-9 * cost[order][:-1]])]
    hull = kept[upper_hull(value[None, kept], cost[None, kept])[0]]
    first = int(np.flatnonzero(kept == hull[0])[0])
    kept = kept[first:]
    whole = np.interp(cost[kept], cost[hull], value[hull])
    share = np.log(cost[kept] / cost[kept[0]]) / max(float(np.log(cost[kept[-1]] / cost[kept[0]])), 1e-12)
    return np.asarray(kept), (whole + _BENT * share).clip(0.0, 1.0)


def _prices(told: FloatArray, cost: FloatArray) -> FloatArray:
    """Return falling prices at each of which one level is best."""
    slopes = np.diff(told) / np.diff(cost)
    if not len(slopes):
        return np.array([1 / max(float(cost[0]), 1e-12)])
    between = np.sqrt(slopes[:-1] * slopes[1:])
    return np.concatenate([[2 * slopes[0]], between, [slopes[-1] / 2]])


def _made_up(n_generators: int, n_samples: int) -> SampleLog:
    """Return a log of made-up prompts, the last generator stronger than the first."""
    rng = np.random.default_rng(_SEED)
    log_odds = rng.uniform(-4, 4, _N_PROMPTS)
    spread = rng.dirichlet(np.full(_WRONG_ANSWERS, _SCATTER), _N_PROMPTS)
    records = []
    for number in range(n_generators):
        gained = _STRONGER * (number - (n_generators - 1) / 2)
        for row, odds in enumerate(log_odds + gained):
            right = rng.random(n_samples) < 1 / (1 + np.exp(-odds))
            wrong = rng.choice(_WRONG_ANSWERS, size=n_samples, p=spread[row])
            silent = rng.random(n_samples) < _ABSTAINS
            samples = [
                {"answer": "right" if ok else None if mute else f"wrong {w}", "correct": bool(ok)}
                for ok, w, mute in zip(right, wrong, silent, strict=True)
            ]
            records.append({"prompt_id": str(row), "generator": f"made up {number}", "samples": samples})
    return SampleLog.from_records(
        records, {f"made up {n}": Generator(name=f"made up {n}") for n in range(n_generators)}
    )
