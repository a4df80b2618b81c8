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

from difficulty.arguments import check_number, check_whole
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from planner.bundle.policy_bundle import PolicyBundle
from planner.planning.cold_start import drawn_from, levels_of
from planner.planning.made_up import MadeUp
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, Beta, Evidence, Share, Success, Unanimous
from policies.plan.objective import GROUP_OBJECTIVES, Objective, check_objective
from policies.table.replay import replay

_MOST_SAMPLES: Final = 128
# Samples that are drawn one by one until any answers at all.
_FIRST_ANSWER: Final = 4
# Cap of the first level that looks for agreement: where answers never agree, it is all that is lost.
_FEW: Final = 6
_WINDOW: Final = 5
_CAPS: Final = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 100)
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


def cold_start(
    generators: Sequence[str],
    *,
    objective: Objective,
    output_tokens_per_sample: float,
    output_tokens: Mapping[str, float] | None = None,
    max_samples: int = 32,
) -> PolicyBundle:
    """Return the bundle to start from; plans draw from the first and the last generator.

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
    drawn = drawn_from(generators)
    made_up = MadeUp.of(len(drawn))
    recorded = made_up.recorded(max_samples)
    levels, static = _levels(drawn, max_samples, coverage=objective == "coverage")
    # Values are those of made-up generators, whatever their names.
    names = dict(zip(drawn, recorded.samples, strict=True))
    table = replay(recorded, [_of(course, names) for course in (*levels, *static)])
    own = dict(zip(names.values(), drawn, strict=True))
    slots = replace(table.slots, generator=tuple(own[name] for name in table.slots.generator))
    tokens = table.samples * np.array([lengths[name] for name in slots.generator], dtype=np.float32)
    table = replace(table, courses=(*levels, *static), slots=slots, output_tokens=tokens)
    right = recorded.samples[names[drawn[-1]]].correct[:, 0].sum(axis=1).astype(np.int64)
    return PolicyBundle(
        objective=objective,
        unit="output_tokens",
        generators={name: Generator(name=name) for name in generators},
        policy=levels_of(table, len(levels), np.full(len(table.value), 1 / len(table.value))),
        table=table,
        deployed=np.ones(len(table.courses), dtype=bool),
        references=ReferencePrompts(
            generators=tuple(generators),
            n=np.full((len(right), len(generators)), max_samples),
            n_correct=np.repeat(right[:, None], len(generators), axis=1),
            output_tokens=np.tile([float(lengths[name]) for name in generators], (len(table.value), 1)),
        ),
        prompt_tokens=np.full((len(table.value), len(generators)), np.nan),
        features=None,
        belief=None,
        prompt_token_fit=dict.fromkeys(generators, (0.0, 1 / _CHARACTERS_PER_TOKEN)),
        training={},
        made_up_levels=len(levels),
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
