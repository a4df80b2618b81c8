"""Embed prompts by their wording: hashed word and character n-grams, weighted, projected by a fitted SVD.

Texts that share words, phrases or spelling lie close together, which tells a predictor the kind of prompt
where counts alone cannot. It assumes nothing but text: no vocabulary, no language and no model is needed, and
numbers count by their length only. Meaning beyond wording is left to `hidden_states`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, NotFittedError
from difficulty.features.principal_axes import principal_axes
from difficulty.features.text.tokens import DIGIT, SPACE, TextTokens, chunks, mix, spread, tokenize

# Texts per dense table of counts: 64 x 4096 numbers stay in the processor's cache.
_CHUNK_TEXTS = 64
# The projection is fitted on at most so many texts, drawn with the seed.
_MAX_FIT_TEXTS = 10_000
# Decimals of the projection: products in another process can differ in their last bits (addresses decide how
# they are summed), and equal inputs must write equal bytes. Adding 0 makes a negative zero a positive one.
_DECIMALS = 6
# One dimension per so many texts at most, so that small logs get a small embedding.
_TEXTS_PER_DIMENSION = 8
# Saved numbers beyond this would overflow, and so many dimensions nobody fits.
_MAX_NUMBER = 1e9
_MAX_DIMS = 4096
_NEWLINE, _BLANK, _ZERO = ord("\n"), ord(" "), ord("0")
# Odd multipliers that make a hash depend on order: one per place in an n-gram.
_PLACES = tuple(
    np.uint64(value)
    for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)


class TextEmbedding:
    """Project the wording of texts to a few dimensions; follows the conventions of scikit-learn.

    Parameters
    ----------
    dims : int, default 32
        Dimensions at most, >= 1; fewer are kept when there are under 8 texts per dimension, or when texts
        vary in fewer ways.
    n_buckets : int, default 2048
        Hash buckets for word n-grams, and as many for character n-grams; a power of two, >= 16.
    seed : int, default 0
        Seed of the randomised SVD and of the subsample that it is fitted on.

    Attributes
    ----------
    dims_ : int
        Dimensions that were kept, D.
    inverse_frequency_ : numpy.ndarray, shape (2 * n_buckets,), float64
        Weight of each bucket: log((1 + P) / (1 + texts that have it)) + 1.
    projection_ : numpy.ndarray, shape (2 * n_buckets, D), float64
        Right singular vectors.

    Raises
    ------
    InvalidInputError
        When a parameter is out of range.

    Notes
    -----
    scikit-learn's vectorizers cost about a millisecond per call and keep their vocabulary in
    Python objects; the hashing here is a few array operations, equal on every platform, and needs only two
    arrays to be saved.

    References
    ----------
    Weinberger et al. 2009, arXiv:0902.2206 (feature hashing; we use no sign bit, as
    counts enter by their root).

    Examples
    --------
    >>> texts = [f"add {i} apples" for i in range(20)] + [f"def f(x): return x * {i}" for i in range(20)]
    >>> TextEmbedding(dims=2).fit(texts).transform(["add 7 pears"]).shape
    (1, 2)
    """

    dims_: int
    inverse_frequency_: NDArray[np.float64]
    projection_: NDArray[np.float64]
    _squared: NDArray[np.float64]
    _weighed: NDArray[np.float64]

    def __init__(self, *, dims: int = 32, n_buckets: int = 2048, seed: int = 0) -> None:
        if not 1 <= dims <= _MAX_DIMS:
            raise InvalidInputError(f"dims must be an integer >= 1 and at most {_MAX_DIMS}, got {dims!r}")
        if n_buckets < 16 or n_buckets & (n_buckets - 1):
            raise InvalidInputError(f"n_buckets must be a power of two >= 16, got {n_buckets!r}")
        self.dims = dims
        self.n_buckets = n_buckets
        self.seed = seed

    def fit(self, texts: Sequence[str]) -> TextEmbedding:
        """Learn the weights of the buckets and the projection from P >= 1 texts.

        Raises
        ------
        InvalidInputError
            When there is no text.
        """
        if not texts:
            raise InvalidInputError("an embedding is fitted on one text or more, got none")
        rng = np.random.default_rng(self.seed)
        if len(texts) > _MAX_FIT_TEXTS:
            chosen = np.sort(rng.choice(len(texts), _MAX_FIT_TEXTS, replace=False))
            texts = [texts[index] for index in chosen]
        roots = np.concatenate([np.sqrt(self._counts(tokenize(texts[part]))) for part in chunks(texts)])
        n_with = np.count_nonzero(roots, axis=0)
        self.inverse_frequency_ = np.log((1.0 + len(texts)) / (1.0 + n_with)) + 1.0
        roots *= self.inverse_frequency_
        blocks = roots.reshape(len(roots), 2, self.n_buckets)
        blocks /= np.maximum(np.sqrt(np.einsum("pbn,pbn->pb", blocks, blocks)), 1e-12)[:, :, None]
        most = min(self.dims, max(1, len(texts) // _TEXTS_PER_DIMENSION))
        _, axes = principal_axes(roots, most, seed=self.seed)
        self.dims_ = len(axes)
        self.projection_ = np.ascontiguousarray(axes.T.round(_DECIMALS) + 0.0, dtype=np.float64)
        return self._prepare()

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed P texts.

        Returns
        -------
        numpy.ndarray, shape (P, D), float32

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        empty = np.empty((0, getattr(self, "dims_", 0)), dtype=np.float32)
        return np.concatenate([empty, *(self.embed(tokenize(texts[part])) for part in chunks(texts))])

    def embed(self, tokens: TextTokens) -> NDArray[np.float32]:
        """Embed P texts that were cut into tokens, as in `transform`."""
        if not hasattr(self, "projection_"):
            raise NotFittedError("this TextEmbedding is not fitted; call fit(texts) or from_arrays(arrays)")
        result = np.empty((len(tokens), self.dims_), dtype=np.float32)
        for start in range(0, len(tokens), _CHUNK_TEXTS):
            counts = self._counts(tokens.part(start, start + _CHUNK_TEXTS))
            # Buckets that no text here has are left out: of one text, nine in ten.
            used = np.flatnonzero(counts.any(axis=0))
            counts = counts[:, used].astype(np.float64)
            split = int(used.searchsorted(self.n_buckets))
            parts = []
            for block in (slice(split), slice(split, None)):  # words and characters, each of unit length
                few, at = counts[:, block], used[block]
                length = np.sqrt(few @ self._squared[at])
                parts.append((np.sqrt(few) @ self._weighed[at]) / np.maximum(length, 1e-12)[:, None])
            result[start : start + _CHUNK_TEXTS] = parts[0] + parts[1]
        return result

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` needs, without pickle.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "projection_"):
            raise NotFittedError("this TextEmbedding is not fitted; call fit(texts) first")
        return {
            "inverse_frequency": self.inverse_frequency_,
            "projection": self.projection_,
            "parameters": np.array([self.dims, self.n_buckets, self.seed], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> TextEmbedding:
        """Restore a fitted embedding from `to_arrays`.

        Raises
        ------
        InvalidInputError
            When an array is missing or has a shape that does not fit.
        """
        missing = {"inverse_frequency", "projection", "parameters"} - set(arrays)
        if missing:
            raise InvalidInputError(f"arrays of a TextEmbedding lack {sorted(missing)}")
        dims, n_buckets, seed = (int(value) for value in arrays["parameters"])
        embedding = cls(dims=dims, n_buckets=n_buckets, seed=seed)
        embedding.inverse_frequency_ = np.asarray(arrays["inverse_frequency"], dtype=np.float64)
        embedding.projection_ = np.ascontiguousarray(arrays["projection"], dtype=np.float64)
        shape = embedding.projection_.shape
        if len(shape) != 2 or shape[0] != 2 * n_buckets or embedding.inverse_frequency_.shape != shape[:1]:
            raise InvalidInputError(
                f"a TextEmbedding with {n_buckets} buckets has {2 * n_buckets} rows in each array, got "
                f"{shape} and {embedding.inverse_frequency_.shape}"
            )
        weights, projection = embedding.inverse_frequency_, embedding.projection_
        if not 1 <= shape[1] <= dims or not (np.abs(projection) <= _MAX_NUMBER).all():
            raise InvalidInputError(
                f"a projection has 1 to {dims} finite columns, each number within ±{_MAX_NUMBER:g}"
            )
        if not ((weights >= 0) & (weights <= _MAX_NUMBER)).all():
            raise InvalidInputError(f"weights of buckets must lie between 0 and {_MAX_NUMBER:g}")
        embedding.dims_ = shape[1]
        return embedding._prepare()

    def _prepare(self) -> TextEmbedding:
        """Work out what is the same for all texts."""
        self._squared = np.square(self.inverse_frequency_)
        self._weighed = self.inverse_frequency_[:, None] * self.projection_
        return self

    def _counts(self, tokens: TextTokens) -> NDArray[np.int64]:
        """Return the count of each bucket in each text; shape (P, 2 * n_buckets)."""
        n_texts, width = len(tokens), 2 * self.n_buckets
        shift = np.uint64(64 - (self.n_buckets.bit_length() - 1))
        kind = tokens.classes[tokens.start]
        words = tokens.hashes.copy()
        number = (kind == DIGIT).nonzero()[0]
        words[number] = mix((tokens.end - tokens.start)[number].astype(np.uint16))
        lead = words * _PLACES[0]
        pairs = lead[:-1] + words[1:] * _PLACES[1]
        same = (tokens.owner[1:] == tokens.owner[:-1]).nonzero()[0]
        keys = [
            tokens.owner * width + (spread(lead) >> shift).astype(np.int64),
            tokens.owner[same] * width + (spread(pairs[same]) >> shift).astype(np.int64),
        ]
        # The newline in front is a guard like the one after each text: a row must not depend on other rows.
        codes = np.concatenate([np.array([_NEWLINE], dtype=np.uint16), tokens.codes])
        classes = np.concatenate([np.array([SPACE], dtype=np.uint8), tokens.classes])
        codes[classes == DIGIT] = _ZERO
        codes[classes == SPACE] = _BLANK
        base = (np.arange(n_texts) * width + self.n_buckets).repeat(tokens.sizes)
        mixed = mix(codes)
        solid = classes != SPACE
        grams = mixed[:-1] * _PLACES[0] + mixed[1:] * _PLACES[1]
        # The middle of an n-gram is solid: white space stands at its edges only, as a mark of a word's edge.
        whole = solid[1:] | solid[:-1]
        keys.append((base + (grams >> shift).astype(np.int64))[whole])
        whole = solid[1:-1]
        for place in (2, 3):
            grams = grams[:-1] + mixed[place:] * _PLACES[place]
            base = base[1:]
            keys.append((base + (grams >> shift).astype(np.int64))[whole])
            whole = whole[:-1] & solid[place:-1]
        return np.bincount(np.concatenate(keys), minlength=n_texts * width).reshape(n_texts, width)
