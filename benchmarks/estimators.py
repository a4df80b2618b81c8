"""Time the exact estimators against what one would write without them, in one run.

Each row has a named alternative on the same pools: drawing subsets and counting votes in a loop, or
enumerating all subsets. The ratio is of wall times per prompt; the error is the largest difference from the
exact value. The pools are simulated with a fixed seed, and all runs share one machine and one thread.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.pass_at_k import pass_at_k_curve
from difficulty.estimators.weighted_vote import weighted_vote_accuracy

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class Measurement(NamedTuple):
    """One row: the estimator and its seconds, the alternative and its seconds for as many prompts."""

    name: str
    seconds: float
    alternative: str
    alternative_seconds: float
    largest_difference: float


class Pools(NamedTuple):
    """Simulated pools: answers, scores and labels, all (P, M)."""

    answer: _Ints
    score: _Floats
    correct: _Ints


def simulate(n_prompts: int, n_samples: int, seed: int = 0) -> Pools:
    """Simulate pools of 20 possible answers, the first of them correct, with informative scores.

    Parameters
    ----------
    n_prompts, n_samples : int
        Prompts P and samples per prompt M.
    seed : int
        Seed >= 0.
    """
    rng = np.random.default_rng(seed)
    chance = rng.dirichlet(np.r_[1.0, np.full(19, 0.2)], size=n_prompts)
    answer = (rng.random((n_prompts, n_samples, 1)) > np.cumsum(chance, axis=1)[:, None, :-1]).sum(axis=2)
    correct = (answer == 0).astype(np.int64)
    return Pools(answer, rng.random(answer.shape) + 0.3 * correct, correct)


def run(*, full: bool = True) -> list[Measurement]:
    """Measure every estimator.

    Parameters
    ----------
    full : bool
        Sizes of real logs; otherwise a tenth of the prompts.
    """
    scale = 1 if full else 10
    small, large = simulate(7200 // scale, 10), simulate(400 // scale, 64)
    hundred = simulate(max(100 // scale, 10), 100)
    every, odd = np.arange(1, 11), np.arange(1, 65, 2)
    counts = large.correct.sum(axis=1)
    size = np.full(len(counts), 64)
    return [
        _compare(
            "majority vote, 10 samples, widths 1-10",
            lambda: majority_vote_accuracy(small.answer, small.correct, every),
            "all subsets in a loop",
            lambda rows: _enumerated(small, every, rows),
            len(small.answer),
            n_alternative=20,
        ),
        _compare(
            "majority vote, 64 samples, odd widths",
            lambda: majority_vote_accuracy(large.answer, large.correct, odd),
            "1,000 drawn subsets in a loop",
            lambda rows: _drawn(large, odd, rows, 1000),
            len(large.answer),
            n_alternative=2,
        ),
        _compare(
            "majority vote, 100 samples, widths 1-100",
            lambda: majority_vote_accuracy(hundred.answer, hundred.correct, np.arange(1, 101)),
            "1,000 drawn subsets in a loop",
            lambda rows: _drawn(hundred, np.arange(1, 101), rows, 1000),
            len(hundred.answer),
            n_alternative=1,
        ),
        _compare(
            "best-of-N, 64 samples, odd widths",
            lambda: best_of_n_accuracy(large.score, large.correct, odd),
            "1,000 drawn subsets, vectorised",
            lambda rows: _drawn_best(large, odd, rows, 1000),
            len(large.answer),
            n_alternative=20,
        ),
        _compare(
            "weighted vote, 64 samples, odd widths, 200 draws",
            lambda: weighted_vote_accuracy(large.answer, large.score, large.correct, odd).mean,
            "200 drawn subsets in a loop",
            lambda rows: _drawn(large, odd, rows, 200, weighted=True),
            len(large.answer),
            n_alternative=5,
        ),
        _compare(
            "pass@k, k 1-64",
            lambda: pass_at_k_curve(size, counts, np.arange(1, 65)),
            "product formula of Chen et al. in a loop",
            lambda rows: _pass_at_k(counts[:rows], 64),
            len(counts),
            n_alternative=len(counts),
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` runs a tenth of the prompts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args(argv)
    table = Table(title="Estimators", caption="Bound by arithmetic in numpy, on one thread.")
    for heading in ("estimator", "seconds", "alternative", "its seconds", "ratio", "largest difference"):
        table.add_column(heading, justify="left" if heading in ("estimator", "alternative") else "right")
    for row in run(full=not arguments.quick):
        table.add_row(
            row.name,
            f"{row.seconds:.3f}",
            row.alternative,
            f"{row.alternative_seconds:.3f}",
            f"{row.alternative_seconds / row.seconds:,.0f}x",
            f"{row.largest_difference:.1e}",
        )
    Console().print(table)


def _compare(
    name: str,
    exact: Callable[[], _Floats],
    alternative: str,
    plain: Callable[[int], _Floats],
    n_prompts: int,
    *,
    n_alternative: int,
) -> Measurement:
    """Time both; the alternative on its first prompts only, scaled up to all of them."""
    exact()  # the first call fills tables and caches
    start = perf_counter()
    result = exact()
    seconds = perf_counter() - start
    n_rows = min(n_alternative, n_prompts)
    start = perf_counter()
    other = plain(n_rows)
    scaled = (perf_counter() - start) * n_prompts / n_rows
    return Measurement(name, seconds, alternative, scaled, float(np.nanmax(np.abs(result[:n_rows] - other))))


def _vote(answer: _Ints, weight: _Floats, correct: _Ints) -> float:
    totals: Counter[int] = Counter()
    for code, worth in zip(answer.tolist(), weight.tolist(), strict=True):
        totals[code] += worth
    top = max(totals.values())
    right = {int(code): bool(label) for code, label in zip(answer, correct, strict=True)}
    return float(np.mean([right[code] for code, total in totals.items() if total == top]))


def _enumerated(pools: Pools, widths: _Ints, rows: int) -> _Floats:
    weight = np.ones(pools.answer.shape[1])
    result = np.empty((rows, widths.size))
    for row in range(rows):
        for column, width in enumerate(widths):
            subsets = [list(s) for s in combinations(range(pools.answer.shape[1]), int(width))]
            result[row, column] = np.mean(
                [_vote(pools.answer[row, s], weight[s], pools.correct[row, s]) for s in subsets]
            )
    return result


def _drawn(pools: Pools, widths: _Ints, rows: int, n_draws: int, *, weighted: bool = False) -> _Floats:
    rng = np.random.default_rng(2)
    score = pools.score if weighted else np.ones(pools.score.shape)
    result = np.empty((rows, widths.size))
    for row in range(rows):
        for column, width in enumerate(widths):
            subsets = [rng.permutation(pools.answer.shape[1])[:width] for _ in range(n_draws)]
            result[row, column] = np.mean(
                [_vote(pools.answer[row, s], score[row, s], pools.correct[row, s]) for s in subsets]
            )
    return result


def _drawn_best(pools: Pools, widths: _Ints, rows: int, n_draws: int) -> _Floats:
    rng = np.random.default_rng(3)
    result = np.empty((rows, widths.size))
    for row in range(rows):
        order = np.argsort(rng.random((n_draws, pools.answer.shape[1])), axis=1)
        for column, width in enumerate(widths):
            drawn = order[:, :width]
            best = np.take_along_axis(drawn, np.argmax(pools.score[row][drawn], axis=1)[:, None], axis=1)
            result[row, column] = pools.correct[row][best].mean()
    return result


def _pass_at_k(counts: _Ints, n: int) -> _Floats:
    curves = [
        [1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)) for k in range(1, n + 1)]
        for c in counts
    ]
    return np.array(curves)


if __name__ == "__main__":
    main()
