"""Rewards are learned from as shares of their scale, and told in their own numbers.

Nothing that is chosen then depends on the scale, not by a rounding either. A bundle keeps values in 32 bits:
where rewards lie far from 0 for how far they lie apart, they are counted from their lowest. Reading rewards
is left to `difficulty.log.rewards`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple, Self

import numpy as np

from difficulty.log.sample_log import SampleLog
from difficulty.scale import UNIT, Scale
from planner.bundle.policy_bundle import PolicyBundle

# Ends of a scale that lie so many times its span from 0 leave 32 bits less than five digits.
_FAR: Final = 100.0
_OF_A_FALL: Final = ("fall", "error")


class OwnNumbers(NamedTuple):
    """The scale of the rewards of a log, and the number that its bundle counts them from."""

    scale: Scale = UNIT
    origin: float = 0.0

    @classmethod
    def of(cls, log: SampleLog) -> Self:
        """Return those of a log that is valued by its rewards.

        Raises
        ------
        InvalidInputError
            When all rewards are one number outside [0, 1].

        Examples
        --------
        >>> from training.simulated.rewards import simulated_rewards
        >>> OwnNumbers.of(simulated_rewards(9).valued_by("reward")).origin
        0.0
        """
        scale = log.scale
        far = max(abs(scale.lower), abs(scale.upper)) > _FAR * scale.span
        return cls(scale, scale.lower if far else 0.0)

    def shares(self, log: SampleLog) -> SampleLog:
        """Return the log in which rewards are shares of the scale."""
        return log.counted_from(self.scale.lower, per=self.scale.span)

    def tell(self, bundle: PolicyBundle) -> PolicyBundle:
        """Return a bundle that was learned from shares in the numbers of the rewards, less the origin."""
        if self == OwnNumbers():
            return bundle
        span, scale = self.scale.span, Scale(self.scale.lower - self.origin, self.scale.upper - self.origin)
        value = (scale.lower + span * bundle.table.value.astype(np.float64)).astype(np.float32)
        telling = bundle.policy.telling
        falls = [
            {
                **row,
                "value": round(self.scale.lower + span * row["value"], 6),
                **{name: round(span * row[name], 6) for name in _OF_A_FALL},
            }
            for row in bundle.training["overoptimised"]
        ]
        return replace(
            bundle,
            table=replace(bundle.table, value=value),
            policy=replace(
                bundle.policy,
                prices=bundle.policy.prices * span,
                telling=replace(telling, offset=telling.offset * span, scale=scale, origin=self.origin),
            ),
            training={**bundle.training, "overoptimised": falls},
        )
