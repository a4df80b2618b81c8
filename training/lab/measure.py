"""Measure a trained pair of models on fresh problems: pass@1, revisions, step scores, best-of-N.

It assumes seeds that training did not use. Intervals and strategies at equal cost are left to the evaluation
in `training`; these tables say what the models are, not which strategy to use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from difficulty.errors import require
from training.lab import DIRECT_TEMPLATE, REVISION_REQUEST, REVISION_SEPARATOR, STEPS_TEMPLATE
from training.lab.examples import chat, revision_example
from training.lab.rewards import score_steps, split_steps
from training.lab.sampling import sample
from training.lab.tasks import MAX_DIGITS, MAX_STEPS, WordProblem, draw_problems, grade

_RULES = ("vote", "best_of_n", "weighted_best_of_n", "coverage")
_GREEDY = 1e-4  # a temperature at which the likeliest token is all but certain


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
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "language_model")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "language_model").eval()
    reward = transformers.AutoModelForTokenClassification.from_pretrained(folder / "reward_model").eval()
    problems = draw_problems(n=n_problems, seed=seed)
    results: dict[str, Any] = {}
    for style, template in (("direct", DIRECT_TEMPLATE), ("steps", STEPS_TEMPLATE)):
        for name, n, temperature in (("pass_at_1", 16, 1.0), ("greedy", 1, _GREEDY)):
            results[f"{name}_{style}"] = pass_at_1_table(
                model,
                tokenizer,
                template=template,
                n_problems=max(2, n_problems // 10),
                n=n,
                temperature=temperature,
                seed=seed + 1,
            )
    for name, between, as_chat in (("chat", REVISION_REQUEST, True), ("text", REVISION_SEPARATOR, False)):
        results[f"revision_{name}"] = revision_table(
            model,
            tokenizer,
            problems,
            template=STEPS_TEMPLATE,
            between=between,
            as_chat=as_chat,
            depth=6,
            temperature=1.0,
            seed=seed + 2,
        )
    results["step_auc"] = step_auc(
        model, reward, tokenizer, problems, template=STEPS_TEMPLATE, n=8, seed=seed + 3
    )
    results["best_of_n"] = best_of_n_table(
        model,
        reward,
        tokenizer,
        problems,
        template=STEPS_TEMPLATE,
        sizes=(1, 2, 4, 8, 16),
        temperature=1.0,
        seed=seed + 4,
    )
    return results


def pass_at_1_table(
    model: Any, tokenizer: Any, *, template: str, n_problems: int, n: int, temperature: float, seed: int
) -> list[dict[str, float]]:
    """Return pass@1 by steps and digits, with a standard error over problems."""
    cells = [(steps, digits) for digits in range(1, MAX_DIGITS + 1) for steps in range(1, MAX_STEPS + 1)]
    problems = [
        problem
        for steps, digits in cells
        for problem in draw_problems(n=n_problems, seed=seed, n_steps=steps, n_digits=digits)
    ]
    prompts = [chat(template.format(prompt=problem.text)) for problem in problems]
    drawn = sample(model, tokenizer, prompts, n=n, seed=seed, temperature=temperature)
    right = np.array([[grade(p, text) for text in texts] for p, texts in zip(problems, drawn, strict=True)])
    means = right.mean(axis=1).reshape(len(cells), n_problems)
    return [
        {
            "n_steps": steps,
            "n_digits": digits,
            "pass_at_1": float(found.mean()),
            "standard_error": float(found.std(ddof=1) / np.sqrt(n_problems)),
            "share_between": float(((found > 0.1) & (found < 0.9)).mean()),
        }
        for (steps, digits), found in zip(cells, means, strict=True)
    ]


def revision_table(
    model: Any,
    tokenizer: Any,
    problems: Sequence[WordProblem],
    *,
    template: str,
    between: str,
    as_chat: bool,
    depth: int,
    temperature: float,
    seed: int,
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
            revision_example(
                template.format(prompt=problem.text), chain, "", between=between, as_chat=as_chat
            ).prompt
            for problem, chain in zip(problems, chains, strict=True)
        ]
        drawn = sample(model, tokenizer, prompts, n=1, seed=seed + step, temperature=temperature)
        for chain, texts in zip(chains, drawn, strict=True):
            chain.append(texts[0])
        right = np.array([grade(problem, chain[-1]) for problem, chain in zip(problems, chains, strict=True)])
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


def best_of_n_table(
    model: Any,
    reward: Any,
    tokenizer: Any,
    problems: Sequence[WordProblem],
    *,
    template: str,
    sizes: Sequence[int],
    temperature: float,
    seed: int,
) -> list[dict[str, float]]:
    """Return accuracy at each N: vote, (weighted) best-of-N by the reward model, and coverage.

    One pool of max(sizes) samples per problem; each N is averaged over the disjoint groups of N in it. The
    score of a solution is that of its last step. ``_over_vote`` is the difference to the vote, and ``_error``
    a standard error over problems.
    """
    prompts = [chat(template.format(prompt=problem.text)) for problem in problems]
    drawn = sample(model, tokenizer, prompts, n=max(sizes), seed=seed, temperature=temperature)
    flat = [
        (problem.text, split_steps(text))
        for problem, texts in zip(problems, drawn, strict=True)
        for text in texts
    ]
    values = [scores[-1] if len(scores) else 0.0 for scores in score_steps(reward, tokenizer, flat)]
    score = np.array(values).reshape(len(problems), -1)
    right = np.array([[grade(p, text) for text in texts] for p, texts in zip(problems, drawn, strict=True)])
    rng = np.random.default_rng(seed)
    return [{"n": size, **_row(problems, drawn, score, right, size, rng)} for size in sizes]


def _row(
    problems: Sequence[WordProblem],
    drawn: Sequence[Sequence[str]],
    score: np.ndarray[Any, np.dtype[np.float64]],
    right: np.ndarray[Any, np.dtype[np.bool_]],
    size: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    starts = range(0, score.shape[1] - size + 1, size)
    found = {name: np.zeros((len(problems), len(starts))) for name in _RULES}
    for index, texts in enumerate(drawn):
        answers = [(split_steps(text) or ("",))[-1] for text in texts]
        for place, start in enumerate(starts):
            group = range(start, start + size)
            found["coverage"][index, place] = right[index, group].any()
            found["best_of_n"][index, place] = right[index, max(group, key=lambda i: score[index, i])]
            for name, weights in (("vote", np.ones_like(score)), ("weighted_best_of_n", score)):
                totals: Counter[str] = Counter()
                for i in group:
                    totals[answers[i]] += weights[index, i] + 1e-9 * rng.random()  # ties at random
                found[name][index, place] = max(totals, key=totals.__getitem__) == problems[index].direct
    means = {name: values.mean(axis=1) for name, values in found.items()}
    means |= {
        f"{name}_over_vote": means[name] - means["vote"] for name in ("best_of_n", "weighted_best_of_n")
    }
    rows = {name: float(values.mean()) for name, values in means.items()}
    errors = {f"{name}_error": float(values.std() / np.sqrt(len(values))) for name, values in means.items()}
    return rows | errors


def step_auc(
    model: Any,
    reward: Any,
    tokenizer: Any,
    problems: Sequence[WordProblem],
    *,
    template: str,
    n: int,
    seed: int,
) -> Mapping[str, float]:
    """Return how well the reward model tells prefixes without an error from the others.

    ``all`` is the area under the ROC curve over all steps; ``within`` is its mean within a problem and a step
    number, over the pairs of samples that differ, which is what a search compares.
    """
    prompts = [chat(template.format(prompt=problem.text)) for problem in problems]
    drawn = sample(model, tokenizer, prompts, n=n, seed=seed)
    flat = [(p.text, split_steps(text)) for p, texts in zip(problems, drawn, strict=True) for text in texts]
    scores = score_steps(reward, tokenizer, flat)
    every: list[tuple[float, bool]] = []
    pairs = 0.0
    wins = 0.0
    for index, problem in enumerate(problems):
        by_place: dict[int, list[tuple[float, bool]]] = {}
        for sample_index in range(index * n, (index + 1) * n):
            steps = flat[sample_index][1]
            for place, value in enumerate(scores[sample_index]):
                right = steps[: place + 1] == problem.steps[: place + 1]
                by_place.setdefault(place, []).append((float(value), right))
        for found in by_place.values():
            every += found
            good, bad = ([v for v, right in found if right is kind] for kind in (True, False))
            pairs += len(good) * len(bad)
            wins += sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    metrics = require("sklearn.metrics", extra="local")
    labels = [right for _, right in every]
    return {
        "all": float(metrics.roc_auc_score(labels, [value for value, _ in every])),
        "within": wins / pairs if pairs else float("nan"),
        "share_right": float(np.mean(labels)),
    }


def _share(flags: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return float(flags.mean()) if flags.size else float("nan")
