"""Draw completions quickly for training: batches of equal length, no padding, finished rows leave early.

It assumes a small model on the CPU and prompts whose special tokens are written out. It is not a backend:
planning and serving draw through `planner.backends`, which give seeds per sample and honest usage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from difficulty.errors import InvalidInputError, require
from planner.backends.kv_cache import cache_argument, cache_of
from training.lab import STEPS_TEMPLATE
from training.lab.examples import chat
from training.lab.tasks import WordProblem

_BATCH = 384  # rows; more gains nothing on one core
_SHRINK = 0.75  # drop finished rows when at most this share is alive: copying the cache costs about one step


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

    Raises
    ------
    InvalidInputError
        When `n` or the temperature is not positive.
    """
    if n < 1 or not temperature > 0:
        raise InvalidInputError(f"n and temperature must be positive, got {n} and {temperature}")
    torch = require("torch", extra="local")
    rng = torch.Generator().manual_seed(seed)
    encoded = tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, tokens in enumerate(encoded):
        by_length[len(tokens)].append(index)
    results: list[list[str]] = [[] for _ in prompts]
    per_batch = max(1, _BATCH // n)
    for _, members in sorted(by_length.items()):
        for start in range(0, len(members), per_batch):
            chosen = members[start : start + per_batch]
            rows = torch.tensor([encoded[index] for index in chosen])
            drawn = _draw(model, rows, n, temperature, max_new_tokens, tokenizer.eos_token_id, rng)
            texts = tokenizer.batch_decode(drawn, skip_special_tokens=False)
            for position, index in enumerate(chosen):
                results[index] = texts[position * n : (position + 1) * n]
    return results


def _draw(
    model: Any, rows: Any, n: int, temperature: float, max_new_tokens: int, eos: int, rng: Any
) -> list[list[int]]:
    torch = require("torch", extra="local")
    drawn: list[list[int]] = [[] for _ in range(len(rows) * n)]
    with torch.inference_mode():
        output = model(input_ids=rows, use_cache=True, logits_to_keep=1)
        cache, argument = cache_of(output), cache_argument(model)
        cache.batch_repeat_interleave(n)
        logits = output.logits[:, -1].repeat_interleave(n, dim=0)
        alive = list(range(len(drawn)))  # sample of each row of the cache
        running = torch.ones(len(drawn), dtype=torch.bool)
        for _ in range(max_new_tokens):
            chances = torch.softmax(logits / temperature, dim=-1)
            tokens = torch.multinomial(chances, 1, generator=rng)
            running &= tokens[:, 0] != eos
            rows_left = running.nonzero()[:, 0]
            for row, token in zip(rows_left.tolist(), tokens[rows_left, 0].tolist(), strict=True):
                drawn[alive[row]].append(token)
            left = len(rows_left)
            if left == 0:
                break
            if left <= _SHRINK * len(running):
                cache.batch_select_indices(rows_left)
                alive = [alive[row] for row in rows_left.tolist()]
                tokens, running = tokens[rows_left], running[rows_left]
            output = model(input_ids=tokens, use_cache=True, **{argument: cache})
            cache, logits = cache_of(output), output.logits[:, -1]
    return drawn
