"""A simulated log of samples, revision chains and a beam search, each of which is best somewhere by design.

Revisions mend wrong answers in proportion to what a prompt allows, so that they pay where prompts are easy;
a search raises the odds of success, which is worth most where they are low; a vote needs the right answer to
be the commonest. For tests of comparisons and for documentation; live strategies are in `planner.strategies`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from difficulty.arguments import check_number, check_whole
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from training.simulated.log import WRONG_SHARES

__all__ = ["simulated_strategies"]

_PROMPT_TOKENS: Final = 20
_OUTPUT_TOKENS: Final = 50


def simulated_strategies(
    n_prompts: int = 120,
    *,
    n_samples: int = 16,
    n_chains: int = 4,
    n_steps: int = 4,
    sizes: tuple[int, ...] = (4, 8),
    mended: float = 0.6,
    spoiled: float = 0.02,
    search_odds: float = 4.0,
    scores: bool = True,
    seed: int = 0,
) -> SampleLog:
    """Draw a log of one generator, ``model``.

    Parameters
    ----------
    n_prompts : int
        Prompts, at least 1; success of one sample is spread evenly over (0, 1).
    n_samples, n_chains, n_steps : int
        Independent samples, chains, and attempts per chain; no chains where `n_chains` is 0.
    sizes : tuple of int
        Sizes N of the recorded beam searches (two runs each); empty for none.
    mended, spoiled : float
        In [0, 1]: a wrong attempt is followed by a right one with probability `mended` × success, a right one
        by a wrong one with probability `spoiled`.
    search_odds : float
        A search of size N multiplies the odds of success by ``search_odds ** log2(N)``; above 0.
    scores : bool
        Record a noisy score of samples and attempts.
    seed : int
        Seed of everything; equal arguments give equal logs.

    Raises
    ------
    InvalidInputError
        When a number is out of range.

    Examples
    --------
    >>> simulated_strategies(3, n_samples=4, n_chains=1, n_steps=2, sizes=(4,))
    SampleLog(3 prompts, 1 generator, 24 samples; with text, answers, tokens, scores, chains)
    """
    check_whole("n_prompts", n_prompts, least=1)
    check_whole("n_samples", n_samples, least=1)
    check_whole("n_chains", n_chains)
    check_whole("n_steps", n_steps)
    check_number("search_odds", search_odds, "above 0")
    rng = np.random.default_rng(seed)
    records: list[dict[str, object]] = []

    def sample(right: bool, **more: object) -> dict[str, object]:
        answer = "right" if right else f"wrong-{rng.choice(len(WRONG_SHARES), p=WRONG_SHARES)}"
        score = {"score": float(1 / (1 + np.exp(-rng.normal(1.0 if right else -1.0))))} if scores else {}
        return {"answer": answer, "correct": right, "output_tokens": _OUTPUT_TOKENS, **score, **more}

    for number in range(n_prompts):
        p = float(rng.uniform(0.02, 0.98))
        line: dict[str, object] = {
            "prompt_id": f"prompt-{number}",
            "prompt": f"Question {number}",
            "generator": "model",
        }
        records.append(
            line
            | {
                "prompt_tokens": _PROMPT_TOKENS,
                "samples": [sample(bool(rng.random() < p)) for _ in range(n_samples)],
            }
        )
        attempts = []
        for chain in range(n_chains):
            right = bool(rng.random() < p)
            for step in range(n_steps):
                if step:
                    right = bool(rng.random() >= spoiled) if right else bool(rng.random() < mended * p)
                sent = _PROMPT_TOKENS + step * _OUTPUT_TOKENS
                attempts.append(sample(right, chain=chain, step=step, prompt_tokens=sent))
        if attempts:
            records.append(line | {"strategy": "sequential_revision", "samples": attempts})
        for n in sizes:
            odds = p / (1 - p) * search_odds ** np.log2(n)
            cost = {"output_tokens": n * _OUTPUT_TOKENS, "prompt_tokens": n * _PROMPT_TOKENS}
            runs = [sample(bool(rng.random() < odds / (1 + odds))) | cost for _ in range(2)]
            params = {"n": n, "beam_width": 4}
            records.append(line | {"strategy": "beam_search", "params": params, "samples": runs})
    return SampleLog.from_records(records, {"model": Generator(name="model", params=1e9)})
