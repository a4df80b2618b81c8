"""Predict how long a batch of completions takes, from runs that were timed on the machine in question.

It assumes that a decode step takes a fixed time, plus a share per sequence, plus a share per token of context
that it reads; and that prompts are read at a fixed rate. Queueing behind other traffic is left to the serving
side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError

__all__ = ["DecodeModel", "DecodeRun"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeRun:
    """One timed run: `width` completions of one prompt, decoded together.

    Parameters
    ----------
    width : int
        Sequences decoded together, at least 1.
    prompt_tokens : float
        Length of the prompt, read once.
    output_tokens : float
        Mean length of the completions.
    longest_output_tokens : float
        Length of the longest one: the number of decode steps.
    seconds : float
        Wall-clock time.
    """

    width: int
    prompt_tokens: float
    output_tokens: float
    longest_output_tokens: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeModel:
    """Seconds as a function of width and lengths.

    A decode step with n sequences of context c takes ``per_step + per_sample · n + per_context_token · n ·
    c`` seconds.

    Parameters
    ----------
    per_step : float
        Seconds of a step whatever its width: reading the weights, launching kernels.
    per_sample : float
        Seconds that each sequence adds to a step.
    per_context_token : float
        Seconds that each token of a sequence's context adds to a step: reading the cache of keys and values.
    per_prompt_token : float
        Seconds to read one prompt token.
    per_request : float
        Seconds of overhead per round of requests.
    length_spread : float
        Standard deviation of a completion's length over its mean; the longest of n is then taken to be
        ``1 + length_spread · e(n)`` times the mean, with e(n) the expected maximum of n standard normals.

    Raises
    ------
    InvalidInputError
        When a number is negative, NaN or infinite.

    Notes
    -----
    While a step is bound by reading the weights (`per_step` dominates), parallel samples are nearly
    free in seconds, and a sequential chain pays its full length. e(n) is taken by Blom's approximation, which
    is within 5 % of it.

    References
    ----------
    Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785 (roofline). We fit instead of
    trusting constants. Blom 1958, *Statistical Estimates and Transformed Beta-Variables* (normal order
    statistics).

    Examples
    --------
    >>> model = DecodeModel(per_step=0.01, per_sample=0.001)
    >>> round(float(model.seconds(width=8, output_tokens=100)), 3)
    1.8
    >>> round(float(model.seconds(width=1, depth=8, output_tokens=100)), 3)
    8.8
    """

    per_step: float
    per_sample: float = 0.0
    per_context_token: float = 0.0
    per_prompt_token: float = 0.0
    per_request: float = 0.0
    length_spread: float = 0.0

    def __post_init__(self) -> None:
        for name in (*_COEFFICIENTS, "length_spread"):
            check_number(f"{name} of a decode model", getattr(self, name), ">= 0")

    @staticmethod
    def fit(runs: Sequence[DecodeRun]) -> DecodeModel:
        """Fit the five times by non-negative least squares on relative error.

        Parameters
        ----------
        runs : sequence of DecodeRun
            At least 5, over several widths and lengths; what does not vary cannot be told apart.

        Raises
        ------
        InvalidInputError
            When there are fewer than 5 runs, or a run has a number that cannot be.

        Examples
        --------
        >>> true = DecodeModel(per_step=0.02, per_sample=0.001, per_prompt_token=1e-4)
        >>> runs = [
        ...     DecodeRun(
        ...         width=n,
        ...         prompt_tokens=p,
        ...         output_tokens=t,
        ...         longest_output_tokens=t,
        ...         seconds=float(true.seconds(width=n, prompt_tokens=p, output_tokens=t)),
        ...     )
        ...     for n in (1, 4, 16)
        ...     for p in (10, 1000)
        ...     for t in (20, 200)
        ... ]
        >>> round(DecodeModel.fit(runs).per_step, 6)
        0.02
        """
        from scipy.optimize import nnls

        if len(runs) < len(_COEFFICIENTS):
            raise InvalidInputError(
                f"a decode model needs at least {len(_COEFFICIENTS)} timed runs over several widths and "
                f"lengths, got {len(runs)}"
            )
        for index, run in enumerate(runs):
            numbers = (
                run.width,
                run.prompt_tokens,
                run.output_tokens,
                run.longest_output_tokens,
                run.seconds,
            )
            if not all(math.isfinite(number) and number >= 0 for number in numbers) or run.seconds <= 0:
                raise InvalidInputError(
                    f"run {index} must have finite numbers >= 0 and seconds above 0, got {run}"
                )
            if run.width < 1 or run.longest_output_tokens < run.output_tokens:
                raise InvalidInputError(
                    f"run {index} must have a width of at least 1 and a longest completion that is no "
                    f"shorter than the mean, got {run}"
                )
        features = np.array(
            [
                _features(run.width, run.prompt_tokens, run.output_tokens, run.longest_output_tokens)
                for run in runs
            ],
            dtype=np.float64,
        )
        seconds = np.array([run.seconds for run in runs])
        weighted = features / seconds[:, None]
        scale = np.maximum(np.abs(weighted).max(axis=0), np.finfo(np.float64).tiny)
        solution, _ = nnls(weighted / scale, np.ones(len(runs)))
        times = dict(zip(_COEFFICIENTS, (solution / scale).tolist(), strict=True))
        spreads = [
            (run.longest_output_tokens / run.output_tokens - 1) / float(_expected_maximum(run.width))
            for run in runs
            if run.width > 1 and run.output_tokens > 0
        ]
        return DecodeModel(**times, length_spread=float(np.mean(spreads)) if spreads else 0.0)

    def seconds(
        self,
        *,
        width: ArrayLike,
        output_tokens: ArrayLike,
        prompt_tokens: ArrayLike = 0.0,
        depth: ArrayLike = 1,
        revision_window: int = 4,
    ) -> NDArray[np.float64]:
        """Return the seconds of `width` parallel chains of `depth` sequential completions.

        Parameters
        ----------
        width : array_like
            Sequences decoded together, at least 1.
        output_tokens : array_like
            Mean length of one completion.
        prompt_tokens : array_like
            Length of the prompt, read once per round.
        depth : array_like of int
            Completions that follow one another.
        revision_window : int
            Earlier completions of the chain that are in the prompt of the next.

        Returns
        -------
        array
            Seconds, in the shape that the arguments broadcast to.
        """
        n, prompt, output = (
            np.asarray(array, dtype=np.float64) for array in (width, prompt_tokens, output_tokens)
        )
        longest = output * (1 + self.length_spread * _expected_maximum(n))
        total = np.zeros(np.broadcast_shapes(n.shape, prompt.shape, output.shape, np.shape(depth)))
        for step in range(int(np.max(depth, initial=1))):
            earlier = min(step, revision_window) * output
            features = _features(n, prompt + earlier, output, longest)
            seconds = sum(getattr(self, name) * f for name, f in zip(_COEFFICIENTS, features, strict=True))
            # Each chain reads its own earlier completions; the question itself is shared.
            seconds = seconds + self.per_prompt_token * (n - 1) * earlier
            total = total + np.where(np.asarray(depth) > step, seconds, 0.0)
        return total


def _expected_maximum(n: ArrayLike) -> NDArray[np.float64]:
    """Return the expected maximum of n standard normals; 0 for one."""
    from scipy.special import ndtri  # scipy costs more than the import budget of the planner

    many = np.maximum(np.asarray(n, dtype=np.float64), 1.0)
    return np.asarray(ndtri((many - 0.375) / (many + 0.25)), dtype=np.float64)


_COEFFICIENTS = ("per_step", "per_sample", "per_context_token", "per_prompt_token", "per_request")


def _features(
    n: ArrayLike, prompt: ArrayLike, output: ArrayLike, longest: ArrayLike
) -> tuple[NDArray[np.float64], ...]:
    """Return what each coefficient multiplies: steps, tokens, tokens × context, prompt tokens, rounds."""
    n, prompt, output, longest = (
        np.asarray(array, dtype=np.float64) for array in (n, prompt, output, longest)
    )
    tokens = n * output
    return longest, tokens, tokens * (prompt + output / 2), prompt, np.ones_like(prompt)
