"""What a run came to, in figures: accuracy where it is known, expected against actual cost, stops, failures.

It assumes one outcome per plan and prompt, in one order. Printing is left to ``planner run``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from difficulty.prompt import Prompt
from planner.ports.outcome import Outcome
from planner.ports.ports import Grader
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """Figures of a run over P prompts.

    Parameters
    ----------
    n_prompts, n_answered, n_graded, n_correct : int
        Prompts; those with an answer; those that could be graded; and right ones among these.
    accuracy : float, optional
        Right ones among the graded, an unanswered prompt counted as wrong; None where nothing was graded.
    accuracy_interval : tuple of float, optional
        Wilson's 95 % interval, over prompts.
    expected_accuracy : float
        Mean over the plans, in [0, 1].
    cost, expected_cost : float
        Totals over the batch, in `unit`; `cost` is actual.
    unit, objective : str
        Of the plans.
    stop_reasons, failures : mapping of str to int
        Prompts by why they stopped; failures by kind.
    usage : Usage
        The ledger: everything that was spent, failed and cancelled work included.
    n_hard, n_unsolvable : int
        Prompts whose answer was withheld: those that more samples may help, and those that no budget is
        expected to.
    n_samples, n_silent, n_empty : int
        Samples that came, those of them in which no answer was found, and those that are empty texts.
    """

    n_prompts: int
    n_answered: int
    n_graded: int
    n_correct: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    expected_accuracy: float
    cost: float
    expected_cost: float
    unit: str
    objective: str
    stop_reasons: Mapping[str, int]
    failures: Mapping[str, int]
    usage: Usage
    n_hard: int = 0
    n_unsolvable: int = 0
    n_samples: int = 0
    n_silent: int = 0
    n_empty: int = 0


def summarise(
    plans: Sequence[AllocationPlan], prompts: Sequence[Prompt], outcomes: Sequence[Outcome], *, grader: Grader
) -> RunSummary:
    """Return the figures of a run.

    Parameters
    ----------
    plans, prompts, outcomes : sequence
        One per prompt, P at least 1, in the same order.
    grader : Grader
        Says which answers are right.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    marks = [grader.grade(prompt, outcome.answer) for prompt, outcome in zip(prompts, outcomes, strict=True)]
    graded = [mark for mark in marks if mark is not None]
    came = [one for outcome in outcomes for one in outcome.candidates if one.status in ("ok", "truncated")]
    return RunSummary(
        n_prompts=len(prompts),
        n_answered=sum(outcome.answer is not None for outcome in outcomes),
        n_graded=len(graded),
        n_correct=sum(graded),
        accuracy=sum(graded) / len(graded) if graded else None,
        accuracy_interval=_wilson(sum(graded), len(graded)) if graded else None,
        expected_accuracy=sum(plan.expected_accuracy for plan in plans) / len(plans),
        cost=sum(outcome.cost or 0.0 for outcome in outcomes),
        expected_cost=sum(plan.expected_cost for plan in plans),
        unit=plans[0].unit,
        objective=plans[0].objective,
        stop_reasons=dict(Counter(outcome.stop_reason for outcome in outcomes)),
        failures=dict(Counter(error.kind for outcome in outcomes for error in outcome.errors)),
        usage=sum((outcome.usage for outcome in outcomes), Usage()),
        n_hard=sum(outcome.verdict == "hard" for outcome in outcomes),
        n_unsolvable=sum(outcome.verdict == "unsolvable" for outcome in outcomes),
        n_samples=len(came),
        n_silent=sum(one.answer is None for one in came),
        n_empty=sum(not one.text for one in came),
    )


def _wilson(n_correct: int, n: int) -> tuple[float, float]:
    z = 1.96
    p = n_correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)
