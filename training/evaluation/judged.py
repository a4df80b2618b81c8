"""Put a bundle on its test bed: its courses, measured on test prompts and priced like its training prompts.

Only prompts on which the policy and the best static mix are both known are judged on. What is then played and
compared is left to `training.evaluate`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from planner.planning.expectation import Expectation, Lengths
from planner.planning.reading import Reading
from policies.cost.cost_model import CostModel
from policies.plan.objective import check_objective
from policies.table.table import CourseTable
from training.evaluation import baselines as base
from training.evaluation.bed import Measured, Subject, TestBed
from training.evaluation.measured import measure_courses
from training.policy import masks

# Below this share of the test prompts, courses that the log tells of few are given up to keep prompts.
_ENOUGH: Final = 0.5
# Of the test prompts: courses that fewer tell are given up, the mildest first.
_TOLD: Final = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


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
    planner : Planner
        Plans those courses.
    n_given_up : int
        Courses of the bundle that are not among them.
    """

    bed: TestBed
    log: SampleLog
    table: CourseTable
    planner: Planner
    n_given_up: int


def judge(planner: Planner, log: SampleLog, model: CostModel, *, seed: int = 0) -> Judged:
    """Measure a bundle's courses on the prompts of a log.

    Parameters
    ----------
    planner : Planner
        Holds the bundle.
    log : SampleLog
        Test prompts; those on which the policy or the best static mix is not known are left out. Where that
        would leave fewer than half, courses that few prompts tell are left out of both instead.
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
    table = measure_courses(
        log,
        bundle.table.courses,
        objective=check_objective(bundle.objective),
        verifiers=bundle.verifiers,
        seed=seed,
    )
    measured = Measured.of(table, log, model)
    belief = planner.belief(log.prompts)
    reader = planner.hidden_states if bundle.policy.reads_text else None
    bed = TestBed(
        subject=_subject(bundle, model),
        prompts=log.prompts,
        measured=measured,
        weights=belief.weights,
        # As plans do: familiarity alone is not worth a model's reading.
        familiarity=belief.familiarity if bundle.policy.reads_text or not planner.hidden_states else None,
        reading=Reading.of(log.prompts, reader, model).cost,
    )
    rows, columns = _known(bed), np.arange(len(bundle.table.courses))
    told = measured.told
    whole = set(bundle.generators) <= set(
        log.generators
    )  # a log of other generators is not judged on in part
    for share in _TOLD if whole else ():
        if len(rows) >= _ENOUGH * len(bed):
            break
        kept = np.flatnonzero(told >= share)
        if len(kept) == len(columns) or not masks.static([bundle.table.courses[at] for at in kept]).any():
            continue
        narrow = _over(bundle, kept, model)
        tried = replace(bed, subject=_subject(narrow, model), measured=measured.columns(kept))
        more = _known(tried)
        if len(more) > len(rows):
            bed, rows, columns, planner = tried, more, kept, replace(planner, bundle=narrow)
    if not len(rows):
        raise InvalidInputError(
            "no prompt of the test log has the samples of all that the bundle plans: the bundle draws from "
            f"{', '.join(bundle.generators)}, the log holds {', '.join(log.generators)}; evaluate on a log "
            "that was recorded like the training log, under the same names"
        )
    table = table.columns(columns)
    if len(rows) < len(bed):
        bed, table = bed.take(rows), table.take(rows)
        log = log.select([log.prompts[row].id for row in rows])
    return Judged(bed, log, table, planner, len(bundle.table.courses) - len(columns))


def _subject(bundle: PolicyBundle, model: CostModel) -> Subject:
    tokens = {name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)}
    return Subject(
        policy=bundle.policy,
        courses=bundle.table.courses,
        value=bundle.table.value.astype(np.float64),
        cost=bundle.table.cost(model, tokens).astype(np.float64),
        references=bundle.references,
        expectation=Expectation.of(
            bundle.table, model, Lengths(reference=tokens, fit=bundle.prompt_token_fit)
        ),
    )


def _known(bed: TestBed) -> NDArray[np.intp]:
    """Return the prompts on which the policy and the best static mix are known at every point."""
    return np.flatnonzero(bed.realise(bed.chosen()).known & base.static_mix(bed).known)


def _over(bundle: PolicyBundle, columns: NDArray[np.intp], model: CostModel) -> PolicyBundle:
    """Return a bundle over some of its courses; at a price that loses an offer the best for everybody of what
    is left stands in for it.
    """
    whole = _subject(bundle, model)
    offered = bundle.policy.offered[:, columns]
    mask = np.zeros(len(whole.courses), dtype=bool)
    mask[columns] = True
    for level in np.flatnonzero((bundle.policy.offered & ~mask).any(axis=1)):
        offered[level] |= columns == whole.best(mask, float(bundle.policy.prices[level]))
    return replace(
        bundle,
        table=bundle.table.columns(columns),
        policy=replace(bundle.policy, offered=offered),
        deployed=np.asarray(bundle.deployed[columns] | offered.any(axis=0)),
        answering=None,
        made_up_levels=int((columns < bundle.made_up_levels).sum()),
    )
