"""Teach the layers above the backbone to see where a text departs from what the language model expected.

It assumes solutions drawn from that model, whose own probabilities are the labels: nobody marks them.
The values of steps, which the reward model learns next, are left to `training.lab.rewards`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from difficulty.errors import require
from training.lab.examples import Batch

__all__ = ["expected_batches"]


def expected_batches(model: Any, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Replace each value by how likely its token was, next to the likeliest token in its place.

    Parameters
    ----------
    model
        Language model that drew the solutions.
    batches : iterator of Batch
        Batches whose targets are at least 0 where something is learned, and never at the first token.

    Yields
    ------
    Batch
        The same tokens; targets between 0 (unheard of) and 1 (as expected), -1 where nothing is learned.
    """
    torch = require("torch", extra="local")
    for batch in batches:
        tokens = torch.from_numpy(batch.input_ids)
        with torch.inference_mode():
            logits = model(input_ids=tokens).logits[:, :-1]
            found = logits.gather(-1, tokens[:, 1:, None])[..., 0]
            ratios = torch.exp(found - logits.amax(dim=-1)).numpy()
        targets = np.full(batch.targets.shape, -1.0, dtype=np.float32)
        targets[:, 1:] = np.where(batch.targets[:, 1:] >= 0, ratios, -1.0)
        yield Batch(input_ids=batch.input_ids, targets=targets)
