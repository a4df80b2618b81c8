"""A mixture of the belief is searched, and used only where searching itself gains out of fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.mixture import OutOfFold
from training.policy.belief_search import search_belief
from training.policy.bench import Bench

N = 200


def parts(*, forest_tells: bool, rates_tell: bool) -> tuple[OutOfFold, Bench]:
    """Two kinds of prompt with a course each; leaves or predicted rates tell which is which, or neither."""
    rng = np.random.default_rng(0)
    kind = np.arange(N) % 2
    folds = np.arange(N) // 2 % 5
    seen = kind if forest_tells else rng.permutation(kind)
    shared = ((seen[:, None] == seen) & (folds[:, None] != folds)).astype(np.float32)
    shared /= shared.sum(axis=1, keepdims=True)
    told = kind if rates_tell else rng.permutation(kind)
    rates = np.stack([0.2 + 0.6 * told, 0.8 - 0.6 * told], axis=1) + rng.uniform(-0.1, 0.1, (N, 2))
    value = np.stack([kind == 0, kind == 1], axis=1) * 0.5 + rng.uniform(0, 0.5, (N, 2))
    out = OutOfFold(shared=shared, rates=rates, share=np.ones(N), folds=folds, familiarity=np.ones(N))
    bench = Bench(
        value=value.astype(np.float32),
        cost=np.ones((N, 2), dtype=np.float32),
        weights=shared,
        groups=np.arange(N),
        folds=folds,
        static=np.array([True, True]),
        known=np.array([True, True]),
        owner=np.array([0, 1]),
        prices=np.array([1.0, 0.1, 0.01]),
    )
    return out, bench


def test_a_part_that_tells_is_found_where_the_default_does_not_use_it() -> None:
    out, bench = parts(forest_tells=False, rates_tell=True)
    default = BeliefOptions(min_leaf=7)
    found = search_belief(out, bench, default, n_trials=12)
    assert found.nearest + found.kernel > 0 and found.min_leaf == 7
    taken = (out.weights(found) @ bench.value).argmax(axis=1)
    assert (taken == np.arange(N) % 2).mean() > 0.9


def test_the_default_stands_where_nothing_is_better() -> None:
    out, bench = parts(forest_tells=True, rates_tell=False)
    assert search_belief(out, bench, BeliefOptions(), n_trials=12) == BeliefOptions()


def test_a_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out, bench = parts(forest_tells=False, rates_tell=True)
    seen: list[int] = []

    def search(n_trials: int, storage: Path | None) -> BeliefOptions:
        seen.clear()
        return search_belief(
            out,
            bench,
            BeliefOptions(),
            n_trials=n_trials,
            storage=storage,
            progress=lambda done, total: seen.append(done),
        )

    whole = search(16, None)
    search(10, tmp_path / "journal")
    assert search(16, tmp_path / "journal") == whole and seen == [11, 12, 13, 14, 15, 16]
    assert search(16, tmp_path / "journal") == whole and seen == []
