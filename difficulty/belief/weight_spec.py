"""The learned policy's few parameters, and how they turn coordinates into weights.

One family holds every one-shot policy that we know as a special case: *static* gives each prompt the
population's curve (best static allocation and static mix), *bins* the curve of its difficulty bin (Snell et
al.), *kernel* the curve of the training prompts that resemble it. A mixture averages the weights of several,
which halves what tuning on few prompts overfits. Solving is left to `policies.solver.solver`, tuning to
`training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from difficulty.belief.weights import BinWeights, KernelWeights, UniformWeights, Weigher
from difficulty.errors import InvalidInputError

__all__ = ["FAMILIES", "STATIC", "Family", "PolicyMixture", "PolicySpec"]

Family: TypeAlias = Literal["static", "bins", "kernel"]
FAMILIES: Final[tuple[str, ...]] = get_args(Family)

# Far beyond what tuning draws: squares of differences over narrower widths overflow.
_LEAST_WIDTH: Final = 1e-6
_MAX_BINS: Final = 10_000
_MAX_MEMBERS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySpec:
    """Parameters of a one-shot policy.

    Parameters
    ----------
    family : {"static", "bins", "kernel"}
        How weights over training prompts are formed.
    n_bins : int
        At least 1. Quantile bins of predicted level (family ``"bins"``).
    level_bandwidth, deviation_bandwidth : float
        Kernel widths in standard deviations, above 0 (family ``"kernel"``); see
        `difficulty.belief.weights.KernelWeights`.
    floor : float
        Weight that every training prompt keeps, in [0, 1] (family ``"kernel"``).
    shrinkage : float
        Share of each prompt's deviation from the population's curve that is taken back, in [0, 1]: 1 is
        static.

    Raises
    ------
    InvalidInputError
        When the family is unknown or a parameter is outside its range.

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
        for name in ("shrinkage", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("level_bandwidth", "deviation_bandwidth"):
            if not getattr(self, name) >= _LEAST_WIDTH:
                raise InvalidInputError(
                    f"{name} must be above 0, at least {_LEAST_WIDTH:g}; got {getattr(self, name)}"
                )
        if not 1 <= self.n_bins <= _MAX_BINS:
            raise InvalidInputError(f"n_bins must be at least 1 and at most {_MAX_BINS}, got {self.n_bins}")

    def weigher(self, references: NDArray[np.float64]) -> Weigher:
        """Return weights over T references with coordinates (T, 1 + D), as a function of a prompt's own."""
        if self.family == "static":
            return UniformWeights(references)
        weigh: Weigher
        if self.family == "bins":
            weigh = BinWeights(references, n_bins=self.n_bins)
        else:
            weigh = KernelWeights(
                references,
                level_bandwidth=self.level_bandwidth,
                deviation_bandwidth=self.deviation_bandwidth,
                floor=self.floor,
            )
        if not self.shrinkage:
            return weigh
        keep, back = np.float32(1 - self.shrinkage), np.float32(self.shrinkage / len(references))
        return lambda queries, /: weigh(queries) * keep + back


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyMixture:
    """The deployed policy: equal parts of one or several specifications.

    Parameters
    ----------
    members : tuple of PolicySpec
        At least one; their weights over training prompts are averaged.

    Raises
    ------
    InvalidInputError
        When there is no member, or more than a hundred.

    Examples
    --------
    >>> PolicyMixture(members=(PolicySpec(), PolicySpec())).family
    'static'
    """

    members: tuple[PolicySpec, ...] = (PolicySpec(),)

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= _MAX_MEMBERS:
            raise InvalidInputError(
                f"a mixture needs at least one member and at most {_MAX_MEMBERS}, got {len(self.members)}"
            )

    @property
    def family(self) -> Family | Literal["mixture"]:
        """The members' family where it is one, else ``"mixture"``."""
        families = {member.family for member in self.members}
        return families.pop() if len(families) == 1 else "mixture"

    def weigher(self, references: NDArray[np.float64]) -> Weigher:
        """Return the members' mean weights over T references, as a function of a prompt's coordinates."""
        members = [member.weigher(references) for member in self.members]

        def weigh(queries: NDArray[np.float64], /) -> NDArray[np.float32]:
            total = members[0](queries)
            for member in members[1:]:
                total += member(queries)
            total *= np.float32(1 / len(members))
            return total

        return weigh


# What every bundle falls back to: telling no prompts apart.
STATIC: Final = PolicyMixture()
