"""Draw completions for training: batches of prompts of like length, by `generate` of transformers.

It assumes a small model on the CPU and prompts whose special tokens are written out. It is not a backend:
planning and serving draw through `planner.backends`, which give seeds per sample and honest usage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from difficulty.errors import require
from training.lab import STEPS_TEMPLATE
from training.lab.examples import chat
from training.lab.tasks import WordProblem

_BATCH = 384  # rows; more gains nothing on one core


def solutions(
    model: Any,
    tokenizer: Any,
    problems: Sequence[WordProblem],
    *,
    n: int,
    seed: int,
    template: str = STEPS_TEMPLATE,
    temperature: float = 1.0,
) -> list[list[str]]:
    """Draw `n` answers to each problem, in the style that the template asks for."""
    prompts = [chat(template.format(prompt=problem.text)) for problem in problems]
    return sample(model, tokenizer, prompts, n=n, seed=seed, temperature=temperature)


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    n: int,
    seed: int,
    temperature: float = 1.0,
    max_new_tokens: int = 160,
) -> list[list[str]]:
    """Draw `n` completions of each prompt.

    Parameters
    ----------
    model, tokenizer
        Language model and its tokenizer.
    prompts : sequence of str, length P
        Rendered prompts that the completions continue.
    n : int
        Completions per prompt, at least 1.
    seed : int
        Seed; the same prompts in the same order give the same completions.
    temperature : float
        Above 0.
    max_new_tokens : int
        Cap; a completion that reaches it is returned as far as it came.

    Returns
    -------
    list of list of str, P by n
        Texts without the end-of-text token.
    """
    torch = require("torch", extra="local")
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    per_batch = max(1, _BATCH // n)
    found: dict[int, list[str]] = {}
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        for start in range(0, len(order), per_batch):
            chosen = order[start : start + per_batch]
            rows = tokenizer(
                [prompts[index] for index in chosen],
                add_special_tokens=False,
                padding=True,
                padding_side="left",
                return_tensors="pt",
                return_token_type_ids=False,
            )
            drawn = model.generate(
                **rows,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                num_return_sequences=n,
                max_new_tokens=max_new_tokens,
            )
            whole = tokenizer.batch_decode(drawn[:, rows["input_ids"].shape[1] :])
            texts = [text.partition(tokenizer.eos_token)[0] for text in whole]
            found |= {index: texts[place * n : (place + 1) * n] for place, index in enumerate(chosen)}
    return [found[index] for index in range(len(prompts))]
