"""Run a scoring model over token sequences in batches, longest first, and keep the logits that are asked for.

It assumes right padding with an attention mask, which no model that reads from left to right can see past.
What the logits mean is left to the reward models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from planner.ports.ports import ScoreRequest

T = TypeVar("T")


def logits_at(
    model: Any,
    sequences: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    *,
    max_batch_tokens: int,
    pad_token: int = 0,
) -> list[Any]:
    """Return the model's output at some positions of each sequence.

    Parameters
    ----------
    model : model of transformers
        Gives `logits`, or a tuple that begins with them, of shape (B, T, K), (B, T) or (B, K).
    sequences : sequence of token sequences, length S
        None of them empty.
    positions : sequence of position sequences, length S
        Where to read each; ignored where the model gives one output per sequence.
    max_batch_tokens : int
        Most tokens in a batch, padding included.
    pad_token : int
        Sequence classification models find the last token by it.

    Returns
    -------
    list of float32 tensor, length S, each of shape (positions, K), or (1, K) for one output per sequence
    """
    import torch

    results: list[Any] = [None] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))
    start = 0
    while start < len(order):
        longest = len(sequences[order[start]])
        members = order[start : start + max(1, max_batch_tokens // longest)]
        start += len(members)
        tokens = torch.full((len(members), longest), pad_token)
        mask = torch.zeros_like(tokens)
        for row, index in enumerate(members):
            tokens[row, : len(sequences[index])] = torch.tensor(sequences[index])
            mask[row, : len(sequences[index])] = 1
        with torch.inference_mode():
            output = model(input_ids=tokens.to(model.device), attention_mask=mask.to(model.device))
        logits = (output[0] if isinstance(output, tuple) else output.logits).float().cpu()
        per_sequence = logits.shape[:2] != tokens.shape
        for row, index in enumerate(members):
            read = logits[row : row + 1] if per_sequence else logits[row][list(positions[index])]
            results[index] = read if read.ndim == 2 else read[:, None]
    return results


def by_request(requests: Sequence[ScoreRequest], found: Iterable[T]) -> list[list[T]]:
    """Return what was found of each completion, request by request."""
    rest = iter(found)
    return [list(islice(rest, len(request.completions))) for request in requests]
