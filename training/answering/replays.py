"""Play courses on recorded samples one prompt at a time, and keep what each draw said.

The table keeps means over many orders; here the evidence of single plays is wanted, as it will be found at
run time. Rules and selections are those of the runner (`policies.course`). Courses of samples only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.answering.evidence import Given
from policies.course.course import Course
from policies.course.decide import Draw, decide
from policies.course.selection import LOGPROB, NO_SIGNAL
from policies.course.stop import Never
from policies.course.tally import Tally
from policies.table.ordered import OrderedSamples
from policies.table.reading import REWARD_MODEL
from policies.table.recorded import Recorded


class Play(NamedTuple):
    """One play of a course on a prompt.

    Attributes
    ----------
    given : list of Given
        What was drawn.
    selected : object, optional
        The answer; None where there is none.
    right : float
        Share of recorded samples with this answer that are correct, in [0, 1].
    """

    given: list[Given]
    selected: object | None
    right: float


def playable(course: Course, recorded: Recorded) -> bool:
    """Return whether a course can be played: samples only, picked by votes or by a recorded signal."""
    if course.selection.by == "first_success" or any(step.kind != "sample" for step in course.steps):
        return False
    signal = course.selection.signal
    return all(
        name in recorded.samples and (signal == NO_SIGNAL or signal in recorded.samples[name].signals)
        for name in course.generators
    )


def play(recorded: Recorded, course: Course, row: int, order: int, rng: np.random.Generator) -> Play | None:
    """Play a course on the prompt of a row, in one of its orders; None where it lacks samples."""
    for name in course.generators:
        if recorded.samples[name].n[row] < sum(step.n for step in course.steps if step.generator == name):
            return None
    tally, given, draws, rights = Tally(course.selection), list[Given](), list[Draw](), list[float]()
    used = dict.fromkeys(course.generators, 0)
    signal = course.selection.signal
    best = -math.inf
    for at, step in enumerate(course.steps):
        samples = recorded.samples[step.generator]
        for _ in range(step.n):
            place = used[step.generator]
            used[step.generator] += 1
            one, right = _sample(samples, step.generator, row, order, place, scored=signal == REWARD_MODEL)
            reads = None
            if signal != NO_SIGNAL and one.answer is not None:
                reads = float(samples.signals[signal][row, order, place])
                best = max(best, reads)
            answer = None if one.answer is None else str(one.answer)
            tally.add(step.generator, answer)
            given.append(one)
            draws.append(Draw(step.generator, answer, reads))
            rights.append(right)
        last = at + 1 == len(course.steps)
        if not last and not isinstance(course.stop, Never) and course.stop.enough(tally.evidence(best=best)):
            break
    tied = decide(course.selection, draws).tied
    if not tied:
        return Play(given, None, 0.0)
    won = tied[0] if len(tied) == 1 else tied[int(rng.integers(len(tied)))]
    return Play(given, given[won].answer, rights[won])


def _sample(
    samples: OrderedSamples, name: str, row: int, order: int, place: int, *, scored: bool
) -> tuple[Given, float]:
    """Return a sample as it will be known when serving: nobody scores what no course asks a score of."""
    code = int(samples.answer[row, order, place])
    tokens = float(samples.output_tokens[row, order, place])
    signals = {key: float(values[row, order, place]) for key, values in samples.signals.items()}
    one = Given(
        generator=name,
        answer=None if code < 0 else code,
        mean_logprob=signals.get(LOGPROB),
        score=signals.get(REWARD_MODEL) if scored else None,
        output_tokens=None if math.isnan(tokens) else tokens,
    )
    return one, float(samples.right[row, order, place])
