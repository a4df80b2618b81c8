"""Decode many samples together: each prompt is read once, its cache is shared by all its samples.

It assumes a causal language model of transformers whose cache can be re-indexed along the batch. Finished
samples leave the batch at once. Choosing tokens is left to `planner.backends.seeded_sampling`, text to the
backend.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.backends.kv_cache import cache_argument, cache_of
from planner.backends.seeded_sampling import choose_tokens
from planner.backends.thinking import Thought
from planner.ports.ports import FinishReason

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True, slots=True, eq=False)
class Row:
    """One sample on its way.

    Parameters
    ----------
    prompt : int
        Which of the prompts it continues.
    key : int
        Its source of randomness.
    limit : int
        Most tokens, at least 1.
    temperature, top_p : float
        At least 0; in (0, 1].
    ends : callable
        Called with the tokens after each new one; True when the text has reached a stop string.
    wanted : callable
        False once nobody waits for the sample any more.
    thought : Thought, optional
        Holds the sample to a thinking budget.
    """

    prompt: int
    key: int
    limit: int
    temperature: float
    top_p: float
    ends: Callable[[list[int]], bool]
    wanted: Callable[[], bool]
    thought: Thought | None = None
    tokens: list[int] = field(default_factory=list)
    logprob_sum: float = 0.0
    n_forced: int = 0
    finish: FinishReason | None = None

    @property
    def mean_logprob(self) -> float | None:
        """The mean over the tokens that the model chose, None where it chose none."""
        n_chosen = len(self.tokens) - self.n_forced
        return self.logprob_sum / n_chosen if n_chosen else None


def plan_groups(
    lengths: Sequence[int], rows: Sequence[Row], *, max_batch_tokens: int
) -> list[list[list[Row]]]:
    """Group samples for decoding: each group shares one prefill, each chunk of a group one batch.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each prompt.
    rows : sequence of Row
        All samples.
    max_batch_tokens : int
        Most tokens in a batch, padding and all that may be generated included.

    Returns
    -------
    list of groups, each a list of chunks of rows
        Prompts are taken longest first, so that neighbours need little padding.

    Examples
    --------
    >>> def row(prompt):
    ...     return Row(prompt=prompt, key=0, limit=6, temperature=1, top_p=1, ends=bool, wanted=bool)
    >>> groups = plan_groups([4, 9], [row(0), row(1), row(1)], max_batch_tokens=30)
    >>> [[[row.prompt for row in chunk] for chunk in group] for group in groups]
    [[[1, 1]], [[0]]]
    """
    by_prompt: dict[int, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt, []).append(row)
    groups: list[list[Row]] = []
    width = 0
    for prompt in sorted(by_prompt, key=lambda index: (-lengths[index], index)):
        members = by_prompt[prompt]
        needed = lengths[prompt] + max(row.limit for row in members)
        if groups and max(width, needed) * (len(groups[-1]) + len(members)) <= max_batch_tokens:
            groups[-1].extend(members)
            width = max(width, needed)
        else:
            groups.append(list(members))
            width = needed
    chunked = []
    for group in groups:
        longest = max(lengths[row.prompt] + row.limit for row in group)
        size = max(1, max_batch_tokens // longest)
        chunked.append([group[start : start + size] for start in range(0, len(group), size)])
    return chunked


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    group: Sequence[Sequence[Row]],
    *,
    end_tokens: frozenset[int],
) -> None:
    """Decode one group to its end; fills `tokens`, `logprob_sum` and `finish` of each row.

    Parameters
    ----------
    model : causal language model of transformers
    prompts : sequence of token sequences
        All prompts; the group reads its own, once.
    group : chunks of rows
        As `plan_groups` makes them; rows that nobody wants any more end as cancelled.
    end_tokens : frozenset of int
        Tokens that end a sample; they count as generated.
    """
    import torch

    group = [chunk for chunk in map(_still_wanted, group) if chunk]
    if not group:
        return
    used = list(dict.fromkeys(row.prompt for chunk in group for row in chunk))
    place = {prompt: index for index, prompt in enumerate(used)}
    longest = max(len(prompts[prompt]) for prompt in used)
    padded = [[0] * (longest - len(prompts[prompt])) + list(prompts[prompt]) for prompt in used]
    shown = [[0] * (longest - len(prompts[prompt])) + [1] * len(prompts[prompt]) for prompt in used]
    with torch.inference_mode():
        mask = torch.tensor(shown, device=model.device)
        output = model(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        for number, chunk in enumerate(group):
            rows, last = _still_wanted(chunk), number == len(group) - 1
            if not rows:
                continue
            cache = cache_of(output) if last else copy.deepcopy(cache_of(output))
            places = [place[row.prompt] for row in rows]
            index = torch.tensor(places, device=model.device)
            if places != list(range(len(used))):
                cache.batch_select_indices(index)
            _decode_rows(model, rows, cache, mask[index], output.logits[index, -1], end_tokens)


def _still_wanted(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that somebody waits for; the others end before their first token."""
    wanted = []
    for row in rows:
        if row.wanted():
            wanted.append(row)
        else:
            row.finish = "cancelled"
    return wanted


def _decode_rows(
    model: Any,
    rows: Sequence[Row],
    cache: Any,
    mask: torch.Tensor,
    logits: torch.Tensor,
    end_tokens: frozenset[int],
) -> None:
    """Draw token after token for all rows of a batch until none is left."""
    import torch

    alive = list(rows)
    device = logits.device
    keys = torch.tensor([row.key for row in alive], device=device)
    temperatures = torch.tensor([row.temperature for row in alive], device=device, dtype=torch.float32)
    top_ps = torch.tensor([row.top_p for row in alive], device=device, dtype=torch.float32)
    position = mask.sum(-1)
    argument = cache_argument(model)
    step = 0
    while True:
        drawn = choose_tokens(
            logits,
            keys=keys,
            positions=torch.full_like(keys, step),
            temperatures=temperatures,
            top_ps=top_ps,
        )
        tokens, logprobs = drawn.tokens.tolist(), drawn.logprobs.tolist()
        forced = _force(alive, tokens, logprobs)
        for row, token, logprob in zip(alive, tokens, logprobs, strict=True):
            _advance(row, token, logprob, end_tokens)
        step += 1
        kept = [index for index, row in enumerate(alive) if row.finish is None]
        if not kept:
            return
        current = torch.tensor(tokens, device=device) if forced else drawn.tokens
        if len(kept) < len(alive):
            chosen = torch.tensor(kept, device=device)
            cache.batch_select_indices(chosen)
            alive = [alive[index] for index in kept]
            keys, temperatures, top_ps = keys[chosen], temperatures[chosen], top_ps[chosen]
            mask, position, current = mask[chosen], position[chosen], current[chosen]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=-1)
        output = model(
            input_ids=current[:, None],
            attention_mask=mask,
            position_ids=position[:, None],
            use_cache=True,
            **{argument: cache},
        )
        logits = output.logits[:, -1]
        position = position + 1


def _force(rows: Sequence[Row], tokens: list[int], logprobs: list[float]) -> bool:
    """Put in the tokens that thinking budgets ask for, and say whether there were any."""
    any_forced = False
    for index, row in enumerate(rows):
        token = None if row.thought is None else row.thought.next_token(row.tokens)
        if token is not None:
            # What the model did not choose says nothing about its confidence.
            tokens[index], logprobs[index] = token, 0.0
            row.n_forced += 1
            any_forced = True
    return any_forced


def _advance(row: Row, token: int, logprob: float, end_tokens: frozenset[int]) -> None:
    """Take one more token into a row and see whether it ends."""
    row.tokens.append(token)
    row.logprob_sum += logprob
    if token in end_tokens or row.ends(row.tokens):
        row.finish = "stop"
    elif len(row.tokens) >= row.limit:
        row.finish = "length"
    elif not row.wanted():
        row.finish = "cancelled"
