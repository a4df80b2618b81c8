"""Give answers that are sure enough, and withhold the others: what a run does with a target of risk.

It reads what was drawn for each prompt and what its text promises, and says of answers that are not given
whether more samples may help. How sure is sure enough is left to `planner.planning.at_risk` or to a price of
errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from difficulty.arithmetic.arrays import FloatArray
from planner.ports.outcome import Outcome
from policies.answering.answering import Answering, Verdict
from policies.answering.evidence import Given, evidence_of
from policies.plan.plan import AllocationPlan
from policies.table.reading import REWARD_MODEL


def withhold(
    outcomes: Sequence[Outcome],
    plans: Sequence[AllocationPlan],
    answering: Answering,
    *,
    rates: FloatArray,
    least: float,
) -> list[Outcome]:
    """Return outcomes with confidence and verdict, their answers withheld where these are not sure enough.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of P prompts.
    plans : sequence of AllocationPlan
        What was carried out, as it was planned.
    answering : Answering
        What the bundle knows of being right.
    rates : ndarray of float64, shape (P, G)
        Success rates of one sample that the text promises of each generator of `answering.usual`, in order.
    least : float
        Least confidence of an answer that is given.
    """
    if not outcomes:
        return []
    names = list(answering.usual)
    rows = np.stack(
        [
            evidence_of(
                given_of(outcome, plan),
                outcome.answer,
                rates=dict(zip(names, row.tolist(), strict=True)),
                usual=answering.usual,
            )
            for outcome, plan, row in zip(outcomes, plans, rates, strict=True)
        ]
    )
    sure = answering.right.chance(rows).tolist()
    verdicts: list[Verdict] = [
        verdict if plan.draws else "unsolvable"
        for verdict, plan in zip(answering.verdict(rows, least), plans, strict=True)
    ]
    return [
        replace(outcome, confidence=one, verdict=verdict)
        if verdict == "answered"
        else replace(outcome, answer=None, text=None, confidence=one, verdict=verdict)
        for outcome, one, verdict in zip(outcomes, sure, verdicts, strict=True)
    ]


def given_of(outcome: Outcome, plan: AllocationPlan) -> list[Given]:
    """Return the samples that came back; generators follow from the course, in the order of asking."""
    course = plan.course
    sources = [] if course is None else [step.generator for step in course.steps for _ in range(step.n)]
    # What else stands in `score` is a probability, or what another verifier says: learned from neither.
    scored = course is not None and course.selection.signal == REWARD_MODEL
    given = []
    for place, one in enumerate(outcome.candidates):
        if one.status in ("ok", "truncated"):
            source = sources[place] if place < len(sources) else outcome.allocation.generator
            score = one.score if scored else None
            given.append(Given(source, one.answer, one.mean_logprob, score, float(one.output_tokens)))
    return given
