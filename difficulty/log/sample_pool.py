"""What was recorded for one generator, as padded arrays over the prompts of a log.

A `SamplePool` holds independent samples, a `ChainPool` revision chains, `RecordedRuns` complete runs of a
search strategy; they assume nothing about what will be done with them. Estimators on them are left to the
other modules of this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from difficulty.log.wire import ParameterScalar


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordedPool:
    """What samples, chains and runs have alike; each array has a row per prompt, and is padded.

    Parameters
    ----------
    generator : str
        Name of the generator.
    n : ndarray of int64, shape (P,)
        How many are recorded; 0 where the generator has no line for that prompt.
    correct : ndarray of int8
        1 correct, 0 wrong, -1 unknown or padding.
    answer : ndarray of int32
        Code of the answer within the prompt, shared over all generators of the log, in order of first
        appearance; -1 abstains, -2 padding.
    output_tokens, score : ndarray of float64
        NaN where not recorded, and on padding.
    worth : ndarray of float64, or None
        What each is worth, where that is not its correctness (`SampleLog.valued_by`); NaN where not known and
        on padding.
    cached_prompt_tokens : ndarray of float64, or None
        The part of its prompt tokens that a cache spared; NaN where not recorded and on padding, None where
        none has any.
    """

    generator: str
    n: NDArray[np.int64]
    correct: NDArray[np.int8]
    answer: NDArray[np.int32]
    output_tokens: NDArray[np.float64]
    score: NDArray[np.float64]
    worth: NDArray[np.float64] | None = None
    cached_prompt_tokens: NDArray[np.float64] | None = None

    @property
    def value(self) -> NDArray[np.float64]:
        """What each is worth: its reward, or 1 and 0 for right and wrong; NaN where not known and on padding.
        The one place where correctness becomes a value; ndarray of float64, of the shape of `correct`.
        """
        if self.worth is not None:
            return self.worth
        return np.where(self.correct < 0, np.nan, self.correct).astype(np.float64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SamplePool(RecordedPool):
    """Independent samples of one generator over the P prompts of a log, padded to M samples.

    Parameters
    ----------
    n_correct : ndarray of int64, shape (P,)
        Correct ones among those whose correctness is known; see `n_known`.
    generator, n, correct, answer, output_tokens, score, worth, cached_prompt_tokens
        Of samples, see `RecordedPool`; arrays but `n` have shape (P, M).
    mean_logprob : ndarray of float64, shape (P, M)
        Nats per token; NaN where not recorded, and on padding.
    truncated : ndarray of bool, shape (P, M)
        Whether the sample was cut at its token limit (``finish`` is ``"length"``).
    prompt_tokens : ndarray of float64, shape (P,)
        Length of the prompt as this generator saw it, which samples that are asked for at once share; where
        the line does not say it, the mean over its samples. NaN where not recorded.
    counts_only : ndarray of bool, shape (P,)
        The line had `n` and `n_correct` only: `correct` is then `n_correct` ones followed by zeros, in
        an order that means nothing, and every answer is -1.
    verifier_tokens : ndarray of float64, shape (P, M), or None
        Tokens that a verifier's model read to score the sample, in that model's own tokens; NaN where not
        recorded and on padding, None where no sample of the log has them.
    own_prompt_tokens : ndarray of float64, shape (P, M), or None
        Prompt tokens that each sample sent in its own requests, as agents do: to be charged for each sample
        in place of `prompt_tokens`, which stands where a sample does not say it. NaN on padding; None
        unless samples of one prompt differ, or a cache spared some of their prompts.

    Examples
    --------
    >>> from difficulty import Generator, SampleLog
    >>> record = {"prompt_id": "a", "generator": "tiny",
    ...           "samples": [{"answer": "4", "correct": True}, {"answer": None, "correct": False}]}
    >>> pool = SampleLog.from_records([record], {"tiny": Generator(name="tiny")}).pool("tiny")
    >>> pool.n_correct.tolist(), pool.answer.tolist()
    ([1], [[0, -1]])
    """

    n_correct: NDArray[np.int64]
    mean_logprob: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    prompt_tokens: NDArray[np.float64]
    counts_only: NDArray[np.bool_]
    verifier_tokens: NDArray[np.float64] | None = None
    own_prompt_tokens: NDArray[np.float64] | None = None

    @property
    def shared_prompt_tokens(self) -> NDArray[np.float64]:
        """What samples that are asked for at once share of their prompt: all of it, or 0 where each sends its
        own; ndarray of float64, shape (P,).
        """
        return self.prompt_tokens if self.own_prompt_tokens is None else np.zeros(len(self.n))

    @property
    def n_valued(self) -> NDArray[np.int64]:
        """Samples whose value is known, at most `n`; ndarray of int64, shape (P,)."""
        known = self.correct >= 0 if self.worth is None else ~np.isnan(self.worth)
        return np.asarray(known.sum(axis=1), dtype=np.int64)

    @property
    def n_known(self) -> NDArray[np.int64]:
        """Samples whose correctness is known, at most `n`; ndarray of int64, shape (P,)."""
        return np.asarray((self.correct >= 0).sum(axis=1), dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChainPool(RecordedPool):
    """Revision chains of one generator over the P prompts of a log: C chains of S steps, padded.

    Parameters
    ----------
    n_steps : int
        S, the length of the longest chain.
    generator, n, correct, answer, output_tokens, score, worth, cached_prompt_tokens
        Of attempts, see `RecordedPool`; arrays but `n`, which counts chains, have shape (P, C, S).
    prompt_tokens, mean_logprob : ndarray of float64, shape (P, C, S)
        NaN where not recorded, and on padding; `prompt_tokens` of a step includes the earlier steps, re-sent.
    params : tuple of pairs
        Settings that the attempts were drawn with, sorted by name, without ``depth``.
    verifier_tokens : ndarray of float64, shape (P, C, S), or None
        As in `SamplePool`, for each attempt.
    """

    n_steps: int
    prompt_tokens: NDArray[np.float64]
    mean_logprob: NDArray[np.float64]
    params: tuple[tuple[str, ParameterScalar], ...] = ()
    verifier_tokens: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordedRuns(RecordedPool):
    """Complete runs of one strategy with one parameter set over the P prompts of a log, padded to R runs.

    Parameters
    ----------
    strategy : str
        E.g. ``"beam_search"``.
    params : tuple of pairs
        Strategy parameters, sorted by name.
    generator, n, correct, answer, output_tokens, score, worth, cached_prompt_tokens
        Of runs and what they returned, see `RecordedPool`; arrays but `n` have shape (P, R), and tokens are
        all that a run generated.
    prompt_tokens, verifier_tokens : ndarray of float64, shape (P, R)
        All prompt tokens that the requests of a run sent (the question and what was re-sent after it), and
        all tokens that its verifier's model read; NaN where not recorded.
    step_scores : ndarray of object, shape (P, R), or None
        Scores of the steps of what the run returned, as tuples; None where not recorded, and altogether where
        no sample of the log has any.
    """

    strategy: str
    params: tuple[tuple[str, ParameterScalar], ...]
    prompt_tokens: NDArray[np.float64]
    verifier_tokens: NDArray[np.float64]
    step_scores: NDArray[np.object_] | None = None
