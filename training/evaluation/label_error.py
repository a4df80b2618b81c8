"""How far labels are off on test prompts: what they say of a policy, what is so, and what they cost it.

Values by labels are mended by the prompts whose verdicts are known, with intervals that include the error.
Where all verdicts are known, what is lost by choosing with labels in place of them is told as well. How
labels come about is left to `training.labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.log.sample_log import SampleLog
from planner.bundle.label_doubt import label_doubt
from planner.bundle.policy_bundle import PolicyBundle
from training.evaluation.bed import Subject, TestBed
from training.evaluation.measured import measure_courses
from training.evaluation.promises import Planned
from training.frontier import interval, number
from training.labels.correction import Correction
from training.labels.labelled import labelled
from training.labels.rectify import careful_mean, rectified
from training.policy import masks

_FEWEST: Final = 5
# Share of test prompts with verdicts from which on policies are judged by these alone.
_GRADED: Final = 0.9


class LabelledTest(NamedTuple):
    """What stands for right and wrong: labels as the bundle was trained on, and verdicts as far as known."""

    by: str
    judged_by: str
    graded: SampleLog
    labelled: SampleLog
    doubt: str

    @classmethod
    def of(cls, bundle: PolicyBundle, log: SampleLog) -> LabelledTest | None:
        """Return the labels of a test log; None for a bundle that was trained on verdicts."""
        record = bundle.training.get("labels")
        if record is None:
            return None
        told = labelled(log, record["by"], correction=Correction.from_json(record["correction"])).log
        share = float((log.counts().n.sum(axis=1) > 0).mean())
        judged_by = "verdicts" if share >= _GRADED else record["by"]
        return cls(record["by"], judged_by, log.valued_by("correct"), told, label_doubt(record))

    @property
    def judging(self) -> SampleLog:
        """The log that policies are judged by."""
        return self.graded if self.judged_by == "verdicts" else self.labelled

    def table(
        self, bed: TestBed, kept: SampleLog, plans: Sequence[Planned], weights: FloatArray, seed: int
    ) -> dict[str, Any]:
        """Return how far labels are off on the prompts that are judged on."""
        ids = [prompt.id for prompt in kept.prompts]
        other = (self.labelled if self.judged_by == "verdicts" else self.graded).select(ids)
        value = np.full_like(bed.measured.value, np.nan)
        if other.values().n.any():
            value = measure_courses(other, bed.subject.courses, seed=seed).value.astype(np.float64)
        label, truth = value, bed.measured.value
        if self.judged_by != "verdicts":
            label, truth = truth, label
        groups = np.unique(np.array(kept.near_duplicates().groups), return_inverse=True)[1]
        return {
            "trained_by": self.by,
            "judged_by": self.judged_by,
            "doubt": self.doubt,
            "rows": label_rows(plans, label, truth, weights),
            "lost": lost_by_labels(bed.subject, label, truth, bed.measured.cost, groups, weights),
        }


def label_rows(
    plans: Sequence[Planned], label: FloatArray, truth: FloatArray, weights: FloatArray
) -> list[dict[str, Any]]:
    """Return what the plans of each budget are worth by labels and in truth, as JSON values.

    Parameters
    ----------
    plans : sequence of Planned
        Of the same P prompts.
    label, truth : ndarray of float64, shape (P, C)
        Values of the C courses by labels and by recorded verdicts; NaN where nobody knows.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.

    Returns
    -------
    list of dict
        Per budget ``"labels"``, what labels say over all prompts; ``"mended"`` with ``"interval"``, None
        where fewer than 5 prompts were graded; ``"n_graded"``; on these ``"off"``, by how much labels say
        more than verdicts, with ``"off_interval"``.
    """
    table = []
    for plan in plans:
        rows = np.arange(len(label))
        told, real = label[rows, plan.column], truth[rows, plan.column]
        kept = ~np.isnan(told)
        if not kept.any():
            continue
        told, real, by = told[kept], real[kept], weights[:, kept]
        graded = ~np.isnan(real)
        row: dict[str, Any] = {
            "budget": plan.budget,
            "labels": number(told.mean()),
            "n_prompts": len(told),
            "n_graded": int(graded.sum()),
            "mended": None,
            "interval": [None, None],
            "off": None,
            "off_interval": [None, None],
        }
        if graded.sum() >= _FEWEST:
            mended = rectified(told, real, by)
            ends = float(told[graded].mean()) - 1, float(told[graded].mean())
            off, (low, high) = careful_mean((told - real)[graded], by[:, graded], ends)
            row |= {
                "mended": number(mended.mean),
                "interval": [number(end) for end in mended.interval],
                "off": number(off),
                "off_interval": [number(low), number(high)],
            }
        table.append(row)
    return table


def lost_by_labels(
    subject: Subject,
    label: FloatArray,
    truth: FloatArray,
    cost: FloatArray,
    groups: NDArray[np.intp],
    weights: FloatArray,
) -> dict[str, Any]:
    """Return what choosing by labels in place of verdicts loses at equal prices, as JSON values.

    Parameters
    ----------
    subject : Subject
        The policy and its C courses.
    label, truth, cost : ndarray of float64, shape (P, C)
        Values of the courses by labels and by verdicts, and costs, on P test prompts.
    groups : ndarray of intp, shape (P,)
        Near-duplicates share one; counted from 0.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.

    Returns
    -------
    dict
        ``"lost"``, value net of cost at equal prices, the mean over the policy's prices, with
        ``"interval"``; empty where some verdict is missing. Everybody's best course is chosen on one half of
        the groups, by labels and by verdicts, and scored by verdicts on the other, both ways.
    """
    columns = np.flatnonzero(~np.isnan(label + truth + cost).any(axis=0))
    if len(columns) < 2 or not masks.static([subject.courses[at] for at in columns]).any():
        return {}
    told, real, spent = label[:, columns], truth[:, columns], cost[:, columns]
    prices = subject.policy.prices
    span = subject.policy.telling.scale.span
    lost = np.zeros(len(label))
    for side in (groups % 2 == 0, groups % 2 == 1):
        if not side.any() or side.all():
            return {}
        paid = spent[side].mean(axis=0)
        mine = (told[side].mean(axis=0) - prices[:, None] * paid).argmax(axis=1)
        best = (real[side].mean(axis=0) - prices[:, None] * paid).argmax(axis=1)
        worth = real[~side][:, best] - real[~side][:, mine]
        worth -= prices * (spent[~side][:, best] - spent[~side][:, mine])
        # Where compute is dear, worth is a share of its cost, so that no price outweighs others.
        lost[~side] = (worth / (1 + prices * paid[best] / span)).mean(axis=1)
    replicates = weights @ lost / weights.sum(axis=1)
    low, high = interval(replicates[1:])
    return {"lost": number(replicates[0]), "interval": [number(low), number(high)]}
