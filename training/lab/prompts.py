"""Name the lab model's two generators and turn its problems into prompts.

It assumes that answers are read by the "last number" extractor of `planner.answers.rules`. Drawing is left to
a backend, and what the shipped weights were measured to do is in the folder's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from training.lab import DIRECT_TEMPLATE, LANGUAGE_MODEL, STEPS_TEMPLATE
from training.lab.tasks import WordProblem

N_PARAMS = 921_856
"""Parameters of the shipped language model, embeddings included."""


def lab_generators(model: Path = LANGUAGE_MODEL, *, temperature: float = 1.0) -> tuple[Generator, Generator]:
    """Return the direct and the step-by-step generator.

    Parameters
    ----------
    model : Path
        Folder of the language model.
    temperature : float
        Sampling temperature, above 0.

    Examples
    --------
    >>> [generator.name for generator in lab_generators()]
    ['lab/direct', 'lab/steps']
    """
    direct = Generator(
        name="lab/direct",
        model=str(model),
        params=float(N_PARAMS),
        prompt_template=DIRECT_TEMPLATE,
        temperature=temperature,
        max_output_tokens=16,  # the longest answer takes 7
    )
    # the longest solution takes 137
    steps = replace(direct, name="lab/steps", prompt_template=STEPS_TEMPLATE, max_output_tokens=160)
    return direct, steps


def lab_prompts(problems: Sequence[WordProblem]) -> tuple[Prompt, ...]:
    """Return one prompt per problem with its answer as gold; the id tells steps, digits and place.

    Examples
    --------
    >>> from training.lab.tasks import draw_problems
    >>> [prompt.id for prompt in lab_prompts(draw_problems(n=2, seed=0, n_steps=3, n_digits=2))]
    ['word-problem-3x2-00000', 'word-problem-3x2-00001']
    """
    return tuple(
        Prompt(
            id=f"word-problem-{problem.n_steps}x{problem.n_digits}-{index:05d}",
            text=problem.text,
            gold=str(problem.answer),
        )
        for index, problem in enumerate(problems)
    )
