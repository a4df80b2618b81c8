"""What we think about prompts before sampling: weights over reference prompts whose samples were recorded.

A belief is a *distribution over kinds of prompt*, never a bare mean: the expectation of anything that was
measured on the reference prompts (success, pass@k, a vote's accuracy, tokens) is a weighted mean of it. It
assumes that new prompts resemble the reference prompts; which weights to use is left to
`difficulty.belief.text_belief` and to training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice
from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.row_product import row_product
from difficulty.errors import InvalidInputError, UnknownGeneratorError

_ROUNDING: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReferencePrompts:
    """The T prompts that a belief spreads its weight over, with what was recorded on them.

    Parameters
    ----------
    generators : tuple of str
        The G generators.
    n, n_correct : ndarray, shape (T, G)
        Pass@k counts; of rewards, samples and the sum of their shares of the scale.
    output_tokens : ndarray of float64, shape (T, G)
        Mean output tokens per sample; NaN where not recorded.
    """

    generators: tuple[str, ...]
    n: NDArray[np.int64]
    n_correct: NDArray[np.int64] | FloatArray
    output_tokens: FloatArray

    def __len__(self) -> int:
        return len(self.n)

    def success(self) -> FloatArray:
        """Return the posterior mean success per reference prompt, shape (T, G).

        One pseudo-sample at the generator's mean keeps 0 of n from reading as "impossible"; NaN without
        samples.
        """
        total = self.n.sum(axis=0)
        mean = np.divide(self.n_correct.sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)
        return np.where(self.n > 0, (self.n_correct + mean) / (self.n + 1), np.nan)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Belief:
    """Weights of P prompts over T reference prompts.

    Parameters
    ----------
    weights : ndarray of float32, shape (P, T)
        Non-negative, rows sum to 1.
    references : ReferencePrompts
        What was recorded on the T reference prompts.
    familiarity : ndarray of float64, shape (P,), optional
        In [0, 1]: about 1 for prompts like the reference prompts, near 0 for strangers; None where nobody can
        tell.

    Examples
    --------
    >>> references = ReferencePrompts(
    ...     generators=("tiny",), n=np.array([[10], [10]]), n_correct=np.array([[10], [0]]),
    ...     output_tokens=np.array([[20.0], [40.0]]))
    >>> belief = Belief(weights=np.array([[0.5, 0.5]], dtype=np.float32), references=references)
    >>> belief.mean("tiny").round(2), belief.expected_output_tokens("tiny")
    (array([0.5]), array([30.]))
    """

    weights: NDArray[np.float32]
    references: ReferencePrompts
    familiarity: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.weights.shape[1] != len(self.references):
            raise InvalidInputError(
                f"weights must be (P, {len(self.references)}), one column per reference prompt; "
                f"got {self.weights.shape}"
            )

    def __len__(self) -> int:
        return len(self.weights)

    def expect(self, values: FloatArray) -> FloatArray:
        """Return the expectation of values measured on the reference prompts.

        Parameters
        ----------
        values : ndarray of float64, shape (T, A)
            NaN where not measured: such a reference prompt carries no weight in that column.

        Returns
        -------
        ndarray of float64, shape (P, A)
            NaN where no reference prompt with weight has a value.
        """
        known = ~np.isnan(values)
        # Weights sum to 1 up to rounding, and a budget of exactly what is expected must be enough.
        weight = np.ones((len(values), 1)) if known.all() else known
        mean = row_product(self.weights, np.where(known, values, 0.0), weight=weight)
        return np.asarray(mean, dtype=np.float64)

    def mean(self, generator: str) -> FloatArray:
        """Return the expected success of one sample, shape (P,)."""
        return self.expect(self._column(self.references.success(), generator))[:, 0]

    def pass_at_k(self, generator: str, k: int) -> FloatArray:
        """Return the expected pass@k, shape (P,): the mean of ``1 - (1 - p)^k`` over the belief about p."""
        success = self._column(self.references.success(), generator)
        return self.expect(1 - (1 - success) ** k)[:, 0]

    def quantile(self, generator: str, q: float) -> FloatArray:
        """Return the `q` quantile of the per-sample success probability, shape (P,); `q` in [0, 1]."""
        if not 0 <= q <= 1:
            raise InvalidInputError(f"q must lie in [0, 1], got {q}")
        success = self._column(self.references.success(), generator)[:, 0]
        known = np.flatnonzero(~np.isnan(success))
        order = known[np.argsort(success[known], kind="stable")]
        cumulative = np.cumsum(self.weights[:, order], axis=1, dtype=np.float64)
        cumulative /= cumulative[:, -1:]
        # Weights are float32: a sum that should be 0.5 may fall short of it by their rounding.
        return np.asarray(success[order[np.argmax(cumulative >= q - _ROUNDING, axis=1)]])

    def expected_output_tokens(self, generator: str) -> FloatArray:
        """Return the expected output tokens of one sample, shape (P,); NaN where not recorded."""
        return self.expect(self._column(self.references.output_tokens, generator))[:, 0]

    def _column(self, table: FloatArray, generator: str) -> FloatArray:
        names = self.references.generators
        check_choice("generator", generator, names, error=UnknownGeneratorError)
        return table[:, [names.index(generator)]]
