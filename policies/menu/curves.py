"""What each allocation was worth and used on recorded prompts: value curves measured by the exact estimators.

Policies are learned from a curve table, and evaluation measures with one: P prompts × A allocations, with NaN
where the log cannot tell. Samples of a pool are assumed exchangeable; averaging over prompts that resemble
each other is left to `difficulty.belief`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.contrast import contrast_curve, variance_curve
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k_curve
from difficulty.estimators.revision_chains import RevisionSelection, revision_accuracy
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import ChainPool, RecordedRuns, SamplePool
from policies.course.allocation import Allocation
from policies.plan.objective import GROUP_OBJECTIVES, Objective
from policies.verifier.learned_verifier import LEARNED, LearnedScorer
from policies.verifier.selection import PICKS, selection_accuracy

Half: TypeAlias = Literal["all", "even", "odd"]

_USAGE_FIELDS = ("samples", "prompt_tokens", "output_tokens", "verifier_tokens")
_RECORDED_SCORE = "score"
# Ways to select among revisions that read the recorded scores, unless the verifier is named otherwise.
_BY_SCORE = ("hierarchical", "best")


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveTable:
    """Value and usage of A allocations on P prompts.

    Parameters
    ----------
    prompt_ids : tuple of str
        The P prompts.
    allocations : tuple of Allocation
        The A allocations.
    value : ndarray of float64, shape (P, A)
        Probability in [0, 1] that the allocation's answer is correct (accuracy) or that a correct sample is
        among its samples (coverage), or the expected reward of what is selected where samples are valued by
        rewards, over the randomness of drawing; NaN where the log cannot tell.
    samples, prompt_tokens, output_tokens : ndarray of float64, shape (P, A)
        Expected usage; NaN where not recorded. Parallel samples, and the first attempts of parallel chains,
        share one prefill of the prompt; each later step of a chain pays for the prompt that it re-sends, and
        a search for all that its requests sent.
    verifier_tokens : ndarray of float64, shape (P, A), or None
        What the model that gave the recorded scores is expected to read for the allocation; NaN where not
        recorded or where no score is needed, None where nothing is recorded at all.
    """

    prompt_ids: tuple[str, ...]
    allocations: tuple[Allocation, ...]
    value: FloatArray
    samples: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray
    verifier_tokens: FloatArray | None = None


def measure_curves(
    log: SampleLog,
    allocations: Sequence[Allocation],
    *,
    objective: Objective = "accuracy",
    half: Half = "all",
    seed: int = 0,
    learned: Mapping[str, LearnedScorer] | None = None,
) -> CurveTable:
    """Measure every allocation on every prompt of a log.

    Parameters
    ----------
    log : SampleLog
        Recorded samples of P prompts.
    allocations : sequence of Allocation
        The A allocations, from `build_menu` of this log or of another one.
    objective : str
        ``"contrast"`` and ``"variance"`` value the samples of votes as a group of rollouts; under any other,
        allocations say themselves what they deliver.
    half : {"all", "even", "odd"}
        Use all recorded samples, or one of two disjoint halves of each pool: an oracle chooses on one and
        is scored on the other.
    seed : int
        Seed of the Monte-Carlo subsets of weighted votes and of picks by a learned verifier.
    learned : mapping of str to LearnedScorer, optional
        Learned verifiers by generator, for allocations that pick by one: cross-fitted for prompts that they
        were fitted on.

    Returns
    -------
    CurveTable
        Rows in the order of ``log.prompts``; NaN for a generator or run that the log does not have, and for a
        learned verifier that is not given.
    """
    shape = (len(log.prompts), len(allocations))
    value = np.full(shape, np.nan)
    usage = {name: np.full(shape, np.nan) for name in _USAGE_FIELDS}
    positions = sorted(range(len(allocations)), key=lambda index: _family_key(allocations[index]))
    for key, members in groupby(positions, key=lambda index: _family_key(allocations[index])):
        columns = list(members)
        family = [allocations[column] for column in columns]
        generator, strategy = key[0], key[1]
        if generator not in log.generators:
            continue
        runs = [run for run in log.runs() if (run.generator, run.strategy, _sized(run.params)) == key]
        chains = log.chains(generator) if family[0].traits.kind == "revision" else None
        if runs:
            measured = _measure_runs(runs[0], half_slice(half))
        elif chains is not None:
            measured = _measure_chains(chains, log.pool(generator), family, half_slice(half))
        elif strategy in PICKS and family[0].parameters.get("verifier") == LEARNED:
            scorer = (learned or {}).get(generator)
            if scorer is None:
                continue
            measured = _measure_learned(log.pool(generator), family, half_slice(half), seed, scorer)
        elif strategy in _ESTIMATORS:
            pool = half_pool(log.pool(generator), half, seed)
            grouped = objective in GROUP_OBJECTIVES and strategy == "majority_vote"
            measured = _measure_pool(
                pool,
                family,
                half_slice(half),
                seed,
                _GROUPS[objective] if grouped else _ESTIMATORS[strategy],
            )
        else:
            continue
        value[:, columns] = measured[0]
        for name, column_values in zip(_USAGE_FIELDS, measured[1:], strict=True):
            usage[name][:, columns] = column_values
    read = usage.pop("verifier_tokens")
    return CurveTable(
        prompt_ids=tuple(prompt.id for prompt in log.prompts),
        allocations=tuple(allocations),
        value=value,
        verifier_tokens=None if np.isnan(read).all() else read,
        **usage,
    )


_Measured: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
_Estimator: TypeAlias = Callable[[SamplePool, slice, NDArray[np.int_], str, int], FloatArray]


def _family_key(allocation: Allocation) -> tuple[str, str, tuple[tuple[str, object], ...]]:
    """Group allocations that one estimator call can value together."""
    params = allocation.parameters.items()
    if allocation.traits.kind == "search":  # its size is a parameter of the run that was recorded
        params = {**allocation.parameters, "n": allocation.width}.items()
    return (allocation.generator, allocation.strategy, tuple(sorted(params)))


def _sized(params: Iterable[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
    """Return the parameters of a recorded run with its size, which is 1 where it is not named."""
    return tuple(sorted({"n": 1, **dict(params)}.items()))


def half_pool(pool: SamplePool, half: Half, seed: int) -> SamplePool:
    """Put the recorded counts of counts-only lines in a random order, so that both halves are fair draws."""
    if half == "all" or not pool.counts_only.any():
        return pool
    rng = np.random.default_rng(seed)
    correct = pool.correct.copy()
    for row in np.flatnonzero(pool.counts_only):
        rng.shuffle(correct[row, : pool.n[row]])
    return replace(pool, correct=correct)


def half_slice(half: Half) -> slice:
    return {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[half]


def _measure_pool(
    pool: SamplePool, family: list[Allocation], columns: slice, seed: int, estimate: _Estimator
) -> _Measured:
    """Value independent samples by the family's estimator; usage is width × the prompt's mean sample."""
    widths = np.array([allocation.width for allocation in family])
    verifier = str(family[0].parameters.get("verifier", ""))
    value = estimate(pool, columns, widths, verifier, seed)
    return _with_usage(pool, value, widths, scored=verifier == _RECORDED_SCORE)


def _measure_learned(
    pool: SamplePool, family: list[Allocation], columns: slice, seed: int, scorer: LearnedScorer
) -> _Measured:
    """Value picks by a learned verifier, which spends nothing of its own."""
    widths = [allocation.width for allocation in family]
    picked = selection_accuracy(pool, scorer, widths, columns=columns, seed=seed)
    value = picked.best_of_n if family[0].strategy == "best_of_n" else picked.weighted_best_of_n
    return _with_usage(pool, value, np.array(widths))


def _with_usage(
    pool: SamplePool, value: FloatArray, widths: NDArray[np.int_], *, scored: bool = False
) -> _Measured:
    """Add the usage of `width` samples of each prompt; NaN where the generator has no line for it."""
    has_line = pool.n > 0
    value[~has_line] = np.nan
    # Tokens are averaged over the whole pool in either half: what a sample costs is not what halves are
    # compared on.
    tokens = row_mean(pool.output_tokens)
    samples = np.broadcast_to(widths.astype(float), value.shape)
    prompt_tokens = np.broadcast_to(pool.prompt_tokens[:, None], value.shape)
    read = np.full(value.shape, np.nan)
    if scored and pool.verifier_tokens is not None:
        read = row_mean(pool.verifier_tokens)[:, None] * widths
    return value, samples, prompt_tokens, tokens[:, None] * widths, read


def _vote(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
    if widths.max() == 1:
        return _rates(pool, columns)[:, None]
    worth, nothing = _selectable(pool, columns)
    value = majority_vote_accuracy(pool.answer[:, columns], worth, widths) + nothing
    # One sample needs no vote: its correctness counts even where its answer was not recorded.
    value[:, widths == 1] = _rates(pool, columns)[:, None]
    value[pool.counts_only[:, None] & (widths > 1)] = np.nan
    return value


def _best(pool: SamplePool, columns: slice, widths: NDArray[np.int_], verifier: str, _: int) -> FloatArray:
    correct, answer = pool.correct[:, columns], pool.answer[:, columns]
    scores = _scores(pool, verifier)[:, columns]
    # Where answers are recorded, a sample without one is never selected, as in the strategy.
    unrecorded = pool.worth is None and bool(((answer == -1) & (correct == 1)).any())
    if unrecorded or not bool((answer >= 0).any()):
        return best_of_n_accuracy(scores, pool.value[:, columns], widths)
    worth, nothing = _selectable(pool, columns)
    return best_of_n_accuracy(scores, worth, widths, answer=answer) + nothing


def _weighted(
    pool: SamplePool, columns: slice, widths: NDArray[np.int_], verifier: str, seed: int
) -> FloatArray:
    worth, nothing = _selectable(pool, columns)
    scores = _scores(pool, verifier)[:, columns]
    return weighted_vote_accuracy(pool.answer[:, columns], scores, worth, widths, seed=seed).mean + nothing


def _coverage(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
    correct = pool.correct[:, columns]
    n = (correct >= 0).sum(axis=1)
    return pass_at_k_curve(n, (correct == 1).sum(axis=1), widths)


def _contrast(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
    correct = pool.correct[:, columns]
    return contrast_curve((correct >= 0).sum(axis=1), (correct == 1).sum(axis=1), widths)


def _variance(pool: SamplePool, columns: slice, widths: NDArray[np.int_], _: str, __: int) -> FloatArray:
    correct = pool.correct[:, columns]
    return variance_curve((correct >= 0).sum(axis=1), (correct == 1).sum(axis=1), widths)


_ESTIMATORS: dict[str, _Estimator] = {
    "majority_vote": _vote,
    "best_of_n": _best,
    "weighted_best_of_n": _weighted,
    "first_success": _coverage,
}
_GROUPS: dict[str, _Estimator] = {"contrast": _contrast, "variance": _variance}


def _scores(pool: SamplePool, verifier: str) -> FloatArray:
    """Return the recorded scores; a mean log-probability becomes a probability, so that sums of it make
    sense.
    """
    return np.exp(pool.mean_logprob) if verifier == "mean_logprob" else pool.score


def _rates(pool: SamplePool, columns: slice) -> FloatArray:
    """Return the mean value of the samples whose value is known, shape (P,)."""
    return row_mean(pool.value[:, columns])


def _selectable(
    recorded: SamplePool | ChainPool, columns: slice
) -> tuple[FloatArray | NDArray[np.int8], FloatArray]:
    """Return what samples are worth beyond no answer at all, and what that is worth, shape (P, 1).

    Where nobody answers, nothing is selected: that is never right, and earns the rewards that abstentions
    earned. Estimators count it as 0.
    """
    if recorded.worth is None:
        return recorded.correct[:, columns], np.zeros((len(recorded.n), 1))
    value, silent = recorded.worth[:, columns], recorded.answer[:, columns] == -1
    nothing = np.nan_to_num(row_mean(np.where(silent, value, np.nan).reshape(len(value), -1)))
    apart = nothing.reshape(-1, *[1] * (value.ndim - 1))
    return np.where(silent, 0.0, value - apart), nothing[:, None]


def _measure_chains(
    chains: ChainPool, pool: SamplePool, family: list[Allocation], columns: slice
) -> _Measured:
    """Value chains as whole units: prefixes of `width` chains, drawn without replacement."""
    widths = sorted({allocation.width for allocation in family})
    depths = sorted({allocation.depth for allocation in family})
    selection = cast("RevisionSelection", family[0].parameters.get("selection", "majority"))
    (worth, nothing), answer = _selectable(chains, columns), chains.answer[:, columns]
    verifier = family[0].parameters.get("verifier", _RECORDED_SCORE)
    scored = selection in _BY_SCORE and verifier == _RECORDED_SCORE
    score = chains.score[:, columns] if scored else None
    accuracy = revision_accuracy(
        worth, answer, score, np.array(widths), np.array(depths), selection=selection
    )
    cells = [(widths.index(a.width), depths.index(a.depth)) for a in family]
    value = np.stack([accuracy[:, w, d] for w, d in cells], axis=1) + nothing
    output = _prefix_tokens(chains.output_tokens[:, columns], family)
    prompt = _prefix_tokens(chains.prompt_tokens[:, columns], family, shared=True)
    # Where chains do not record what they re-sent, each step re-sends at least the prompt.
    n_sent = np.array([1 + a.width * (a.depth - 1) for a in family])
    prompt = np.where(np.isnan(prompt), pool.prompt_tokens[:, None] * n_sent, prompt)
    samples = np.broadcast_to(np.array([float(allocation.n) for allocation in family]), value.shape)
    read = np.full(value.shape, np.nan)
    if scored and chains.verifier_tokens is not None:
        read = _prefix_tokens(chains.verifier_tokens[:, columns], family)
    return value, samples, prompt, output, read


def _prefix_tokens(tokens: FloatArray, family: list[Allocation], *, shared: bool = False) -> FloatArray:
    """Return the expected tokens of `width` chains of `depth` steps, shape (P, A); `shared`: the first steps
    of all chains are one request, which reads the prompt once.
    """
    per_step = np.stack([row_mean(tokens[:, :, step]) for step in range(tokens.shape[2])], axis=1)
    total = np.cumsum(per_step, axis=1)
    spared = per_step[:, 0] if shared else np.zeros(len(tokens))
    return np.stack([total[:, a.depth - 1] * a.width - spared * (a.width - 1) for a in family], axis=1)


def _measure_runs(runs: RecordedRuns, columns: slice) -> _Measured:
    """Value complete recorded runs: the mean over the runs of each prompt."""
    value = row_mean(runs.value[:, columns])[:, None]
    samples = np.full(value.shape, float(dict(runs.params).get("n", 1)))
    used = (runs.prompt_tokens, runs.output_tokens, runs.verifier_tokens)
    prompt, output, read = (row_mean(table[:, columns])[:, None] for table in used)
    return value, samples, prompt, output, read


def row_mean(values: FloatArray) -> FloatArray:
    """Return the mean of each row without NaN; NaN where a row has none, shape (P,)."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float64)
