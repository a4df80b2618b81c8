"""Count the floating-point operations of prompts, completions and verifiers.

It assumes dense forward passes at two operations per active parameter and token, plus attention where the
width of a model is known. Memory traffic, which bounds decoding on real hardware, is left to
`policies.cost.latency`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def forward_flops(tokens: ArrayLike, *, active_params: float) -> NDArray[np.float64]:
    """Return the operations of a forward pass over `tokens`: 2 × parameters × tokens.

    Parameters
    ----------
    tokens : array_like
        Tokens read or generated, at least 0.
    active_params : float
        Parameters used per token.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 2.1 (2 N per token of forward pass).

    Examples
    --------
    >>> float(forward_flops(100, active_params=1.5e9))
    300000000000.0
    """
    return 2.0 * active_params * np.asarray(tokens, dtype=np.float64)


def attention_flops(
    *,
    prompt_tokens: ArrayLike,
    cached_prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    samples: ArrayLike,
    requests: ArrayLike,
    attention_width: float,
) -> NDArray[np.float64]:
    """Return the operations of attention over the context: 4 × layers × width × context, for each token.

    Parameters
    ----------
    prompt_tokens, cached_prompt_tokens, output_tokens : array_like
        Totals of a usage.
    samples, requests : array_like
        Completions drawn and requests sent, both at least 0.
    attention_width : float
        Number of layers × model width.

    Notes
    -----
    A usage holds totals, so contexts are means: a prompt has prompt_tokens / requests tokens, of which
    each sees half on average, and the last of one that is partly cached more; a completion has output_tokens
    / samples tokens, each of which sees the prompt and half of the completion.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, table 1: 2 n_layer n_ctx d_attn per token of a window of n_ctx,
    which is twice the context that a token sees on average; ours is that context.

    Examples
    --------
    >>> float(
    ...     attention_flops(
    ...         prompt_tokens=100,
    ...         cached_prompt_tokens=0,
    ...         output_tokens=200,
    ...         samples=2,
    ...         requests=1,
    ...         attention_width=10.0,
    ...     )
    ... )
    1400000.0
    """
    prompt, output = np.asarray(prompt_tokens, dtype=np.float64), np.asarray(output_tokens, dtype=np.float64)
    mean_prompt = prompt / np.maximum(np.asarray(requests, dtype=np.float64), 1)
    mean_output = output / np.maximum(np.asarray(samples, dtype=np.float64), 1)
    cached = np.asarray(cached_prompt_tokens, dtype=np.float64)
    mean_cached = cached / np.maximum(np.asarray(requests, dtype=np.float64), 1)
    context = (prompt - cached) * (mean_prompt + mean_cached) / 2
    context = context + output * (mean_prompt + mean_output / 2)
    return np.asarray(4.0 * attention_width * context)
