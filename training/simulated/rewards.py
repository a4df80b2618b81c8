"""A simulated log of open-ended prompts whose samples have rewards, and scores of a judge that reads them.

What a sample is worth is normal around a mean of its prompt and generator; how far samples of one prompt lie
apart is told by the kind of prompt, so that many samples pay for some and not for others. The judge may be
faithful, may be fooled by samples that exploit it, or may know nothing.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.arrays import FloatArray
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

__all__ = ["Judge", "simulated_rewards"]

Judge: TypeAlias = Literal["faithful", "fooled", "blind"]

# What is asked for, and the standard deviation of the rewards of one prompt's samples.
_KINDS: Final = (("List the parts of", 0.15), ("Explain how to repair", 0.8), ("Write a poem about", 2.0))
_THINGS: Final = ("a clock", "the old harbour", "a bicycle", "two rivers", "the radio", "a lantern", "snow")
_MIDDLE: Final = 4.0
_OF_PROMPTS: Final = 0.7
# What each next generator earns more.
_SKILL: Final = 0.5
# How far a judge is off, and how often a sample fools one that can be fooled: it is then worth far less than
# it seems.
_NOISE: Final = 0.5
_FOOLING: Final = 0.1
_SEEMS: Final = 5.0
_IS: Final = -4.0


def simulated_rewards(
    n_prompts: int = 200,
    *,
    n_samples: int = 12,
    n_generators: int = 2,
    judge: Judge = "faithful",
    text_tells: bool = True,
    seed: int = 0,
) -> SampleLog:
    """Draw a log of open-ended prompts with rewards on a scale of about -5 to 12.

    Parameters
    ----------
    n_prompts, n_samples, n_generators : int
        At least 1 each. Each generator writes twice as much as the one before, and earns .5 more.
    judge : {"faithful", "fooled", "blind"}
        What recorded scores are: rewards with noise; the same, but for a tenth of the samples, which seem far
        better than they are; nothing but noise.
    text_tells : bool
        Whether the text shows how far samples lie apart; otherwise texts are dealt to the wrong prompts.
    seed : int
        Seed of everything; equal arguments give equal logs.

    Returns
    -------
    SampleLog
        Prompts ``open-<seed>-<number>``, generators ``writer-<number>``; no answers, no verdicts.

    Raises
    ------
    InvalidInputError
        When a number is below 1 or the judge is another word.

    Examples
    --------
    >>> simulated_rewards(3, n_samples=4)
    SampleLog(3 prompts, 2 generators, 24 samples; with text, tokens, scores, rewards)
    """
    check_whole("n_prompts", n_prompts, least=1)
    check_whole("n_samples", n_samples, least=1)
    check_whole("n_generators", n_generators, least=1)
    check_choice("judge", judge, get_args(Judge))
    rng = np.random.default_rng(seed)
    kinds = rng.integers(len(_KINDS), size=n_prompts)
    shown = kinds if text_tells else rng.permutation(kinds)
    means = _MIDDLE + _OF_PROMPTS * rng.standard_normal(n_prompts)
    records = []
    for row in range(n_prompts):
        thing = f"{_THINGS[rng.integers(len(_THINGS))]} number {row}"
        text = f"{_KINDS[shown[row]][0]} {thing}."
        for column in range(n_generators):
            mean = means[row] + _SKILL * column
            reward, score = _drawn(mean, _KINDS[kinds[row]][1], n_samples, judge, rng)
            tokens = 1 + rng.poisson(60.0 * 2**column, size=n_samples)
            records.append(
                {
                    "prompt_id": f"open-{seed}-{row}",
                    "prompt": text,
                    "generator": f"writer-{column}",
                    "prompt_tokens": len(text.split()),
                    "samples": [
                        {
                            "reward": round(a, 3),
                            "score": round(b, 3),
                            "output_tokens": n,
                            "verifier_tokens": n,
                        }
                        for a, b, n in zip(reward.tolist(), score.tolist(), tokens.tolist(), strict=True)
                    ],
                }
            )
    generators = {
        name: Generator(name=name, model=name, params=1e9 * 2**column, temperature=1.0)
        for column, name in enumerate(f"writer-{column}" for column in range(n_generators))
    }
    return SampleLog.from_records(records, generators, about={"source": f"simulated rewards, seed {seed}"})


def _drawn(
    mean: float, spread: float, n_samples: int, judge: Judge, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return rewards and scores of the samples of one prompt and generator."""
    reward = mean + spread * rng.standard_normal(n_samples)
    noise = _NOISE * rng.standard_normal(n_samples)
    fooling = rng.random(n_samples) < _FOOLING
    if judge == "blind":
        return reward, _MIDDLE + noise
    seems = reward.copy()
    if judge == "fooled":
        reward[fooling] += _IS
        seems[fooling] += _SEEMS
    return reward, seems + noise
