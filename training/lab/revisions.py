"""Turn the model's own attempts into revisions, which have fewer slips.

Attempts are drawn from the model itself and stand in the examples as often wrong as the model is: a reviser
learns how far to trust what it reads, and balancing right and wrong attempts would teach it the wrong trust.
How careful a revision is written is left to `training.lab.writers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.lab import STEPS_TEMPLATE
from training.lab.examples import Example, base_examples, draw_shard, drill_examples, revision_example
from training.lab.tasks import WordProblem
from training.lab.writers import write_solution

_PLAIN = 0.35  # share of first answers in the mixture: without them the first attempt gets worse
_DRILLS = 0.15


def revision_examples(
    pool: Sequence[tuple[WordProblem, Sequence[str]]], *, seed: int, shard: int, size: int
) -> tuple[list[Example], np.random.Generator]:
    """Write one shard of the second stage: first answers, drills, and revisions after one to three attempts.

    Parameters
    ----------
    pool : sequence of (WordProblem, sequence of str)
        Problems, each with the model's step-by-step attempts at it, at least one.
    seed, shard : int
        Which shard; the same numbers give the same examples.
    size : int
        Examples of the shard.

    Returns
    -------
    tuple of list of Example and numpy.random.Generator
        The examples and the random stream that shuffles their batches.
    """
    problems, rng = draw_shard(seed, shard, size=size)
    n_plain, n_drills = round(_PLAIN * len(problems)), round(_DRILLS * len(problems))
    examples = base_examples(problems[:n_plain], rng) + drill_examples(n_drills, rng)
    for index in rng.integers(len(pool), size=len(problems) - n_plain - n_drills):
        problem, texts = pool[index]
        in_sight = min(len(texts), int(rng.choice([1, 2, 3], p=[0.6, 0.2, 0.2])))
        attempts = [texts[place] for place in rng.permutation(len(texts))[:in_sight]]
        as_chat = bool(rng.random() < 0.5)
        template = "{prompt}" if rng.random() < 0.5 else STEPS_TEMPLATE
        question = template.format(prompt=problem.text)
        written = write_solution(problem, rng, n_earlier=in_sight)
        examples.append(revision_example(question, attempts, written, as_chat=as_chat))
    return examples, rng
