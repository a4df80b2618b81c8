"""Turn prompts into one table of features: text statistics, wording, and hidden states where at hand.

The columns are fitted on training prompts only and restored from plain arrays, so that a bundle holds no
code. It assumes that a prompt's text, or its messages, is all that a planner may look at: never the gold
answer. Learning from the table is left to the predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_whole
from difficulty.arithmetic.nested import apart, nested
from difficulty.errors import InvalidInputError, InvalidPromptError, NotFittedError
from difficulty.features.principal_axes import principal_axes
from difficulty.features.text.embedding import TextEmbedding
from difficulty.features.text.statistics import TEXT_STATISTICS, statistics_of, with_last_lines
from difficulty.features.text.tokens import chunks, tokenize
from difficulty.prompt import Prompt

# Changes with the names and the order of the text statistics, on which every fitted predictor rests.
_FINGERPRINT = crc32("\n".join(TEXT_STATISTICS).encode())
# Saved numbers beyond this would overflow.
_MAX_NUMBER = 1e12


class PromptFeatures:
    """Compute a feature table for prompts; follows the conventions of scikit-learn.

    Parameters
    ----------
    embedding_dims : int, default 16
        Dimensions of the wording at most; 0 leaves it out.
    hidden_dims : int, default 16
        Principal components of the hidden states at most, where hidden states are given.
    seed : int, default 0
        Seed of the fitted projections.

    Attributes
    ----------
    names_ : tuple of str
        Names of the F columns.
    blocks_ : numpy.ndarray, shape (F,), int64
        Which columns belong together, counted from 0: statistics, wording, hidden states.

    Raises
    ------
    InvalidInputError
        When a number of dimensions is negative.

    Examples
    --------
    >>> prompts = [Prompt(text=f"Compute {i} + {i * i}") for i in range(1, 20)]
    >>> features = PromptFeatures(embedding_dims=2).fit(prompts)
    >>> features.transform(prompts).shape == (19, len(features.names_))
    True
    """

    names_: tuple[str, ...]
    blocks_: NDArray[np.int64]

    def __init__(self, *, embedding_dims: int = 16, hidden_dims: int = 16, seed: int = 0) -> None:
        check_whole("embedding_dims", embedding_dims)
        check_whole("hidden_dims", hidden_dims)
        self.embedding_dims = embedding_dims
        self.hidden_dims = hidden_dims
        self.seed = seed

    @staticmethod
    def available(prompts: Sequence[Prompt]) -> bool:
        """Tell whether any prompt has text, so that features say anything at all."""
        return any(prompt.content is not None for prompt in prompts)

    def fit(self, prompts: Sequence[Prompt], hidden: NDArray[np.floating] | None = None) -> PromptFeatures:
        """Fit the projections on P training prompts.

        Parameters
        ----------
        prompts : sequence of Prompt
            Prompts without text are left out of the fit.
        hidden : numpy.ndarray, shape (P, H), optional
            Hidden states, as `HiddenStates.transform` gives them; rows of NaN are left out.

        Raises
        ------
        InvalidPromptError
            When no prompt has text.
        InvalidInputError
            When `hidden` has another number of rows, or no finite row.
        """
        texts = [content for prompt in prompts if (content := prompt.content) is not None]
        if not texts:
            raise InvalidPromptError(
                "no prompt has a text; plan without features (`available` tells beforehand)"
            )
        self._embedding = None
        if self.embedding_dims:
            self._embedding = TextEmbedding(dims=self.embedding_dims, seed=self.seed).fit(texts)
        self._hidden_mean = self._hidden_axes = None
        if hidden is not None and self.hidden_dims:
            self._fit_hidden(_check_hidden(hidden, len(prompts)))
        self._name_columns()
        return self

    @property
    def needs_hidden_states(self) -> bool:
        """Whether `transform` takes hidden states, since they were given to `fit`."""
        return self._hidden_axes is not None

    def transform(
        self, prompts: Sequence[Prompt], hidden: NDArray[np.floating] | None = None
    ) -> NDArray[np.float32]:
        """Return the features of P prompts.

        Parameters
        ----------
        prompts : sequence of Prompt
            The prompts.
        hidden : numpy.ndarray, shape (P, H), optional
            Hidden states; needed when the features were fitted with them.

        Returns
        -------
        numpy.ndarray, shape (P, F), float32
            A row of NaN for a prompt without text; NaN hidden columns for a prompt without hidden state.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidInputError
            When `hidden` is given and was not fitted, or the other way round, or has another shape.
        """
        if not hasattr(self, "names_"):
            raise NotFittedError(
                "these PromptFeatures are not fitted; call fit(prompts) or from_arrays(arrays)"
            )
        if (hidden is None) != (self._hidden_axes is None):
            raise InvalidInputError(
                "hidden states must be given to both fit and transform, or to neither; they were "
                + ("given to fit only" if hidden is None else "given to transform only")
            )
        result = np.full((len(prompts), len(self.names_)), np.nan, dtype=np.float32)
        contents = [prompt.content for prompt in prompts]
        rows = [row for row, content in enumerate(contents) if content is not None]
        texts = [content for content in contents if content is not None]
        if texts:
            table = np.concatenate([self._read(texts[part]) for part in chunks(texts)])
            result[rows, : table.shape[1]] = table
        if hidden is not None and self._hidden_axes is not None and self._hidden_mean is not None:
            states = _check_hidden(hidden, len(prompts))
            if states.shape[1] != self._hidden_mean.size:
                raise InvalidInputError(
                    f"hidden must have {self._hidden_mean.size} columns as in fit, got {states.shape[1]}"
                )
            result[:, -self._hidden_axes.shape[1] :] = (states - self._hidden_mean) @ self._hidden_axes
        return result

    def _read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return statistics and wording of P texts, which are cut into tokens once."""
        both = with_last_lines(texts)
        tokens = tokenize(both)
        statistics = statistics_of(both, tokens)
        if self._embedding is None:
            return statistics
        return np.concatenate([statistics, self._embedding.embed(tokens.part(0, len(texts)))], axis=1)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` needs, without pickle.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "names_"):
            raise NotFittedError("these PromptFeatures are not fitted; call fit(prompts) first")
        arrays = {
            "parameters": np.array([self.embedding_dims, self.hidden_dims, self.seed], dtype=np.float64),
            "statistics": np.array([_FINGERPRINT], dtype=np.float64),
        }
        if self._embedding is not None:
            arrays |= nested("embedding", self._embedding.to_arrays())
        if self._hidden_mean is not None and self._hidden_axes is not None:
            arrays |= {"hidden.mean": self._hidden_mean, "hidden.axes": self._hidden_axes}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> PromptFeatures:
        """Restore fitted features from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing, or when they come from a version with other text statistics.
        """
        missing = {"parameters", "statistics"} - set(arrays)
        if missing:
            raise InvalidInputError(f"arrays of PromptFeatures lack {sorted(missing)}")
        if int(arrays["statistics"][0]) != _FINGERPRINT:
            raise InvalidInputError(
                "these features rest on other text statistics than this version computes; train again"
            )
        embedding_dims, hidden_dims, seed = (int(value) for value in arrays["parameters"])
        features = cls(embedding_dims=embedding_dims, hidden_dims=hidden_dims, seed=seed)
        features._embedding = (
            TextEmbedding.from_arrays(apart(arrays, "embedding")[1]) if embedding_dims else None
        )
        features._hidden_mean = arrays.get("hidden.mean")
        features._hidden_axes = arrays.get("hidden.axes")
        _check_axes(features._hidden_mean, features._hidden_axes)
        features._name_columns()
        return features

    def _fit_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Find the principal axes of the hidden states, scaled to unit variance."""
        states = hidden[np.isfinite(hidden).all(axis=1)]
        if not len(states):
            raise InvalidInputError("hidden states have no finite row")
        mean = states.mean(axis=0)
        dims = min(self.hidden_dims, max(1, len(states) // 8), states.shape[1])
        sizes, axes = principal_axes(states - mean, dims, seed=self.seed)
        self._hidden_mean = mean
        self._hidden_axes = axes.T / np.maximum(sizes / np.sqrt(len(states)), 1e-12)

    def _name_columns(self) -> None:
        """Set the column names from the fitted parts."""
        wording = 0 if self._embedding is None else self._embedding.dims_
        hidden = 0 if self._hidden_axes is None else self._hidden_axes.shape[1]
        self.names_ = (
            *TEXT_STATISTICS,
            *(f"wording_{index}" for index in range(wording)),
            *(f"hidden_{index}" for index in range(hidden)),
        )
        sizes = [size for size in (len(TEXT_STATISTICS), wording, hidden) if size]
        self.blocks_ = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)

    _embedding: TextEmbedding | None
    _hidden_mean: NDArray[np.float64] | None
    _hidden_axes: NDArray[np.float64] | None


def _check_axes(mean: NDArray[np.float64] | None, axes: NDArray[np.float64] | None) -> None:
    """Refuse a saved projection of hidden states that is none."""
    if mean is None and axes is None:
        return
    if mean is None or axes is None or axes.ndim != 2 or mean.shape != axes.shape[:1] or not axes.size:
        raise InvalidInputError("mean and axes of hidden states must have shapes (H,) and (H, D)")
    if not all(part.dtype.kind == "f" and (np.abs(part) <= _MAX_NUMBER).all() for part in (mean, axes)):
        raise InvalidInputError(f"a projection of hidden states must be finite and within ±{_MAX_NUMBER:g}")


def _check_hidden(hidden: NDArray[np.floating], n_prompts: int) -> NDArray[np.float64]:
    """Check that there is one row of hidden states per prompt."""
    if hidden.ndim != 2 or len(hidden) != n_prompts:
        raise InvalidInputError(f"hidden must have shape ({n_prompts}, H), got {hidden.shape}")
    return hidden.astype(np.float64)
