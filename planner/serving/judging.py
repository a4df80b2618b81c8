"""What a judge adds to the cost of samples, so that prices and budgets buy both.

A judge reads every sample of a plan that has several. What a judgement and a sample cost is taken from their
prices and caps at first, and from what was spent as soon as it is known. Asking a judge is left to
`planner.verifiers.judge`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Self, final

from difficulty.generator import Generator
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage
from policies.plan.plan import AllocationPlan

# Samples that the first guess counts for, and that are remembered.
_DOUBT: Final = 5.0
_MEMORY: Final = 500.0
# The first guess: characters per token, tokens of an answer, and how much of its cap a judge says, at most so
# many tokens. A guess too high would buy single samples, which are not judged, and never be mended.
_CHARACTERS: Final = 4.0
_TOKENS_OF_ANSWER: Final = 256
_SAID, _MOST_SAID = 0.5, 256


@final
class JudgeCost:
    """By which factor a sample that is judged costs more than one that is not.

    Parameters
    ----------
    sample, judgement : float
        What each costs, as far as it is known before anything was spent.

    Examples
    --------
    >>> cost = JudgeCost(sample=100.0, judgement=50.0)
    >>> cost.factor
    1.5
    >>> for _ in range(20):
    ...     cost.learn(n=10, samples=1000.0, judgements=1000.0)
    >>> 1.9 < cost.factor < 2.0
    True
    """

    def __init__(self, *, sample: float, judgement: float) -> None:
        self._n, self._samples, self._judgements = _DOUBT, _DOUBT * sample, _DOUBT * judgement

    @classmethod
    def of(cls, judge: Generator, prompt: str, model: CostModel, *, sample: float) -> Self:
        """Return what a judge is first thought to cost.

        Parameters
        ----------
        judge : Generator
            The judge, with its cap.
        prompt : str
            What it is asked.
        model : CostModel
            Prices its tokens.
        sample : float
            What a sample costs, in the same unit.
        """
        read = int(len(prompt) / _CHARACTERS) + _TOKENS_OF_ANSWER
        said = int(min(_SAID * (judge.max_output_tokens or _MOST_SAID), _MOST_SAID))
        usage = Usage(requests=1, prompt_tokens=read, output_tokens=said)
        return cls(sample=sample, judgement=model.price(usage, judge.name))

    @property
    def factor(self) -> float:
        """At least 1."""
        return 1.0 + self._judgements / self._samples if self._samples > 0 else 1.0

    def learn(self, *, n: int, samples: float, judgements: float) -> None:
        """Take what `n` samples of a request, and judging them, have cost."""
        self._n += n
        self._samples += samples
        self._judgements += judgements
        if self._n > _MEMORY:
            keep = _MEMORY / self._n
            self._n, self._samples, self._judgements = (
                keep * one for one in (self._n, self._samples, self._judgements)
            )


def with_judge(plan: AllocationPlan, dearer: float, price: float | None) -> AllocationPlan:
    """Return a plan that says what is expected of its samples and their judge, and which price was asked for.

    Parameters
    ----------
    plan : AllocationPlan
        Made at a price that is so much higher.
    dearer : float
        By which factor its samples cost more than it says.
    price : float, optional
        The one that was asked for.
    """
    interval = plan.cost_interval
    return replace(
        plan,
        expected_cost=dearer * plan.expected_cost,
        cost_interval=None if interval is None else (dearer * interval[0], dearer * interval[1]),
        price=plan.price and price,
    )
