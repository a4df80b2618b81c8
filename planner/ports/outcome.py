"""What happened to one prompt: the answer, every candidate, what it cost, why it stopped.

Outcomes are written by strategies and completed by drivers, which meter the usage. An answer of None means
that no usable answer was found; failures are listed and never turned into an answer. Wire forms are in
`planner.ports.outcome_wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from difficulty.printable import html_facts, printable
from policies.answering.answering import Verdict
from policies.cost.usage import Usage
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan

__all__ = ["Candidate", "CandidateStatus", "Outcome", "OutcomeError", "StopReason"]

CandidateStatus: TypeAlias = Literal["ok", "truncated", "failed", "cancelled"]
StopReason: TypeAlias = Literal["complete", "satisfied", "budget", "limit", "time", "failed"]

# Of what a notebook shows.
_LONGEST_TEXT: Final = 2000
_MOST_ERRORS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeError:
    """A failure that a prompt met on its way.

    Parameters
    ----------
    kind : str
        Name of the error type, e.g. ``"RetryableBackendError"``.
    reason : str
        What went wrong, in words.
    """

    kind: str
    reason: str

    @classmethod
    def parse(cls, text: str) -> OutcomeError:
        """Read ``"Kind: reason"`` as completions carry it.

        Examples
        --------
        >>> OutcomeError.parse("RetryableBackendError: timed out").kind
        'RetryableBackendError'
        """
        kind, separator, reason = text.partition(": ")
        if separator and kind.isidentifier():
            return cls(kind=kind, reason=reason)
        return cls(kind="BackendError", reason=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One complete attempt at the prompt.

    Parameters
    ----------
    text : str
        The whole text of the attempt, all steps joined; empty when it failed.
    answer : str, optional
        Canonical answer; None when it abstains.
    status : {"ok", "truncated", "failed", "cancelled"}
        How it ended. Truncated, failed and cancelled attempts have no answer.
    score : float, optional
        The verifier's score; None where it was not or could not be scored.
    mean_logprob : float, optional
        Mean log-probability per output token of the last generated part, in nats.
    output_tokens : int
        Tokens generated for this attempt, all steps of its path.
    chain, step : int
        Chain or subtree, and step within it, both from 0; 0 where a strategy has neither.
    steps : tuple of str
        The steps of a tree search; empty where the text is not split.
    """

    text: str
    answer: str | None
    status: CandidateStatus
    score: float | None = None
    mean_logprob: float | None = None
    output_tokens: int = 0
    chain: int = 0
    step: int = 0
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Outcome:
    """What happened to one prompt.

    Parameters
    ----------
    prompt_id : str
        The prompt.
    allocation : Allocation
        What was allotted.
    answer : str, optional
        The selected answer; None when nothing usable was found.
    text : str, optional
        The text of the selected candidate; None when none was selected.
    candidates : tuple of Candidate
        All attempts, in the order in which they were asked for.
    selected : int, optional
        Position of the selected candidate.
    selected_by : str
        The rule that selected: ``"majority_vote"``, ``"best_of_n"``, ``"weighted_best_of_n"``,
        ``"first_success"``, ``"only"`` or ``"none"``.
    usage : Usage
        What was really spent, failed and cancelled work included.
    expected_usage : Usage, optional
        What the plan expected.
    cost, expected_cost : float, optional
        Price of the actual and of the expected usage, in the unit of the run; None without a price.
    stop_reason : str
        ``"complete"`` (all of the allocation), ``"satisfied"`` (a stop rule or a success), ``"budget"``,
        ``"limit"``, ``"time"`` (a cap ended it early) or ``"failed"`` (every sample failed).
    errors : tuple of OutcomeError
        Everything that failed, one entry per failure.
    confidence : float, optional
        In [0, 1]: how likely the selected answer is right; None where nobody asked.
    verdict : {"answered", "hard", "unsolvable"}, optional
        Where answers need a confidence: whether it was reached; if not, the answer is withheld, and more
        samples may help (hard) or no budget is expected to (unsolvable). None where nobody asked.

    Examples
    --------
    >>> allocation = Allocation(generator="qwen-1.5b/cot", strategy="greedy")
    >>> outcome = Outcome(prompt_id="q17", allocation=allocation, answer="42", text="= 42", candidates=())
    >>> outcome.answer
    '42'
    """

    prompt_id: str
    allocation: Allocation
    answer: str | None
    text: str | None
    candidates: tuple[Candidate, ...]
    selected: int | None = None
    selected_by: str = "none"
    usage: Usage = field(default_factory=Usage)
    expected_usage: Usage | None = None
    cost: float | None = None
    expected_cost: float | None = None
    stop_reason: StopReason = "complete"
    errors: tuple[OutcomeError, ...] = ()
    confidence: float | None = None
    verdict: Verdict | None = None

    @classmethod
    def of_nothing(cls, plan: AllocationPlan) -> Self:
        """Return what comes of a plan that draws nothing."""
        return cls(
            prompt_id=plan.prompt_id,
            allocation=plan.allocation,
            answer=None,
            text=None,
            candidates=(),
            expected_cost=plan.expected_cost,
            cost=0.0,
        )

    @property
    def n_abstained(self) -> int:
        """Candidates without an answer: truncated, failed, cancelled or unparsable."""
        return sum(candidate.answer is None for candidate in self.candidates)

    def __repr__(self) -> str:
        """Say in one line what came of the prompt; `planner.ports.outcome_wire` writes all of it."""
        return printable(f"Outcome({self.prompt_id!r}: {self.answer!r}, {self._how()})")

    def _repr_html_(self) -> str:
        """Return the outcome for a notebook, with the text that was selected."""
        text = self.text or ""
        facts = [
            ("answer", "none" if self.answer is None else self.answer),
            ("how", self._how()),
            ("text", text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"),
            ("errors", "\n".join(f"{error.kind}: {error.reason}" for error in self.errors[:_MOST_ERRORS])),
        ]
        return html_facts(f"Outcome of {self.prompt_id}", [(name, told) for name, told in facts if told])

    def _how(self) -> str:
        """Return how it was selected, what it cost, and why it ended."""
        n, priced = len(self.candidates), ""
        if self.cost is not None:
            expected = "" if self.expected_cost is None else f" (expected {self.expected_cost:,.4g})"
            priced = f", cost {self.cost:,.4g}{expected}"
        failed = f", {len(self.errors)} errors" if self.errors else ""
        return (
            f"{self.selected_by} of {n} candidate{'s' if n != 1 else ''} by {self.allocation.generator}"
            f"{priced}, {self.stop_reason}{failed}"
        )
