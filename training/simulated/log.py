"""A simulated sample log with planted success rates: for tests, benchmarks and power calculations.

Prompts are sums; the more terms, the less likely a sample is right, so that text tells difficulty unless the
texts are dealt to the wrong prompts. Wrong answers are assumed to concentrate on a few modes; drawing while a
strategy runs is left to `planner.simulated`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_whole
from difficulty.arithmetic.arrays import FloatArray
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

__all__ = ["WRONG_SHARES", "simulated_log"]


_FEWEST_TERMS: Final = 2
_MOST_TERMS: Final = 9
# Log-odds of success lost per term, and their spread over prompts with equally many terms.
_SLOPE: Final = 0.9
_SPREAD: Final = 0.4
WRONG_SHARES: Final = np.array([0.5, 0.25, 0.125, 0.125])
_ABSTAINS: Final = 0.03


def simulated_log(
    n_prompts: int = 200,
    *,
    n_samples: int = 10,
    n_generators: int = 2,
    text_tells: bool = True,
    scores: bool = False,
    seed: int = 0,
) -> SampleLog:
    """Draw a log of sums.

    Parameters
    ----------
    n_prompts : int
        Prompts P, at least 1.
    n_samples : int
        Samples per prompt and generator, at least 1.
    n_generators : int
        Generators G, at least 1. Each is larger than the one before, succeeds more often and writes more: the
        first has 10⁹ parameters and writes about 40 to 80 tokens, each next one twice as many of both.
    text_tells : bool
        Whether the text shows how hard a prompt is; otherwise texts are dealt to the wrong prompts.
    scores : bool
        Record a noisy score per sample.
    seed : int
        Seed of everything; equal arguments give equal logs.

    Returns
    -------
    SampleLog
        Prompts ``sum-<seed>-<number>``, generators ``model-<number>``.

    Raises
    ------
    InvalidInputError
        When a number is below 1.

    Examples
    --------
    >>> simulated_log(3, n_samples=4)
    SampleLog(3 prompts, 2 generators, 24 samples; with text, answers, tokens)
    """
    check_whole("n_prompts", n_prompts, least=1)
    check_whole("n_samples", n_samples, least=1)
    check_whole("n_generators", n_generators, least=1)
    rng = np.random.default_rng(seed)
    n_terms = rng.integers(_FEWEST_TERMS, _MOST_TERMS + 1, size=n_prompts)
    shown = n_terms if text_tells else rng.permutation(n_terms)
    numbers = [rng.integers(2, 60, size=terms).tolist() for terms in shown]
    success = _success(n_terms, n_generators, rng)
    records = [
        {
            "prompt_id": f"sum-{seed}-{row}",
            "prompt": "Add up " + " + ".join(map(str, numbers[row])) + ".",
            "gold": str(sum(numbers[row])),
            "generator": f"model-{column}",
            "prompt_tokens": 4 + 2 * len(numbers[row]),
            "samples": _samples(
                success[row, column],
                sum(numbers[row]),
                mean_tokens=40.0 * 2**column * (1 + n_terms[row] / _MOST_TERMS),
                n_samples=n_samples,
                scores=scores,
                rng=rng,
            ),
        }
        for row in range(n_prompts)
        for column in range(n_generators)
    ]
    generators = {
        name: Generator(name=name, model=name, params=1e9 * 2**column, temperature=1.0)
        for column, name in enumerate(f"model-{column}" for column in range(n_generators))
    }
    return SampleLog.from_records(records, generators, about={"source": f"simulated, seed {seed}"})


def _success(n_terms: NDArray[np.int64], n_generators: int, rng: np.random.Generator) -> FloatArray:
    """Return the planted success rate of one sample, shape (P, G)."""
    middle = (_FEWEST_TERMS + _MOST_TERMS) / 2
    skill = np.linspace(0.0, 1.6, n_generators) if n_generators > 1 else np.array([0.8])
    own = _SPREAD * rng.standard_normal((len(n_terms), n_generators))
    log_odds = skill - _SLOPE * (n_terms[:, None] - middle) + own
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _samples(
    success: float, gold: int, *, mean_tokens: float, n_samples: int, scores: bool, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Draw the samples of one prompt and generator."""
    right = rng.random(n_samples) < success
    abstains = ~right & (rng.random(n_samples) < _ABSTAINS)
    wrong = gold + 1 + rng.choice(len(WRONG_SHARES), p=WRONG_SHARES, size=n_samples)
    tokens = 1 + rng.poisson(mean_tokens, size=n_samples)
    answers = np.where(right, gold, wrong).tolist()
    samples: list[dict[str, object]] = [
        {
            "answer": None if silent else str(answer),
            "correct": correct,
            "output_tokens": length,
            "finish": "stop",
        }
        for answer, silent, correct, length in zip(
            answers, abstains.tolist(), right.tolist(), tokens.tolist(), strict=True
        )
    ]
    if scores:
        noisy = right + rng.normal(0.0, 0.7, size=n_samples)
        for sample, score in zip(samples, noisy.tolist(), strict=True):
            sample["score"] = 1 / (1 + float(np.exp(-score)))
    return samples
