"""Put a bundle on its test bed: its courses, measured on test prompts and priced like its training prompts.

Only prompts on which the policy and the best static mix are both known are judged on. What is then played and
compared is left to `training.evaluate`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from planner.planning.expectation import Expectation, Lengths
from policies.cost.cost_model import CostModel
from policies.plan.objective import check_objective
from policies.table.table import CourseTable
from training.evaluation import baselines as base
from training.evaluation.bed import Measured, Subject, TestBed
from training.evaluation.measured import measure_courses

__all__ = ["Judged", "judge"]


class Judged(NamedTuple):
    """What is judged on.

    Attributes
    ----------
    bed : TestBed
        P prompts.
    log : SampleLog
        The same prompts.
    table : CourseTable
        Their courses as measured, with all usage.
    """

    bed: TestBed
    log: SampleLog
    table: CourseTable


def judge(planner: Planner, log: SampleLog, model: CostModel, *, seed: int = 0) -> Judged:
    """Measure a bundle's courses on the prompts of a log.

    Parameters
    ----------
    planner : Planner
        Holds the bundle.
    log : SampleLog
        Test prompts; those on which the policy or the best static mix is not known are left out.
    model : CostModel
        Prices a usage in the bundle's unit.
    seed : int
        Of orders and of estimates that draw.

    Raises
    ------
    InvalidInputError
        When no prompt is left.
    """
    bundle = planner.bundle
    tokens = {name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)}
    expectation = Expectation.of(bundle.table, model, Lengths(reference=tokens, fit=bundle.prompt_token_fit))
    subject = Subject(
        policy=bundle.policy,
        courses=bundle.table.courses,
        value=bundle.table.value.astype(np.float64),
        cost=bundle.table.cost(model, tokens).astype(np.float64),
        references=bundle.references,
        expectation=expectation,
    )
    table = measure_courses(
        log,
        subject.courses,
        objective=check_objective(bundle.objective),
        verifiers=bundle.verifiers,
        seed=seed,
    )
    bed = TestBed(
        subject=subject,
        prompts=log.prompts,
        measured=Measured.of(table, log, model),
        weights=planner.belief(log.prompts).weights,
    )
    known = bed.realise(bed.chosen()).known & base.static_mix(bed).known
    rows = np.flatnonzero(known)
    if not len(rows):
        raise InvalidInputError(
            f"no prompt of the test log has the samples of all that the bundle plans (generators "
            f"{', '.join(bundle.generators)}); evaluate on a log that was recorded like the training log"
        )
    if len(rows) == len(bed):
        return Judged(bed, log, table)
    return Judged(bed.take(rows), log.select([log.prompts[row].id for row in rows]), table.take(rows))
