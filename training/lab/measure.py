"""Measure a trained pair of models on fresh problems: pass@1, revisions, step scores.

It assumes seeds that training did not use. What picking and searching by the scores gains is left to
`training.strategies.lab`; these tables say what the models are, not which strategy to use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from difficulty.arithmetic.arrays import BoolArray
from difficulty.errors import require
from training.lab import DIRECT_TEMPLATE, STEPS_TEMPLATE
from training.lab.examples import revision_example
from training.lab.rewards import score_steps, split_steps
from training.lab.sampling import sample, solutions
from training.lab.tasks import WordProblem, draw_cells, draw_problems, grade

_GREEDY = 1e-4  # a temperature at which the likeliest token is all but certain


class LabModels(NamedTuple):
    """The two models, in evaluation mode, and their tokenizer."""

    language: Any
    reward: Any
    tokenizer: Any


def measure(folder: Path, *, n_problems: int, seed: int) -> dict[str, Any]:
    """Return all tables for the models in `folder`, as loaded from it.

    Parameters
    ----------
    folder : Path
        Folder that holds ``language_model/`` and ``reward_model/``.
    n_problems : int
        Problems per table, of all lengths and digits; a tenth of it in each cell of pass@1.
    seed : int
        Seed of the problems and of the samples.
    """
    transformers = require("transformers", extra="local")
    models = LabModels(
        transformers.AutoModelForCausalLM.from_pretrained(folder / "language_model").eval(),
        transformers.AutoModelForTokenClassification.from_pretrained(folder / "reward_model").eval(),
        transformers.AutoTokenizer.from_pretrained(folder / "language_model"),
    )
    problems, n_few = draw_problems(n=n_problems, seed=seed), max(2, n_problems // 10)
    results: dict[str, Any] = {}
    for style, template in (("direct", DIRECT_TEMPLATE), ("steps", STEPS_TEMPLATE)):
        for name, n, temperature in (("pass_at_1", 16, 1.0), ("greedy", 1, _GREEDY)):
            results[f"{name}_{style}"] = pass_at_1_table(
                models, template=template, n_problems=n_few, n=n, temperature=temperature, seed=seed + 1
            )
    for name, as_chat in (("chat", True), ("text", False)):
        results[f"revision_{name}"] = revision_table(
            models, problems, as_chat=as_chat, depth=6, seed=seed + 2
        )
    results["step_auc"] = step_auc(models, problems, n=8, seed=seed + 3)
    return results


def pass_at_1_table(
    models: LabModels, *, template: str, n_problems: int, n: int, temperature: float, seed: int
) -> list[dict[str, float]]:
    """Return pass@1 by steps and digits, with a standard error over problems."""
    problems = draw_cells(n_problems, seed=seed)
    model, _, tokenizer = models
    drawn = solutions(model, tokenizer, problems, n=n, seed=seed, template=template, temperature=temperature)
    means = _graded(problems, drawn).mean(axis=1).reshape(-1, n_problems)
    return [
        {
            "n_steps": problem.n_steps,
            "n_digits": problem.n_digits,
            "pass_at_1": float(found.mean()),
            "standard_error": float(found.std(ddof=1) / np.sqrt(n_problems)),
            "share_between": float(((found > 0.1) & (found < 0.9)).mean()),
        }
        for problem, found in zip(problems[::n_problems], means, strict=True)
    ]


def revision_table(
    models: LabModels, problems: Sequence[WordProblem], *, as_chat: bool, depth: int, seed: int
) -> list[dict[str, float]]:
    """Return the accuracy of each attempt in a chain, and how answers changed since the one before.

    ``mended`` is the share of wrong attempts whose successor is right, ``spoiled`` the share of right ones
    whose successor is wrong; both are NaN at the first attempt. All earlier attempts are in sight.
    """
    chains: list[list[str]] = [[] for _ in problems]
    rows: list[dict[str, float]] = []
    before = np.zeros(len(problems), dtype=bool)
    for step in range(depth):
        prompts = [
            revision_example(STEPS_TEMPLATE.format(prompt=problem.text), chain, "", as_chat=as_chat).prompt
            for problem, chain in zip(problems, chains, strict=True)
        ]
        drawn = sample(models.language, models.tokenizer, prompts, n=1, seed=seed + step)
        for chain, texts in zip(chains, drawn, strict=True):
            chain += texts
        right = _graded(problems, drawn)[:, 0]
        rows.append(
            {
                "attempt": step,
                "accuracy": float(right.mean()),
                "mended": _share(right[~before]) if step else float("nan"),
                "spoiled": _share(~right[before]) if step else float("nan"),
            }
        )
        before = right
    return rows


def step_auc(models: LabModels, problems: Sequence[WordProblem], *, n: int, seed: int) -> Mapping[str, float]:
    """Return how well the reward model tells prefixes without an error from the others.

    ``all`` is the area under the ROC curve over all steps; ``within`` is its mean within a problem and a step
    number, over the pairs of samples that differ, which is what a search compares.
    """
    metrics = require("sklearn.metrics", extra="local")
    model, reward, tokenizer = models
    drawn = solutions(model, tokenizer, problems, n=n, seed=seed)
    flat = [
        (problem, split_steps(text)) for problem, texts in zip(problems, drawn, strict=True) for text in texts
    ]
    scores = score_steps(reward, tokenizer, [(problem.text, steps) for problem, steps in flat])
    by_place: dict[tuple[str, int], list[tuple[bool, float]]] = defaultdict(list)
    for (problem, steps), values in zip(flat, scores, strict=True):
        for place, value in enumerate(values):
            flawless = steps[: place + 1] == problem.steps[: place + 1]
            by_place[problem.text, place].append((flawless, float(value)))
    pairs, wins = 0, 0.0
    for found in by_place.values():
        right, told = map(list, zip(*found, strict=True))
        n_pairs = sum(right) * (len(right) - sum(right))
        if n_pairs:
            pairs += n_pairs
            wins += n_pairs * metrics.roc_auc_score(right, told)
    labels, every = map(list, zip(*(row for found in by_place.values() for row in found), strict=True))
    return {
        "all": float(metrics.roc_auc_score(labels, every)),
        "within": float(wins / pairs) if pairs else float("nan"),
        "share_right": float(np.mean(labels)),
    }


def _graded(problems: Sequence[WordProblem], drawn: Sequence[Sequence[str]]) -> BoolArray:
    """Return which of the answers to each problem are right, of shape (problems, answers)."""
    return np.array([[grade(p, text) for text in texts] for p, texts in zip(problems, drawn, strict=True)])


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else float("nan")
