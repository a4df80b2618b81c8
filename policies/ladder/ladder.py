"""The order in which an adaptive plan may spend: waves of samples, from the first move to the last resort.

A ladder fixes what would be drawn next (a generator and how many samples), never whether: that is left to
`policies.ladder.stop_rules`. Escalation is a wave of another generator, so it is priced like any other move.
Votes of different generators are pooled where their answers can be compared; otherwise the latest generator
that answered decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from difficulty.errors import InvalidInputError
from difficulty.log.wire import MAX_SAMPLES

__all__ = ["Ladder", "SampleScale", "Wave", "wave_sizes"]

_MAX_WAVES: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """Samples of one generator that are drawn together.

    Parameters
    ----------
    generator : str
        Name of the generator.
    n : int
        Samples, at least 1.
    """

    generator: str
    n: int = 1

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidInputError(f"a wave has at least 1 sample, got n={self.n}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleScale:
    """What is usual for one generator's samples, so that evidence is measured in standard deviations.

    Parameters
    ----------
    logprob_mean, logprob_sd : float
        Mean log-probability, in nats per token; a `logprob_sd` of 0 means that it is not recorded or
        constant.
    log_cost_mean, log_cost_sd : float
        Natural logarithm of the cost of one sample; a `log_cost_sd` of 0 means that all samples cost the
        same.
    """

    logprob_mean: float = 0.0
    logprob_sd: float = 0.0
    log_cost_mean: float = 0.0
    log_cost_sd: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.logprob_mean, self.logprob_sd, self.log_cost_mean, self.log_cost_sd)
        if (
            not all(math.isfinite(number) for number in numbers)
            or self.logprob_sd < 0
            or self.log_cost_sd < 0
        ):
            raise InvalidInputError(f"scales must be finite and deviations at least 0, got {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """Waves in the order in which they would be drawn, and how their samples vote.

    Parameters
    ----------
    waves : tuple of Wave
        At least one.
    weights : mapping or tuple of pairs
        Weight of one vote by generator, above 0; 1 where not named. Stored as sorted pairs, so that ladders
        hash.
    pooled : bool
        Whether answers of different generators compare, so that their votes add up.
    logprob_weight : float
        β of the vote's weight exp(β (logprob - usual logprob)); 0 counts every vote alike. It takes effect
        where log-probabilities are recorded, and then breaks most ties of small votes; as β grows the most
        probable sample decides alone.
    logprob_weights : mapping or tuple of pairs
        β by generator where it is another one. Stored as sorted pairs.
    chance_weight : float
        γ of the vote's weight P(correct)^γ by the generator's learned verifier, which judges all samples of
        the generator anew after each wave; log-probabilities then weigh nothing of their own. 1 adds up
        probabilities, and as γ grows the best sample decides alone; 0 asks no verifier.

    Raises
    ------
    InvalidInputError
        When there is no wave, or far too many, a weight is not above 0, or a β or γ is negative.

    Examples
    --------
    >>> steps = (Wave(generator="steps", n=2), Wave(generator="steps", n=4))
    >>> ladder = Ladder(waves=(Wave(generator="direct"), *steps))
    >>> ladder.n, ladder.generators, len(ladder)
    (7, ('direct', 'steps'), 3)
    >>> print(ladder)
    direct x1, steps x2, steps x4
    """

    waves: tuple[Wave, ...]
    weights: tuple[tuple[str, float], ...] | Mapping[str, float] = ()
    pooled: bool = True
    logprob_weight: float = 1.0
    logprob_weights: tuple[tuple[str, float], ...] | Mapping[str, float] = ()
    chance_weight: float = 0.0

    def __post_init__(self) -> None:
        if not self.waves:
            raise InvalidInputError("a ladder needs at least one wave")
        if len(self.waves) > _MAX_WAVES or self.n > MAX_SAMPLES:
            raise InvalidInputError(
                f"a ladder has at most {_MAX_WAVES:,} waves and {MAX_SAMPLES:,} samples, got "
                f"{len(self.waves)} and {self.n}"
            )
        pairs, steep = _pairs(self.weights), _pairs(self.logprob_weights)
        object.__setattr__(self, "weights", pairs)
        object.__setattr__(self, "logprob_weights", steep)
        for name, weight in pairs:
            if not (math.isfinite(weight) and weight > 0):
                raise InvalidInputError(
                    f"the weight of {name!r} must be a finite number above 0, got {weight!r}"
                )
        for beta in (self.logprob_weight, *dict(steep).values()):
            if not (math.isfinite(beta) and beta >= 0):
                raise InvalidInputError(f"logprob_weight must be a finite number >= 0, got {beta!r}")
        if not (math.isfinite(self.chance_weight) and self.chance_weight >= 0):
            raise InvalidInputError(f"chance_weight must be a finite number >= 0, got {self.chance_weight!r}")

    def __len__(self) -> int:
        return len(self.waves)

    @property
    def n(self) -> int:
        """Samples when every wave is drawn."""
        return sum(wave.n for wave in self.waves)

    @property
    def judged(self) -> bool:
        """Whether votes are weighed by the learned verifiers of the ladder's generators."""
        return self.chance_weight > 0

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of the generators in order of first use."""
        return tuple(dict.fromkeys(wave.generator for wave in self.waves))

    def weight(self, generator: str) -> float:
        """Return the weight of one vote of a generator."""
        return dict(self.weights).get(generator, 1.0)

    def steepness(self, generator: str) -> float:
        """Return β of the votes of a generator."""
        return dict(self.logprob_weights).get(generator, self.logprob_weight)

    def needs(self, generator: str) -> int:
        """Return how many samples of a generator the whole ladder draws."""
        return sum(wave.n for wave in self.waves if wave.generator == generator)

    def within(self, cap: float, worst: Mapping[str, float]) -> Ladder | None:
        """Return the part of the ladder that cannot cost more than a hard cap.

        Parameters
        ----------
        cap : float
            The most that one prompt may cost.
        worst : mapping of str to float
            The most that one sample of each generator can cost, request included, at least 0.

        Returns
        -------
        Ladder or None
            The longest beginning that fits, its last wave cut short where a part of it fits; None where not
            even one sample does. A stop rule that was fitted on the whole ladder still fits its beginning.

        Examples
        --------
        >>> ladder = Ladder(waves=(Wave(generator="a", n=2), Wave(generator="b", n=4)))
        >>> print(ladder.within(25.0, {"a": 1.0, "b": 10.0}))
        a x2, b x2
        """
        waves: list[Wave] = []
        left = cap
        for wave in self.waves:
            each = worst[wave.generator]
            fits = wave.n if each * wave.n <= left else int(left // each)
            if fits:
                waves.append(Wave(generator=wave.generator, n=fits))
            if fits < wave.n:
                break
            left -= each * wave.n
        return replace(self, waves=tuple(waves)) if waves else None

    def __str__(self) -> str:
        return ", ".join(f"{wave.generator} x{wave.n}" for wave in self.waves)


def _pairs(values: tuple[tuple[str, float], ...] | Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(values.items() if isinstance(values, Mapping) else values))


def wave_sizes(n: int, *, singles: int = 2, growth: float = 1.5) -> tuple[int, ...]:
    """Split `n` samples into waves that start small and grow: few rounds, little waste.

    Parameters
    ----------
    n : int
        Samples in all, at least 1.
    singles : int
        Waves of one sample at the start.
    growth : float
        A later wave is at most ``growth - 1`` times what has been drawn before it, at least one sample; above
        1.

    Examples
    --------
    >>> wave_sizes(16, singles=2, growth=1.5)
    (1, 1, 1, 1, 2, 3, 4, 3)
    >>> wave_sizes(16, singles=1, growth=2)
    (1, 1, 2, 4, 8)
    """
    if n < 1 or singles < 0 or not growth > 1:
        raise InvalidInputError(
            f"n must be at least 1, singles at least 0 and growth above 1, got {n}, {singles}, {growth}"
        )
    sizes: list[int] = []
    drawn = 0
    while drawn < n:
        size = 1 if len(sizes) < max(singles, 1) else max(1, int(drawn * (growth - 1)))
        size = min(size, n - drawn)
        sizes.append(size)
        drawn += size
    return tuple(sizes)
