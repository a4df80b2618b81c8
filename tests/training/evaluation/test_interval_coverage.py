"""Intervals hold what they say where prompts come in groups of near-duplicates that nobody recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from difficulty.log.near_duplicates import find_near_duplicates
from difficulty.prompt import Prompt
from training.frontier import bootstrap_weights, interval

N_GROUPS, N_COPIES, N_WORLDS = 25, 6, 1000
NAMES = ("baker", "farmer", "sailor", "tailor", "miller", "carter")
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ri", "su", "ta", "vo")


def prompts() -> list[Prompt]:
    """Twenty-five stories, each told six times in another spelling and with a question of its own."""
    rng = np.random.default_rng(0)
    found = []
    for group in range(N_GROUPS):
        words = ["".join(rng.choice(SYLLABLES, size=2)) for _ in range(20)]
        story = f"{' '.join(words[:8])} {rng.integers(3, 90)}, {' '.join(words[8:])}."
        tellings = (story.upper(), story, f"  {story}", story.replace(",", " -"), story.title(), f"{story}?")
        for copy, text in enumerate(tellings):
            found.append(Prompt(id=f"q{group * N_COPIES + copy}", text=f"{text} How many {NAMES[copy]}s?"))
    return found


def coverage(groups: tuple[str, ...] | None) -> float:
    """Return how often the interval of the mean holds the truth, where copies are equally hard."""
    weights = bootstrap_weights(N_GROUPS * N_COPIES, n_replicates=1000, seed=0, groups=groups)
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(N_WORLDS):
        hard: NDArray[np.float64] = np.repeat(rng.beta(1, 1, size=N_GROUPS), N_COPIES)
        right = rng.binomial(8, hard) / 8
        low, high = interval((weights @ right)[1:])
        held += low <= 0.5 <= high
    return held / N_WORLDS


def test_groups_that_are_found_widen_intervals_to_what_they_say() -> None:
    groups = find_near_duplicates(prompts()).groups
    assert len(set(groups)) == N_GROUPS
    # Of 25 groups, intervals of 95 % hold .93; by chance below .90 in three worlds of ten thousand.
    assert coverage(groups) >= 0.90
    assert coverage(None) < 0.75
