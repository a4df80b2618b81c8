"""The exponential race over hashed noise: right distribution, independent streams, indifferent to company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from planner.backends.decoding import Row, plan_groups
from planner.backends.seeded_sampling import choose_tokens, sample_key

torch = pytest.importorskip("torch", reason="extra 'local' is not installed")

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -4.0])
N = 40_000


def draw(
    n: int = N,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    position: int = 0,
    logits: Any = LOGITS,
    first: int = 0,
) -> Any:
    keys = torch.tensor([sample_key([1, 2, 3], seed) for seed in range(first, first + n)])
    return choose_tokens(
        logits.expand(n, -1),
        keys=keys,
        positions=torch.full((n,), position),
        temperatures=torch.full((n,), temperature),
        top_ps=torch.full((n,), top_p),
    )


def p_value(counts: np.ndarray, expected: np.ndarray) -> float:
    kept = expected > 0
    assert counts[~kept].sum() == 0
    statistic = ((counts[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    return float(chi2.sf(statistic, kept.sum() - 1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_have_the_tempered_distribution(temperature: float) -> None:
    # A chi-square test at 1e-6 with a fixed seed: the false-alarm rate is 1e-6.
    counts = np.bincount(draw(temperature=temperature).tokens.numpy(), minlength=6)
    expected = torch.softmax(LOGITS / temperature, -1).double().numpy() * N
    assert p_value(counts, expected) > 1e-6


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    probability = torch.softmax(LOGITS, -1).double().numpy()
    kept = np.where(np.cumsum(probability) - probability < 0.8, probability, 0.0)
    assert 0 < (kept == 0).sum() < 6
    counts = np.bincount(draw(top_p=0.8).tokens.numpy(), minlength=6)
    assert p_value(counts, kept / kept.sum() * N) > 1e-6


def test_neighbouring_seeds_and_positions_are_independent() -> None:
    # The 36 pairs are tested against the product of the shares; the false-alarm rate is 1e-6 each.
    here, there = draw().tokens.numpy(), draw(position=1).tokens.numpy()
    share = torch.softmax(LOGITS, -1).double().numpy()
    for first, second in ((here, there), (here[:-1], here[1:])):
        counts = np.bincount(first * 6 + second, minlength=36)
        assert p_value(counts, np.outer(share, share).ravel() * len(first)) > 1e-6


def test_a_large_vocabulary_has_no_favourites() -> None:
    tokens = draw(n=4000, logits=torch.zeros(2_000)).tokens.numpy()
    counts = np.bincount(tokens // 20, minlength=100)
    assert p_value(counts, np.full(100, 40.0)) > 1e-6


def test_head_and_rest_of_a_large_vocabulary_have_their_shares() -> None:
    # 128 likely tokens race one by one, 1872 unlikely ones as one; a quarter of the probability is theirs.
    logits = torch.cat([torch.linspace(4, 2, 128), torch.linspace(0.5, -1.5, 1872)])
    share = torch.softmax(logits, -1).double().numpy()
    assert 0.1 < share[128:].sum() < 0.5
    tokens = draw(n=8000, logits=logits).tokens.numpy()
    bins = np.minimum(np.arange(2000) // 16, 40)
    counts = np.bincount(bins[tokens], minlength=41)
    assert p_value(counts, np.bincount(bins, weights=share) * 8000) > 1e-6
    late = np.bincount(tokens[tokens >= 128] - 128, minlength=1872).reshape(18, 104).sum(1)
    assert p_value(late, share[128:].reshape(18, 104).sum(1) / share[128:].sum() * late.sum()) > 1e-6
    kept = draw(n=2000, logits=logits, top_p=0.3).tokens
    assert kept.max() < 128


def test_a_sample_does_not_depend_on_its_place_in_the_batch_and_hardly_on_rounding() -> None:
    whole = draw(n=2000).tokens
    assert (draw(n=100, first=700).tokens == whole[700:800]).all()
    noisy = draw(n=2000, logits=LOGITS + 1e-5 * torch.linspace(-1, 1, 6)).tokens
    assert (noisy != whole).sum() <= 2


def test_greedy_takes_the_best_and_log_probabilities_are_untempered() -> None:
    chosen = draw(n=10, temperature=0.0)
    assert (chosen.tokens == 0).all()
    assert chosen.logprobs.tolist() == pytest.approx([LOGITS.log_softmax(-1)[0].item()] * 10)
    hot = draw(n=10, temperature=3.0)
    assert hot.logprobs.tolist() == pytest.approx(LOGITS.log_softmax(-1)[hot.tokens].tolist())


def test_batches_keep_to_their_tokens_and_hold_every_row_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 60, size=30).tolist()
    rows = [
        Row(
            prompt=int(p),
            key=0,
            limit=int(rng.integers(1, 40)),
            temperature=1,
            top_p=1,
            ends=bool,
            wanted=bool,
        )
        for p in rng.integers(0, 30, size=200)
    ]
    groups = plan_groups(lengths, rows, max_batch_tokens=500)
    chunks = [chunk for group in groups for chunk in group]
    assert sorted(id(row) for chunk in chunks for row in chunk) == sorted(map(id, rows))
    for chunk in chunks:
        widest = max(lengths[row.prompt] + row.limit for row in chunk)
        assert len(chunk) == 1 or len(chunk) * widest <= 500
    prompts = [{row.prompt for chunk in group for row in chunk} for group in groups]
    assert sum(map(len, prompts)) == len(set().union(*prompts))
