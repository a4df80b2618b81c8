"""Teach the layers above the backbone to see where a text departs from what the language model expects.

From step values alone the reward model learns how hard a problem is and stays there: comparing each digit
with the expected one is found late or never, because few digits are wrong. So many digits are spoiled first,
and the layers learn to tell from each how far the language model would have expected it. Nobody marks what is
right; the values themselves are left to `training.lab.rewards`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from difficulty.errors import require
from training.lab.examples import Batch

__all__ = ["expected_batches"]

_SPOILED = 0.25  # share of the digits that are replaced by a random one


def expected_batches(model: Any, tokenizer: Any, batches: Iterator[Batch], *, seed: int) -> Iterator[Batch]:
    """Spoil digits, and replace each value by how likely its digit is next to the likeliest token there.

    Parameters
    ----------
    model, tokenizer
        Language model that drew the solutions, and its tokenizer.
    batches : iterator of Batch
        Batches whose targets are at least 0 where something is learned, and never at the first token.
    seed : int
        Seed of what is spoiled.

    Yields
    ------
    Batch
        Tokens, a quarter of the learned digits replaced; targets between 0 (unheard of) and 1 (as expected)
        at these digits, -1 elsewhere.

    References
    ----------
    Clark et al. 2020, ELECTRA, arXiv 2003.10555: learning from replaced tokens; here the language model's own
    probabilities are the label, not whether a token was replaced.
    """
    torch = require("torch", extra="local")
    digits = np.array(tokenizer.convert_tokens_to_ids(list("0123456789")))
    rng = np.random.default_rng(seed)
    for batch in batches:
        learned = np.isin(batch.input_ids, digits) & (batch.targets >= 0)
        spoiled = learned & (rng.random(learned.shape) < _SPOILED)
        input_ids = np.where(spoiled, rng.choice(digits, size=learned.shape), batch.input_ids)
        tokens = torch.from_numpy(input_ids)
        with torch.inference_mode():
            logits = model(input_ids=tokens).logits[:, :-1]
            found = logits.gather(-1, tokens[:, 1:, None])[..., 0]
            ratios = torch.exp(found - logits.amax(dim=-1)).numpy()
        targets = np.full(learned.shape, -1.0, dtype=np.float32)
        targets[:, 1:] = np.where(learned[:, 1:], ratios, -1.0)
        yield Batch(input_ids=input_ids, targets=targets)
