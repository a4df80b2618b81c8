"""The learned policy's few parameters, and how they turn coordinates into weights.

One family holds every one-shot policy that we know as a special case: *static* gives each prompt the population's curve
(best static allocation and static mix), *bins* the curve of its difficulty bin (Snell et al.), *kernel* the curve of the
training prompts that resemble it. A mixture averages
the weights of several, which halves what tuning on few prompts overfits. Solving is left to `policies.solver`, tuning to `training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError
from difficulty.kernel import bin_weights, kernel_weights, uniform_weights

__all__ = ["FAMILIES", "STATIC", "Family", "PolicyMixture", "PolicySpec"]

Family: TypeAlias = Literal["static", "bins", "kernel"]
FAMILIES: Final[tuple[str, ...]] = get_args(Family)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySpec:
    """Parameters of a one-shot policy.

    Parameters
    ----------
    family : {"static", "bins", "kernel"}
        How weights over training prompts are formed.
    n_bins : int
        Quantile bins of predicted level (family ``"bins"``).
    level_bandwidth, deviation_bandwidth : float
        Kernel widths in standard deviations (family ``"kernel"``); see `difficulty.kernel.kernel_weights`.
    floor : float
        Weight that every training prompt keeps, in [0, 1] (family ``"kernel"``).
    shrinkage : float
        Share of each prompt's deviation from the population's curve that is taken back, in [0, 1]: 1 is static.

    Examples
    --------
    >>> PolicySpec(family="kernel", level_bandwidth=0.5).family
    'kernel'
    """

    family: Family = "static"
    n_bins: int = 5
    level_bandwidth: float = 1.0
    deviation_bandwidth: float = 1.0
    floor: float = 0.01
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InvalidInputError(f"family must be one of {', '.join(FAMILIES)}; got {self.family!r}")
        if not 0 <= self.shrinkage <= 1:
            raise InvalidInputError(f"shrinkage must lie in [0, 1], got {self.shrinkage}")

    def weights(self, queries: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return weights of P prompts over T reference prompts from their coordinates, shape (P, T)."""
        if self.family == "static":
            return uniform_weights(len(queries), len(references))
        if self.family == "bins":
            weights = bin_weights(queries, references, n_bins=self.n_bins)
        else:
            weights = kernel_weights(
                queries,
                references,
                level_bandwidth=self.level_bandwidth,
                deviation_bandwidth=self.deviation_bandwidth,
                floor=self.floor,
            )
        if self.shrinkage:
            weights = (1 - self.shrinkage) * weights + np.float32(self.shrinkage / len(references))
        return weights


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyMixture:
    """The deployed policy: equal parts of one or several specifications.

    Parameters
    ----------
    members : tuple of PolicySpec
        At least one; their weights over training prompts are averaged.

    Examples
    --------
    >>> PolicyMixture(members=(PolicySpec(), PolicySpec())).family
    'static'
    """

    members: tuple[PolicySpec, ...] = (PolicySpec(),)

    def __post_init__(self) -> None:
        if not self.members:
            raise InvalidInputError("a mixture needs at least one member")

    @property
    def family(self) -> Family | Literal["mixture"]:
        """The members' family where it is one, else ``"mixture"``."""
        families = {member.family for member in self.members}
        return families.pop() if len(families) == 1 else "mixture"

    def weights(self, queries: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return mean weights of P prompts over T reference prompts, shape (P, T)."""
        total = self.members[0].weights(queries, references)
        for member in self.members[1:]:
            total += member.weights(queries, references)
        return total / np.float32(len(self.members))


# What every bundle falls back to: telling no prompts apart.
STATIC: Final = PolicyMixture()
