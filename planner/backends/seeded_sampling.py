"""Choose next tokens so that a sample depends on its own seed and on nothing else in the batch.

Each sample has a key; the noise of a token is a hash of key, position and token, so that no generator has to
be stepped in a certain order. It assumes logits on one device; decoding is left to
`planner.backends.decoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import torch

_GOLDEN: Final = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer, the increment of SplitMix64
_HEAD: Final = 128  # likeliest tokens that race one by one in a large vocabulary
_SECOND_RACE: Final = 2**40  # past every position, so that a second race has noise of its own


class Chosen(NamedTuple):
    """Next token of each of B samples, and its log-probability in nats under the untempered model."""

    tokens: torch.Tensor
    logprobs: torch.Tensor


def sample_key(prompt_tokens: Sequence[int], seed: int) -> int:
    """Return the key of a sample, a signed 64-bit integer.

    It mixes the prompt in, so that equal seeds on different prompts are independent, and depends on nothing
    else.

    Examples
    --------
    >>> sample_key([1, 2], 7) == sample_key([1, 2], 7), sample_key([1, 2], 7) == sample_key([1, 3], 7)
    (True, False)
    """
    text = f"{seed}:{','.join(map(str, prompt_tokens))}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)


def choose_tokens(
    logits: torch.Tensor,
    *,
    keys: torch.Tensor,
    positions: torch.Tensor,
    temperatures: torch.Tensor,
    top_ps: torch.Tensor,
) -> Chosen:
    """Draw one token for each of B samples over a vocabulary of V.

    Parameters
    ----------
    logits : tensor, shape (B, V)
        Of the next token.
    keys, positions : int64 tensor, shape (B,)
        Key of the sample, and how many tokens it has already.
    temperatures, top_ps : float32 tensor, shape (B,)
        At least 0, where 0 is greedy; in (0, 1].

    Notes
    -----
    An exponential race: token v wins whose noise E_v / p_v is least, with E_v exponential. Unlike inverting
    the cumulative distribution, rounding of the logits (which changes with the shape of a batch) can only
    change the winner where two tokens tie to within that rounding.

    References
    ----------
    Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195,
    for the mixing function. Holtzman et al. (2020), arXiv:1904.09751, for top-p.
    """
    import torch

    raw = torch.log_softmax(logits.float(), dim=-1)
    greedy = temperatures == 0
    tokens = raw.argmax(dim=-1)
    if not bool(greedy.all()):
        log_p = raw
        cut = bool((top_ps < 1).any())
        if cut or not bool((temperatures == 1).all()):
            tempered = logits.float() / torch.where(greedy, 1.0, temperatures)[:, None]
            log_p = torch.log_softmax(_keep_nucleus(tempered, top_ps) if cut else tempered, dim=-1)
        drawn = _race(log_p, keys, positions)
        tokens = torch.where(greedy, tokens, drawn)
    return Chosen(tokens, raw.gather(-1, tokens[:, None])[:, 0])


def _race(log_p: torch.Tensor, keys: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return the winners, shape (B,), for log-probabilities of shape (B, V).

    In a large vocabulary the likeliest tokens race against all the others as one; only where the others win
    do they race among themselves. This is the same distribution for a fraction of the noise.
    """
    import torch

    n_tokens = log_p.shape[-1]
    if n_tokens <= 4 * _HEAD:
        everyone = torch.arange(n_tokens, device=keys.device)
        return (log_p - _exponential_noise(keys, positions, everyone[None]).log()).argmax(dim=-1)
    head, names = log_p.topk(_HEAD, dim=-1)
    rest = torch.log1p(-head.exp().sum(dim=-1).clamp(max=1.0))
    runners = torch.cat([names, torch.full_like(names[:, :1], n_tokens)], dim=-1)
    scores = torch.cat([head, rest[:, None]], dim=-1) - _exponential_noise(keys, positions, runners).log()
    winners = names.gather(-1, scores[:, :_HEAD].argmax(dim=-1, keepdim=True))[:, 0]
    tail = (scores.argmax(dim=-1) == _HEAD).nonzero()[:, 0]
    if tail.numel():
        others = log_p[tail].scatter(-1, names[tail], -torch.inf)
        everyone = torch.arange(n_tokens, device=keys.device)
        noise = _exponential_noise(keys[tail], positions[tail] + _SECOND_RACE, everyone[None])
        best, token = (others - noise.log()).max(dim=-1)
        # Rounding can leave a trace of probability for others that are all impossible.
        winners[tail] = torch.where(best == -torch.inf, winners[tail], token)
    return winners


def _exponential_noise(keys: torch.Tensor, positions: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return exponential variates, shape (B, K), as a hash of key, position and token, shape (B or 1, K)."""
    import torch

    streams = _mix(keys + (positions + 1) * _GOLDEN)
    bits = _mix(streams[:, None] + (tokens + 1) * _GOLDEN)
    uniform = (_shift(bits, 11).to(torch.float64) + 0.5) * 2.0**-53
    return -torch.log1p(-uniform)


def _mix(z: torch.Tensor) -> torch.Tensor:
    """Finaliser of SplitMix64 on signed integers, which wrap around."""
    z = (z ^ _shift(z, 30)) * -4658895280553007687
    z = (z ^ _shift(z, 27)) * -7723592293110705685
    return z ^ _shift(z, 31)


def _shift(z: torch.Tensor, by: int) -> torch.Tensor:
    """Shift right without carrying the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _keep_nucleus(tempered: torch.Tensor, top_ps: torch.Tensor) -> torch.Tensor:
    """Drop what lies outside the smallest set of tokens whose probability reaches top-p."""
    import torch

    ordered, order = torch.softmax(tempered, dim=-1).sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    dropped = (before >= top_ps[:, None]) & (top_ps < 1)[:, None]
    return tempered.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), -torch.inf)
