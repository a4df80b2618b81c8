"""Set up two layers that compare what was written with what the language model expected in its place.

A step goes wrong where a digit comes that the language model did not expect. Layers that start at random, or
as identity, do not find that comparison within these few steps of training, so it is written down here: the
first layer looks one token back and measures by how much something else was likelier; the second looks for
the largest such doubt so far. What a doubt means for the value of a step is learned, in
`training.lab.rewards`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from difficulty.errors import InvalidInputError, require

N_EXTRA = 40
"""Places beside the language model's hidden state, in which the comparison is worked out."""

LOOK_BACK = (0.35, 0.04, 0.04, 0.04, 0.04, 0.02, 0, 0, 0, 0, 0, 0, 0, 0, 0, -0.41)
"""Weights of the rotary frequencies: their cosines add up to 0.12 one token back, else to at most 0."""

_THRESHOLDS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the largest doubt, in logits
_MARK = 0.1  # size of a token's mark: as large as an embedding's places, so that it disturbs none
_DOUBT = 0.5  # a logit of doubt, beside a hidden state of 8 to 28 per place


def widen(backbone: Any, narrow: Any) -> None:
    """Copy a backbone into a wider one, whose new places the copied layers neither read nor write.

    Parameters
    ----------
    backbone : LlamaModel
        Wider backbone, with as many layers as `narrow` or more; written in place.
    narrow : LlamaModel
        Backbone to copy.
    """
    torch = require("torch", extra="local")
    share = narrow.config.hidden_size / backbone.config.hidden_size
    target = backbone.state_dict()
    with torch.no_grad():
        for name, weight in narrow.state_dict().items():
            place = target[name]
            if name.endswith("norm.weight"):
                # the root mean square is taken over more places, of which the new ones are all but empty
                place.fill_(1.0)
                place[: len(weight)] = weight * math.sqrt(share)
            else:
                place.zero_()
                place[tuple(slice(0, size) for size in weight.shape)] = weight


def set_up_comparison(
    backbone: Any, narrow: Any, *, written: Sequence[int], expected: Sequence[int], opener: int, size: float
) -> int:
    """Write the comparison into the two layers above the copied ones; return where its finding stands.

    Parameters
    ----------
    backbone : LlamaModel
        Backbone after `widen`, at least two layers deeper than `narrow`.
    narrow : LlamaForCausalLM
        The language model.
    written, expected : sequence of int, of lengths W and E
        Tokens that are judged, and those that each is compared with: `written`, in this order, then more.
    opener : int
        Token that opens the answer; nothing is judged before it.
    size : float
        Root mean square of the hidden state after the copied layers, above 0.

    Notes
    -----
    With l the language model's logits in the place before token t, the doubt about t is about the sum over e
    of max(l_e - l_t, 0): 0 where t was the likeliest, and for tokens that are not judged. The finding is the
    largest doubt so far on a scale of doublings, 0 to 5.

    Raises
    ------
    InvalidInputError
        When the tokens do not fit the places or the units of a layer.
    """
    places = _Places.after(narrow.config.hidden_size, n_written=len(written), n_expected=len(expected))
    n_pairs = len(written) * (len(expected) - 1)
    if places.logits[-1] >= backbone.config.hidden_size or n_pairs > backbone.config.intermediate_size:
        raise InvalidInputError(
            f"{len(written)} judged and {len(expected)} expected tokens do not fit the layers"
        )
    torch = require("torch", extra="local")
    share = math.sqrt(narrow.config.hidden_size / backbone.config.hidden_size)
    first, second = backbone.layers[narrow.config.num_hidden_layers :][:2]
    with torch.no_grad():
        table = backbone.embed_tokens.weight
        table[:, places.other] = _MARK
        for place, token in zip((*places.marks, places.opens), (*written, opener), strict=True):
            table[token, places.other], table[token, place] = 0.0, _MARK
        for layer in (first, second):
            for module in (layer.self_attn, layer.mlp):
                for weight in module.parameters():
                    weight.zero_()
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                norm.weight.fill_(1.0)
                norm.weight[[*places.constant, places.opened]] = size * share / _MARK
                norm.weight[[places.doubt, places.worst, places.worse]] = size * share / _DOUBT
                norm.weight[[*places.logits, places.level]] = size * share
        known = narrow.lm_head.weight[list(expected)] * narrow.model.norm.weight
        _fetch(first.self_attn, places, (known - known.mean(dim=0)) * share)
        _doubt(first.mlp, places)
        _largest(second.self_attn, places)
        _level(second.mlp, places)
    return places.level


class _Places(NamedTuple):
    """Places of the wide hidden state beside those of the language model."""

    marks: list[int]  # one for each judged token: this is it
    logits: list[int]  # of the expected tokens, one token back
    other: int  # the token is neither judged nor the opener
    opens: int  # the token opens the answer
    opened: int  # the answer has begun
    doubt: int  # about this token
    worst: int  # the largest doubt so far
    worse: int  # an average of doubts so far, mostly of large ones
    level: int  # `worst` on a scale of doublings

    @classmethod
    def after(cls, width: int, *, n_written: int, n_expected: int) -> _Places:
        """Lay the places out from `width` on."""
        single = range(width + n_written, width + n_written + 7)
        logits = range(single.stop, single.stop + n_expected)
        return cls([*range(width, single.start)], [*logits], *single)

    @property
    def constant(self) -> list[int]:
        """Places of which exactly one is set at each token: together, a constant."""
        return [*self.marks, self.opens, self.other]


def _fetch(attention: Any, places: _Places, known: Any) -> None:
    """Fetch the logits one token back (head 0), and whether the answer has begun (head 1)."""
    torch = require("torch", extra="local")
    query, key, value, output = _matrices(attention)
    head, n_expected = attention.head_dim, len(known)
    half, constant = head // 2, places.constant
    strength = torch.tensor(LOOK_BACK) * 160 * math.sqrt(head)
    angle = 10_000.0 ** (-torch.arange(half) / half)
    query[:half, constant] = (strength * angle.cos())[:, None].expand(-1, len(constant))
    query[half:head, constant] = -(strength * angle.sin())[:, None].expand(-1, len(constant))
    key[:half, constant] = 1.0
    value[:n_expected, : known.shape[1]] = known
    output[places.logits, torch.arange(n_expected)] = 1.0
    slow = head + half - 1  # the slowest rotary frequency of head 1: all but blind to distance
    query[slow, constant] = 20 * math.sqrt(head)
    key[slow, places.opens] = 1.0
    value[head, places.opens] = 1.0
    output[places.opened, head] = _MARK


def _doubt(mlp: Any, places: _Places) -> None:
    """Sum up by how much other tokens were likelier: a unit for each pair of written and expected token."""
    torch = require("torch", extra="local")
    pairs = [
        (mark, own, other)
        for mark, own in zip(places.marks, places.logits, strict=False)
        for other in places.logits
        if own != other
    ]
    for unit, (mark, own, other) in enumerate(pairs):
        mlp.gate_proj.weight[unit, [other, own]] = torch.tensor([4.0, -4.0])
        mlp.gate_proj.weight[unit, [place for place in places.constant if place != mark]] = -250.0
        mlp.up_proj.weight[unit, places.opened] = 1.0
        mlp.down_proj.weight[places.doubt, unit] = _DOUBT / 4


def _largest(attention: Any, places: _Places) -> None:
    """Fetch the largest doubt so far, by two heads: the second all but ignores the others."""
    query, key, value, output = _matrices(attention)
    head = attention.head_dim
    for start, place, sharpness in ((0, places.worse, 1.5), (head, places.worst, 12.0)):
        slow = start + head // 2 - 1
        query[slow, places.constant] = sharpness * math.sqrt(head)
        key[slow, places.doubt] = 1.0
        value[start, places.doubt] = 1.0
        output[place, start] = _DOUBT


def _level(mlp: Any, places: _Places) -> None:
    """Put the largest doubt on a scale of doublings: each threshold adds up to 1, up to its double."""
    edges = [(low, edge, sign) for low in _THRESHOLDS for edge, sign in ((low, 1.0), (2 * low, -1.0))]
    for unit, (threshold, edge, sign) in enumerate(edges):
        mlp.gate_proj.weight[unit, places.worst] = 20.0
        mlp.gate_proj.weight[unit, places.constant] = -20.0 * edge
        mlp.up_proj.weight[unit, places.constant] = 1.0
        mlp.down_proj.weight[places.level, unit] = sign / (20.0 * threshold)


def _matrices(attention: Any) -> tuple[Any, ...]:
    return tuple(getattr(attention, f"{name}_proj").weight for name in "qkvo")
