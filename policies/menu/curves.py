"""What each allocation was worth and used on recorded prompts: value curves measured by the exact estimators.

Policies are learned from a curve table, and evaluation measures with one: P prompts × A allocations, with NaN
where the log cannot tell. Samples of a pool are assumed exchangeable; averaging over prompts that resemble
each other is left to `difficulty.belief`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_mean
from difficulty.estimators.revision_chains import RevisionSelection, revision_accuracy
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import ChainPool, RecordedPool, RecordedRuns, SamplePool
from policies.course.allocation import Allocation
from policies.menu.estimates import ESTIMATORS, GROUPS, Estimator, selectable
from policies.menu.halves import Half, half_pool, half_slice
from policies.plan.objective import GROUP_OBJECTIVES, Objective
from policies.replay.recorded_answers import spared
from policies.verifier.learned_verifier import LEARNED, LearnedScorer
from policies.verifier.selection import PICKS, selection_accuracy

_USAGE_FIELDS = ("samples", "prompt_tokens", "cached_prompt_tokens", "output_tokens", "verifier_tokens")
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
    cached_prompt_tokens : ndarray of float64, shape (P, A)
        What a cache was recorded to spare of prompt tokens that no other sample shares.
    verifier_tokens : ndarray of float64, shape (P, A), or None
        What the model that gave the recorded scores is expected to read for the allocation; NaN where not
        recorded or where no score is needed, None where nothing is recorded at all.
    """

    prompt_ids: tuple[str, ...]
    allocations: tuple[Allocation, ...]
    value: FloatArray
    samples: FloatArray
    prompt_tokens: FloatArray
    cached_prompt_tokens: FloatArray
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
            measured = _measure_runs(runs[0], log.pool(generator), half_slice(half))
        elif chains is not None:
            measured = _measure_chains(chains, log.pool(generator), family, half_slice(half))
        elif strategy in PICKS and family[0].parameters.get("verifier") == LEARNED:
            scorer = (learned or {}).get(generator)
            if scorer is None:
                continue
            measured = _measure_learned(log.pool(generator), family, half_slice(half), seed, scorer)
        elif strategy in ESTIMATORS:
            pool = half_pool(log.pool(generator), half, seed)
            grouped = objective in GROUP_OBJECTIVES and strategy == "majority_vote"
            measured = _measure_pool(
                pool,
                family,
                half_slice(half),
                seed,
                GROUPS[objective] if grouped else ESTIMATORS[strategy],
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


_Measured: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _family_key(allocation: Allocation) -> tuple[str, str, tuple[tuple[str, object], ...]]:
    """Group allocations that one estimator call can value together."""
    params = allocation.parameters.items()
    if allocation.traits.kind == "search":  # its size is a parameter of the run that was recorded
        params = {**allocation.parameters, "n": allocation.width}.items()
    return (allocation.generator, allocation.strategy, tuple(sorted(params)))


def _sized(params: Iterable[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
    """Return the parameters of a recorded run with its size, which is 1 where it is not named."""
    return tuple(sorted({"n": 1, **dict(params)}.items()))


def _measure_pool(
    pool: SamplePool, family: list[Allocation], columns: slice, seed: int, estimate: Estimator
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
    own = pool.own_prompt_tokens
    cached = row_mean(_spared(pool, np.zeros(1) if own is None else own))[:, None] * widths
    read = np.full(value.shape, np.nan)
    if scored and pool.verifier_tokens is not None:
        read = row_mean(pool.verifier_tokens)[:, None] * widths
    return value, samples, prompt_tokens, cached, tokens[:, None] * widths, read


def _measure_chains(
    chains: ChainPool, pool: SamplePool, family: list[Allocation], columns: slice
) -> _Measured:
    """Value chains as whole units: prefixes of `width` chains, drawn without replacement."""
    widths = sorted({allocation.width for allocation in family})
    depths = sorted({allocation.depth for allocation in family})
    selection = cast("RevisionSelection", family[0].parameters.get("selection", "majority"))
    (worth, nothing), answer = selectable(chains, columns), chains.answer[:, columns]
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
    again = _spared(chains, chains.prompt_tokens - pool.shared_prompt_tokens[:, None, None])
    cached = _prefix_tokens(again[:, columns], family, shared=True)
    samples = np.broadcast_to(np.array([float(allocation.n) for allocation in family]), value.shape)
    read = np.full(value.shape, np.nan)
    if scored and chains.verifier_tokens is not None:
        read = _prefix_tokens(chains.verifier_tokens[:, columns], family)
    return value, samples, prompt, cached, output, read


def _spared(pool: RecordedPool, resent: FloatArray) -> FloatArray:
    """Return what a cache spared of what each sent itself, in the shape of `pool.answer`; NaN on padding."""
    cached = pool.cached_prompt_tokens
    known = 0.0 if cached is None else spared(cached, resent)
    return np.where(pool.answer == -2, np.nan, known)


def _prefix_tokens(tokens: FloatArray, family: list[Allocation], *, shared: bool = False) -> FloatArray:
    """Return the expected tokens of `width` chains of `depth` steps, shape (P, A); `shared`: the first steps
    of all chains are one request, which reads the prompt once.
    """
    per_step = np.stack([row_mean(tokens[:, :, step]) for step in range(tokens.shape[2])], axis=1)
    total = np.cumsum(per_step, axis=1)
    spared = per_step[:, 0] if shared else np.zeros(len(tokens))
    return np.stack([total[:, a.depth - 1] * a.width - spared * (a.width - 1) for a in family], axis=1)


def _measure_runs(runs: RecordedRuns, pool: SamplePool, columns: slice) -> _Measured:
    """Value complete recorded runs: the mean over the runs of each prompt."""
    value = row_mean(runs.value[:, columns])[:, None]
    samples = np.full(value.shape, float(dict(runs.params).get("n", 1)))
    used = (runs.prompt_tokens, runs.output_tokens, runs.verifier_tokens)
    prompt, output, read = (row_mean(table[:, columns])[:, None] for table in used)
    again = _spared(runs, runs.prompt_tokens - pool.shared_prompt_tokens[:, None])
    cached = row_mean(again[:, columns])[:, None]
    return value, samples, prompt, cached, output, read
